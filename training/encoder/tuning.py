"""Fine-tune the text encoder: a question is to lie near the passage that answers it, and far from those that do not.

Loss: multiple-negatives ranking (Henderson et al. 2017), a softmax over the scaled cosines of a question to all passages of its batch: its
own, those of the other questions, and a wrong one of each question, drawn from what the project's own retrieval finds for it. Word
embeddings are left as they are; afterwards the encoder is drawn back towards where it came from (`blend`; Wortsman et al. 2022).

A checkpoint is written every five minutes; `--resume` goes on from it with the same batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.errors import SwitchyardError
from graph.routers.finetune import load_base
from retrieval.encoder import MAX_TOKENS, packaged_model
from retrieval.index import embedded_text
from training import checkpoints
from training.reader.data import Example

if TYPE_CHECKING:
    import torch

CHECKPOINT = "checkpoint.safetensors"
SAVE_EVERY_S = 300.0
WARM_UP, DECAY = 0.1, 0.01
HARDEST = 10
"""A question's wrong passage is drawn from so many of the hardest ones."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """base: a Hugging Face folder, the packaged MiniLM when empty. batch: questions. rate: the highest learning rate.

    scale: of the cosines. blend: how far the encoder goes from its old weights (0) to the new ones (1).
    """

    base: str = ""
    epochs: int = 2
    batch: int = 32
    rate: float = 3e-5
    scale: float = 20.0
    blend: float = 0.5
    seed: int = 0


class Trainer:
    """One training in the folder `work`, where checkpoints go. Raises InputError for a base or a checkpoint that does not fit."""

    def __init__(self, examples: Sequence[Example], recipe: Recipe, work: Path, *, resume: bool = False) -> None:
        import torch

        from training.reader.trainer import data_hash

        self.recipe, self.examples = recipe, list(examples)
        self.data = data_hash(examples)
        self.epoch, self.batch = 0, 0
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer, encoder = load_base(recipe.base or str(packaged_model()))
        self._old = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
        self._encoder = encoder.to(self._device)
        # Word embeddings stay: a few thousand questions touch only some of them.
        for parameter in self._encoder.get_input_embeddings().parameters():
            parameter.requires_grad_(False)
        trained = [p for p in self._encoder.parameters() if p.requires_grad]
        self._optimiser = torch.optim.AdamW(trained, lr=recipe.rate, weight_decay=DECAY)
        self._checkpoint, self._saved = work / CHECKPOINT, time.monotonic()
        self._of = f"{self.data}:{sorted(asdict(recipe).items())}"
        if resume and self._checkpoint.exists():
            progress = checkpoints.load(self._checkpoint, self._encoder, self._optimiser, self._of)
            self.epoch, self.batch = progress["epoch"], progress["batch"]

    @property
    def batches(self) -> int:
        """In an epoch."""
        return -(-len(self.examples) // self.recipe.batch)

    @property
    def left(self) -> int:
        """Batches that are still to come."""
        return (self.recipe.epochs - self.epoch) * self.batches - self.batch

    def run(self, step: Callable[[int], None] = lambda _: None) -> None:
        """Train to the end; `step(1)` is called after each batch. It leaves a checkpoint at the end, too: the judging takes a while."""
        import torch

        try:
            while self.epoch < self.recipe.epochs:
                for batch in list(self._drawn())[self.batch :]:
                    self._step(*batch)
                    self.batch += 1
                    if time.monotonic() - self._saved > SAVE_EVERY_S:
                        self._save()
                    step(1)
                self.epoch, self.batch = self.epoch + 1, 0
            self._save()
        except KeyboardInterrupt:
            self._save()
            raise
        except torch.cuda.OutOfMemoryError:
            raise SwitchyardError("The GPU is out of memory. Run again with smaller batches: --batch 16") from None

    def export(self, folder: Path) -> None:
        """Blend, and write model.onnx (int8) and tokenizer.json into `folder`."""
        from tempfile import TemporaryDirectory

        from retrieval.export import export

        new = self._encoder.to("cpu").state_dict()
        share = self.recipe.blend
        blended = {name: old + share * (new[name] - old) if old.is_floating_point() else old for name, old in self._old.items()}
        self._encoder.load_state_dict(blended)
        with TemporaryDirectory(dir=folder) as made:
            self._encoder.save_pretrained(made)
            self._tokenizer.save_pretrained(made)
            export(folder / "model.onnx", "int8", Path(made))
            (Path(made) / "tokenizer.json").replace(folder / "tokenizer.json")

    def _drawn(self) -> Iterator[tuple[list[str], list[str], list[int]]]:
        """(questions, passages, number of each question's right one) of each batch: the same for the same epoch, whether resumed or not."""
        rng = np.random.default_rng([self.recipe.seed, self.epoch])
        order = rng.permutation(len(self.examples)).tolist()
        for start in range(0, len(order), self.recipe.batch):
            chosen = [self.examples[n] for n in order[start : start + self.recipe.batch]]
            # By their ids: what is right for one question must not stand there as wrong a second time.
            right = [e.right for e in chosen]
            wrong = [e.wrong[int(rng.integers(min(HARDEST, len(e.wrong))))] for e in chosen if e.wrong]
            passages = {p.id: p for p in [*right, *wrong]}
            place = {ident: n for n, ident in enumerate(passages)}
            yield [e.question for e in chosen], [embedded_text(p) for p in passages.values()], [place[p.id] for p in right]

    def _step(self, questions: list[str], passages: list[str], right: list[int]) -> None:
        import torch

        total, at = self.batches * self.recipe.epochs, self.epoch * self.batches + self.batch
        for group in self._optimiser.param_groups:
            group["lr"] = self.recipe.rate * min(1.0, (at + 1) / (WARM_UP * total)) * (total - at) / total
        # What dropout draws, too, must be the same when a training goes on.
        torch.manual_seed(self.recipe.seed * total + at)
        self._encoder.train()
        cosines = self._vectors(questions) @ self._vectors(passages).T
        loss = torch.nn.functional.cross_entropy(self.recipe.scale * cosines, torch.tensor(right, device=self._device))
        self._optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._encoder.parameters(), 1.0)
        self._optimiser.step()

    def _vectors(self, texts: list[str]) -> torch.Tensor:
        import torch

        batch = self._tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt").to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16):
            hidden = self._encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state.float()
        mask = batch["attention_mask"].unsqueeze(-1).float()
        return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)

    def _save(self) -> None:
        checkpoints.save(self._checkpoint, self._encoder, self._optimiser, self._of, {"epoch": self.epoch, "batch": self.batch})
        self._saved = time.monotonic()
