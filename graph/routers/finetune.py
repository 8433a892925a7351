"""Fine-tune a text encoder so that the examples of a label lie together: the trainer behind the router `transformer`, with torch.

Head: cosine softmax. A label's score is `scale` times the cosine of the text to the label's prototypes (log-sum-exp over several), which
start at the means of the label's examples (of its k-means clusters, for several) and are trained along (Wang et al.: CosFace, 2018, without
a margin; Snell et al.: Prototypical Networks, 2017, for the start).

Afterwards the encoder is drawn back towards where it came from (`blend`): the mean of the old and the new weights does as well on the
examples' own kind of text and better on others (Wortsman et al.: Robust fine-tuning of zero-shot models, 2022).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from retrieval.encoder import MAX_TOKENS, packaged_model

if TYPE_CHECKING:
    import torch

BATCH = 64
HEAD_RATE = 2e-3
WARM_UP = 0.1
DECAY = 0.01
BUCKET = 20
"""Batches are cut from this many at a time, sorted by length: less padding."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Recipe:
    """base: a Hugging Face model's name or folder, the packaged MiniLM when empty. rate: the encoder's highest learning rate.

    smoothing: of the labels, in [0, 1). prototypes: per label. scale: of the cosines. blend: how far the encoder goes from its old weights
    (0) to the new ones (1). words: whether the word embeddings are trained too; else words that no example holds keep their places beside
    those that do.
    """

    base: str = ""
    epochs: int = 6
    prototypes: int = 1
    scale: float = 20.0
    blend: float = 1.0
    words: bool = False
    rate: float = 1e-4
    smoothing: float = 0.1
    seed: int = 0


