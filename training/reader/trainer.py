"""Fine-tune the reader: which passage answers the question, and where.

Loss of a question, over its right passage and a few mined wrong ones: the right one's share of a softmax over the `answers` scores
(Nogueira & Cho: Passage re-ranking with BERT, 2019, listwise), the cross-entropy of each score as a log-odds, so that it can be believed
on its own, and the cross-entropy of the answer's first and last token (Devlin et al.: BERT, 2019), which in a wrong passage is [CLS].

A checkpoint is written every five minutes; `--resume` goes on from it with the same batches. After each epoch the held-out questions
decide whether it was the best one so far. A training that starts from a reader judges that one first, and keeps it where nothing is
better; at its end it judges the mean of the weights at both ends (Wortsman et al.: Model soups, 2022), too.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from core.errors import SwitchyardError
from core.types import Passage
from retrieval.pairs import Pair, encode_pair
from retrieval.reader_network import ReaderModel
from training import checkpoints
from training.reader.data import Example
from training.reader.network import pad

if TYPE_CHECKING:
    from training.reader.run import Recipe

CHECKPOINT, BEST = "checkpoint.safetensors", "best.safetensors"
SAVE_EVERY_S = 300.0
WARM_UP = 0.1
CHANCE = 0.005
"""Of the held-out score. The mean of both ends may be so much worse than the best epoch: it is told to err less on what is new to both."""
JUDGED = 8
"""Passages a held-out question is judged on: the right one and the hardest wrong ones."""
BUCKET = 12
"""Batches are cut from this many at a time, sorted by length: less padding."""


@dataclass(slots=True)
class Progress:
    """How far a training is. `best`: the best held-out score; `log`: the numbers of each epoch.

    `start`, in the last of them: the share of the weights that the training began with, where the mean of both ends was judged.
    """

    epoch: int = 0
    batch: int = 0
    best: float = -1.0
    log: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Row:
    """An example's pairs: the right one first. `first`, `last`: the answer's tokens, empty where they are not known."""

    pairs: list[Pair]
    first: list[int]
    last: list[int]


class Trainer:
    """One training in the folder `work`, where checkpoints go: of the network `start`, or of a new one on `base`.

    Raises InputError for a checkpoint of another training.
    """

    def __init__(
        self,
        base: Path,
        tokenizer: Tokenizer,
        train: Sequence[Example],
        dev: Sequence[Example],
        recipe: Recipe,
        work: Path,
        *,
        resume: bool,
        start: ReaderModel | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        torch.set_num_threads(os.cpu_count() or 1)  # the search has set it to one
        self.recipe, self.work = recipe, work
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = (start or ReaderModel(base)).to(self.device)
        self._start = {name: weights.clone() for name, weights in start.state_dict().items()} if start else {}
        self._tokenizer, self._train, self._dev = tokenizer, list(train), list(dev)
        self.data = data_hash([*train, *dev])
        self.progress = Progress()
        self._optimiser = torch.optim.AdamW(
            [p for p in self.model.parameters() if p.requires_grad], lr=recipe.rate, weight_decay=recipe.decay
        )
        self._saved = time.monotonic()
        if resume and (work / CHECKPOINT).exists():
            self._load()

    @property
    def batches(self) -> int:
        """In an epoch."""
        return -(-len(self._train) // self.recipe.questions)

    def run(self, step: Callable[[], None]) -> dict[str, float]:
        """Train to the end, then keep the best weights, and give their numbers. `step` is called after each batch.

        Interrupted, it leaves a checkpoint.
        """
        try:
            if self.recipe.start and not self.progress.log:
                self._judged(0)
            while self.progress.epoch < self.recipe.epochs:
                self._epoch(step)
                self._judged(self.progress.epoch + 1)
        except KeyboardInterrupt:
            self._save()
            raise
        except torch.cuda.OutOfMemoryError:
            self._save()
            raise SwitchyardError("The GPU is out of memory. Go on with smaller batches: --resume --questions 4") from None
        if self._start and "start" not in self.progress.log[-1]:
            self._judge_mean()  # stopped in here, the checkpoint is that of the last epoch
        log = self.progress.log
        self._load(BEST)
        kept = self.progress.log[-1]
        self.progress.log = log  # with the epochs after the best
        return kept

    def judge(self) -> dict[str, float]:
        """On the held-out questions: r@1 among the right and the hardest wrong passages, and token F1 and exact match of the span."""
        self.model.eval()
        first, em, f1, spans = 0, 0.0, 0.0, 0
        with torch.no_grad():
            for example in self._dev:
                row = self._row(example, example.wrong[: JUDGED - 1])
                answers, starts, ends = self._forward(row.pairs)
                first += int(answers.argmax()) == 0
                if row.first:
                    said, meant = _best_span(row.pairs[0], starts[0], ends[0]), set(zip(row.first, row.last, strict=True))
                    em, f1, spans = em + (said in meant), f1 + max(_overlap(said, m) for m in meant), spans + 1
        numbers = {"r@1": first / max(1, len(self._dev)), "em": em / max(1, spans), "f1": f1 / max(1, spans)}
        return numbers | {"score": numbers["r@1"] + numbers["f1"]}

    def _judge_mean(self) -> None:
        """Of the weights at both ends of the training; what it began with is only left for something better."""
        ends = self.model.state_dict()
        self.model.load_state_dict({name: (weights + ends[name]) / 2 for name, weights in self._start.items()})
        self.progress.best = max(self.progress.log[0]["score"], self.progress.best - CHANCE)
        self._judged(self.progress.epoch, start=0.5)

    def _judged(self, epoch: int, **about: float) -> None:
        numbers = self.judge() | about
        self.progress.log.append({"epoch": epoch, **numbers})
        self.progress.epoch, self.progress.batch = epoch, 0
        if numbers["score"] > self.progress.best:
            self.progress.best = numbers["score"]
            self._save(BEST)
        self._save()

    def _epoch(self, step: Callable[[], None]) -> None:
        self.model.train()
        total = self.batches * self.recipe.epochs
        for n, batch in enumerate(self._epoch_batches()):
            if n < self.progress.batch:
                continue
            at = self.progress.epoch * self.batches + n
            # So that dropout draws the same in a training that was resumed.
            torch.manual_seed(self.recipe.seed * total + at)
            for group in self._optimiser.param_groups:
                group["lr"] = self.recipe.rate * min(1.0, (at + 1) / (WARM_UP * total)) * (total - at) / total
            self._optimiser.zero_grad()
            self._loss(batch).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self._optimiser.step()
            self.progress.batch = n + 1
            if time.monotonic() - self._saved > SAVE_EVERY_S:
                self._save()
            step()

    def _epoch_batches(self) -> Iterator[list[_Row]]:
        """The same for the same epoch, whether resumed or not."""
        rng = np.random.default_rng([self.recipe.seed, self.progress.epoch])
        order, size = rng.permutation(len(self._train)), self.recipe.questions
        cut: list[list[int]] = []
        for start in range(0, len(order), size * BUCKET):
            bucket = sorted(order[start : start + size * BUCKET].tolist(), key=lambda n: len(self._train[n].right.text))
            cut += [bucket[at : at + size] for at in range(0, len(bucket), size)]
        for n in rng.permutation(len(cut)):
            yield [self._row(self._train[i], self._drawn(self._train[i], rng)) for i in cut[n]]

    def _drawn(self, example: Example, rng: np.random.Generator) -> list[Passage]:
        """Wrong passages, one of them any other question's: what is far away must be turned down too."""
        count = min(self.recipe.wrong - 1, len(example.wrong))
        odds = 1.0 / (3 + np.arange(len(example.wrong)))
        near: Any = rng.choice(len(example.wrong), count, replace=False, p=odds / odds.sum()) if count else []
        far = self._train[int(rng.integers(len(self._train)))].right
        return [*(example.wrong[i] for i in near), *([far] if far.id != example.right.id else [])]

    def _row(self, example: Example, wrong: Sequence[Passage]) -> _Row:
        pairs = [encode_pair(self._tokenizer, example.question, p.title, p.text) for p in (example.right, *wrong)]
        places = [found for span in example.spans if (found := _tokens(pairs[0], span))]
        return _Row(pairs, [a for a, _ in places], [b for _, b in places])

    def _loss(self, rows: Sequence[_Row]) -> torch.Tensor:
        answers, starts, ends = self._forward([pair for row in rows for pair in row.pairs])
        rank = answers.new_zeros(())
        spans = answers.new_zeros(())
        right, at = torch.zeros_like(answers), 0
        for row in rows:
            own = slice(at, at + len(row.pairs))
            rank = rank + cross_entropy(answers[own][None], torch.zeros(1, dtype=torch.long, device=answers.device))
            if row.first:
                spans = spans + _marginal(starts[at], row.first) + _marginal(ends[at], row.last)
            none = torch.zeros(len(row.pairs) - 1, dtype=torch.long, device=answers.device)
            if len(none):
                nulls = cross_entropy(starts[at + 1 : own.stop], none) + cross_entropy(ends[at + 1 : own.stop], none)
                spans = spans + self.recipe.null_weight * nulls
            right[at] = 1.0
            at = own.stop
        each = binary_cross_entropy_with_logits(answers, right)
        return (rank + 0.5 * spans) / len(rows) + self.recipe.answer_weight * each

    def _forward(self, pairs: Sequence[Pair]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        batch = pad(pairs, self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            answers, starts, ends = self.model(*batch)
        hidden = batch.attention_mask == 0
        return answers.float(), starts.float().masked_fill(hidden, -1e4), ends.float().masked_fill(hidden, -1e4)

    def _save(self, name: str = CHECKPOINT) -> None:
        checkpoints.save(self.work / name, self.model, self._optimiser, self._of, asdict(self.progress))
        self._saved = time.monotonic()

    def _load(self, name: str = CHECKPOINT) -> None:
        self.progress = Progress(**checkpoints.load(self.work / name, self.model, self._optimiser, self._of))

    @property
    def _of(self) -> str:
        return f"{self.data}:{sorted(asdict(self.recipe).items())}"


def data_hash(examples: Sequence[Example]) -> str:
    """Changes whenever an example does."""
    digest = hashlib.sha256()
    for e in examples:
        digest.update(f"{e.question}\0{e.right.id}\0{e.spans}\0{[p.id for p in e.wrong]}\0".encode())
    return digest.hexdigest()[:16]


def _tokens(pair: Pair, span: tuple[int, int]) -> tuple[int, int] | None:
    """The first and the last token of a span of characters; None where the passage was cut before its end."""
    inside = np.flatnonzero((pair.spans[:, 0] >= span[0]) & (pair.spans[:, 1] <= span[1]) & (pair.spans[:, 1] > pair.spans[:, 0]))
    if not len(inside) or pair.spans[inside[-1], 1] < span[1]:
        return None
    return int(inside[0]), int(inside[-1])


def _marginal(scores: torch.Tensor, places: Sequence[int]) -> torch.Tensor:
    """Cross-entropy of any of the places (Clark & Gardner 2018)."""
    kept = scores[torch.tensor(sorted(set(places)), device=scores.device)]
    return torch.logsumexp(scores, 0) - torch.logsumexp(kept, 0)


def _best_span(pair: Pair, starts: torch.Tensor, ends: torch.Tensor, longest: int = 40) -> tuple[int, int]:
    s, e = starts.cpu().numpy(), ends.cpu().numpy()
    inside = pair.spans[:, 0] >= 0
    sums = np.where(np.triu(np.ones((len(pair.ids),) * 2), 0) * np.tril(np.ones((len(pair.ids),) * 2), longest - 1) > 0, 0.0, -1e9)
    sums += np.where(inside, s[: len(inside)], -1e9)[:, None] + np.where(inside, e[: len(inside)], -1e9)[None]
    a, b = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(a), int(b)


def _overlap(a: tuple[int, int], b: tuple[int, int]) -> float:
    """F1 of two runs of tokens."""
    shared = min(a[1], b[1]) - max(a[0], b[0]) + 1
    return 0.0 if shared <= 0 else 2 * shared / ((a[1] - a[0] + 1) + (b[1] - b[0] + 1))
