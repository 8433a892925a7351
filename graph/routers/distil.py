"""A smaller encoder beside a fine-tuned one: some of the base model's layers learn to give the vectors that the whole one gives.

Besides the examples it learns from texts that are cut and mixed from them: whatever the text, the whole encoder says what is right
(Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, 2015). The layers to begin with are taken at even distances, the first
and the last among them, as DistilBERT does (Sanh et al., 2019). Needs torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import InputError
from graph.routers.finetune import DECAY, WARM_UP, batches, encode, load_base, write_encoder
from graph.routers.voters import SHARPNESS
from graph.routers.votes import Floats32
from retrieval.encoder import Vectors, packaged_model
from retrieval.onnx_bank import as_kept

if TYPE_CHECKING:
    import torch

EPOCHS = 9
BATCH = 96
RATE = 5e-4
ROUNDS = 2
"""So many altered texts for each example."""
COSINE, ALIKE, SCORES = 10.0, 20.0, 3.0
"""In the loss: how far a vector is from the right one, pairs from being as alike as they should be, scores from the right ones."""
LEFT_OUT, SWAPPED = 0.2, 0.2
"""Shares of an altered text's words."""


class Distiller:
    """One distillation: `train` to the end, then `export`.

    `vectors_of`: the whole encoder, unit vectors. `votes`: of the texts in its space, shape (len(texts), labels), see `voters`.
    `layers`: how many are kept, of `base` (a Hugging Face model's name or folder, the packaged MiniLM when empty). Raises InputError for a
    base that cannot be loaded or has fewer.
    """

    def __init__(
        self, texts: Sequence[str], vectors_of: Callable[[Sequence[str]], Vectors], votes: Floats32, base: str, layers: int, seed: int
    ) -> None:
        import torch

        torch.manual_seed(seed)
        torch.set_num_threads(os.cpu_count() or 1)
        self._rng = np.random.default_rng(seed)
        self._vectors_of, self._votes = vectors_of, torch.tensor(votes)
        self._tokenizer, self._encoder = smaller(base, layers)
        for parameter in self._encoder.get_input_embeddings().parameters():
            parameter.requires_grad_(False)
        self._texts = [*texts, *(altered(text, texts, self._rng) for _ in range(ROUNDS) for text in texts)]

    @property
    def steps(self) -> int:
        """The batches there will be: once through the whole encoder, then the epochs."""
        return (1 + EPOCHS) * self._each

    @property
    def _each(self) -> int:
        """Batches of all texts once."""
        return -(-len(self._texts) // BATCH)

    def train(self, on_step: Callable[[], None]) -> None:
        """All epochs; `on_step` is called after each batch."""
        import torch

        right = self._by_the_whole(on_step)
        # The examples are the first of the texts; they vote as they are kept.
        anchors = torch.tensor(as_kept(right[: len(self._votes)].numpy()).T)

        def score(vectors: torch.Tensor) -> torch.Tensor:
            return torch.exp(2 * SHARPNESS * (vectors @ anchors - 1)) @ self._votes

        scores = torch.cat([score(part) for part in right.split(BATCH)])
        trained, rows = [p for p in self._encoder.parameters() if p.requires_grad], np.arange(len(self._texts))
        total = EPOCHS * self._each
        optimiser = torch.optim.AdamW(trained, lr=RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda n: min(1.0, (n + 1) / (WARM_UP * total)) * max(0.0, 1 - n / total))
        self._encoder.train()
        for _ in range(EPOCHS):
            for batch in batches(self._texts, rows, self._rng, BATCH):
                found = encode(self._tokenizer, self._encoder, [self._texts[n] for n in batch])
                optimiser.zero_grad()
                wrong = ((score(found) - scores[batch]) ** 2).sum(1).mean()
                (_apart(found, right[batch]) + SCORES * wrong).backward()
                torch.nn.utils.clip_grad_norm_(trained, 1.0)
                optimiser.step()
                schedule.step()
                on_step()
        self._encoder.eval()

    def export(self, target: Path) -> None:
        """Write the encoder, int8. The tokeniser is the whole one's."""
        write_encoder(self._encoder, self._tokenizer, target)

    def _by_the_whole(self, on_step: Callable[[], None]) -> torch.Tensor:
        import torch

        found = []
        for start in range(0, len(self._texts), BATCH):
            found.append(self._vectors_of(self._texts[start : start + BATCH]))
            on_step()
        return torch.nn.functional.normalize(torch.tensor(np.concatenate(found)), dim=1)


def _apart(found: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """How far vectors are from the right ones, and their pairs from being as alike."""
    return COSINE * (1 - (found * right).sum(1).mean()) + ALIKE * ((found @ found.T - right @ right.T) ** 2).mean()


def smaller(base: str, layers: int) -> tuple[Any, Any]:
    """(tokeniser, encoder) of the base model with so many of its layers. Raises InputError, see `Distiller`."""
    import torch

    tokenizer, encoder = load_base(base or str(packaged_model()))
    stack = getattr(getattr(encoder, "encoder", None), "layer", [])
    if not 0 < layers <= len(stack):
        raise InputError(f"Expected layers from 1 to {len(stack)}, as many as the base model has; got {layers}.")
    kept = np.linspace(0, len(stack) - 1, layers).round().astype(int).tolist()
    encoder.encoder.layer = torch.nn.ModuleList([stack[n] for n in kept])
    encoder.config.num_hidden_layers = layers
    return tokenizer, encoder


def altered(text: str, others: Sequence[str], rng: np.random.Generator) -> str:
    """The text without some words, or continued as another is, or with words of others in it; or a stretch of another."""
    words, other = text.split(), others[int(rng.integers(len(others)))].split()
    way = rng.integers(4)
    if not words or not other:
        return text
    if way == 0:
        words = [word for word in words if rng.random() >= LEFT_OUT] or words
    elif way == 1:
        words = words[: rng.integers(1, len(words) + 1)] + other[rng.integers(len(other)) :]
    elif way == 2:
        words = [_any_word(others, rng) if rng.random() < SWAPPED else word for word in words]
    else:
        begin = rng.integers(max(1, len(other) - 6))
        words = other[begin : begin + rng.integers(4, 16)]
    return " ".join(words)


def _any_word(texts: Sequence[str], rng: np.random.Generator) -> str:
    words = texts[int(rng.integers(len(texts)))].split()
    return words[int(rng.integers(len(words)))] if words else ""