class Tuner:
    """One fine-tuning: `train` epoch by epoch, look at `scores`, and `export` at the end.

    `targets`: shape (n, labels), rows sum to 1. `weights`: (labels,), what an example of each label counts. `total`: the
    batches there will be; `on_step` is called after each.
    Raises InputError for a base model that cannot be loaded.
    """

    def __init__(
        self, texts: Sequence[str], targets: Floats, weights: Floats, recipe: Recipe, total: int, on_step: Callable[[], None]
    ) -> None:
        import torch

        torch.manual_seed(recipe.seed)
        torch.set_num_threads(os.cpu_count() or 1)  # the search has set it to one
        self.texts = list(texts)
        self.recipe = recipe
        self._rng = np.random.default_rng(recipe.seed)
        self._on_step = on_step
        self._tokenizer, self._encoder = load_base(recipe.base or str(packaged_model()))
        self._old = {name: tensor.clone() for name, tensor in self._encoder.state_dict().items()}
        self._targets = torch.tensor(targets, dtype=torch.float32)
        self._weights = torch.tensor(weights, dtype=torch.float32)
        self._head = torch.nn.Parameter(torch.tensor(_prototypes(self.vectors(texts), targets, recipe), dtype=torch.float32))
        for parameter in self._encoder.get_input_embeddings().parameters():
            parameter.requires_grad_(recipe.words)
        trained = [p for p in self._encoder.parameters() if p.requires_grad]
        self._optimiser = torch.optim.AdamW(
            [{"params": trained, "lr": recipe.rate, "weight_decay": DECAY}, {"params": [self._head], "lr": HEAD_RATE, "weight_decay": 0.0}]
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, lambda step: min(1.0, (step + 1) / (WARM_UP * total)) * max(0.0, (total - step) / total)
        )

    def train(self, rows: Ints) -> None:
        """One epoch over these rows."""
        import torch

        self._encoder.train()
        for batch in batches(self.texts, rows, self._rng):
            logits = self._logits(self._encoded([self.texts[n] for n in batch]))
            targets = self._targets[batch]
            loss = torch.nn.functional.cross_entropy(logits, self._smooth(targets), reduction="none")
            weights = targets @ self._weights
            self._optimiser.zero_grad()
            ((loss * weights).sum() / weights.sum()).backward()
            torch.nn.utils.clip_grad_norm_(self._encoder.parameters(), 1.0)
            self._optimiser.step()
            self._schedule.step()
            self._on_step()

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (len(texts), dimensions), of unit length."""
        import torch

        self._encoder.eval()
        found = np.zeros((len(texts), self._encoder.config.hidden_size), np.float32)
        order = np.argsort([len(text) for text in texts], kind="stable")
        with torch.no_grad():
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                found[batch] = self._encoded([texts[n] for n in batch]).numpy()
        return found

    @property
    def head(self) -> NDArray[np.float32]:
        """The prototypes, shape (labels * prototypes, dimensions), of unit length."""
        import torch

        found: NDArray[np.float32] = torch.nn.functional.normalize(self._head.detach(), dim=1).numpy()
        return found

    def export(self, folder: Path) -> None:
        """Blend, and write model.onnx (int8) and tokenizer.json."""
        new, share = self._encoder.state_dict(), self.recipe.blend
        self._encoder.load_state_dict(
            {name: old + share * (new[name] - old) if old.is_floating_point() else old for name, old in self._old.items()}
        )
        write_encoder(self._encoder, self._tokenizer, folder / "model.onnx")
        # The packaged one as it comes, for whoever has it open already: saved, it would differ in how it was last used.
        given = packaged_model() if not self.recipe.base else folder / "model"
        shutil.copyfile(given / "tokenizer.json", folder / "tokenizer.json")

    def _encoded(self, texts: list[str]) -> torch.Tensor:
        return encode(self._tokenizer, self._encoder, texts)

    def _logits(self, vectors: torch.Tensor) -> torch.Tensor:
        import torch

        cosines = vectors @ torch.nn.functional.normalize(self._head, dim=1).T
        return torch.logsumexp(self.recipe.scale * cosines.view(len(vectors), -1, self.recipe.prototypes), dim=2)

    def _smooth(self, targets: torch.Tensor) -> torch.Tensor:
        return (1 - self.recipe.smoothing) * targets + self.recipe.smoothing / targets.shape[1]


def batches(texts: Sequence[str], rows: Ints, rng: np.random.Generator, size: int = BATCH) -> Iterator[Any]:
    """The rows in batches of texts of like length, in random order."""
    order, cut = rng.permutation(rows), []
    for start in range(0, len(order), size * BUCKET):
        bucket = sorted(order[start : start + size * BUCKET].tolist(), key=lambda n: len(texts[n]))
        cut += [bucket[at : at + size] for at in range(0, len(bucket), size)]
    for n in rng.permutation(len(cut)):
        yield cut[n]


def encode(tokenizer: Any, encoder: Any, texts: list[str]) -> torch.Tensor:
    """Shape (len(texts), dimensions), of unit length: the mean of the tokens."""
    import torch

    batch = tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    with torch.autocast("cpu", torch.bfloat16):
        hidden = encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state.float()
    mask = batch["attention_mask"].unsqueeze(-1).float()
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


def write_encoder(encoder: Any, tokenizer: Any, target: Path) -> None:
    """Write the encoder to `target`, int8; beside it a folder of the same name, as Hugging Face has it."""
    from retrieval.export import export

    encoder.save_pretrained(target.with_suffix(""))
    tokenizer.save_pretrained(target.with_suffix(""))
    export(target, "int8", target.with_suffix(""))


def load_base(base: str) -> tuple[Any, Any]:
    """(tokeniser, encoder) of a Hugging Face model's name or folder. Raises InputError for one that cannot be loaded."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    try:
        here = Path(base).is_dir()
        return AutoTokenizer.from_pretrained(base, local_files_only=here), AutoModel.from_pretrained(base, local_files_only=here)
    except (OSError, ValueError) as error:
        raise InputError(f"Expected a BERT or RoBERTa model at {base!r}; it cannot be loaded: {str(error).splitlines()[0]}") from None


def _prototypes(vectors: NDArray[np.float32], targets: Floats, recipe: Recipe) -> Floats:
    """Where the head starts: shape (labels * prototypes, dimensions)."""
    from sklearn.cluster import KMeans

    found = []
    for column in range(targets.shape[1]):
        own = vectors[targets[:, column] > 0]
        count = min(recipe.prototypes, len(own))
        means = KMeans(count, n_init=2, random_state=recipe.seed).fit(own).cluster_centers_ if count > 1 else own.mean(axis=0)[None]
        found.append(np.resize(means, (recipe.prototypes, vectors.shape[1])))
    return np.concatenate(found)
