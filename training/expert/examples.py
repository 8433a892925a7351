"""The examples an expert is tuned on: the very prompt that the graph sends, and an answer that cites.

As in RAFT (Zhang et al., 2024: Adapting Language Model to Domain Specific RAG) the right passage stands among distractors, here what the
expert's own retrieval found beside it. A share of the questions is asked once more without the right passage; there the answer is
NO_ANSWER, so that the model learns to read, and to say when nothing is there to be read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from langchain_core.messages import BaseMessage, convert_to_openai_messages

from core.errors import DocumentError, InputError
from core.types import NO_ANSWER, Hit, Passage
from experts.discovery import SPLITS, Item, read_csv
from graph.citations import best_quote
from graph.nodes.expert import search
from graph.prompts import grounded, ungrounded
from graph.services import Services
from retrieval.text import contains_key, normalise, sentences

COLUMNS = ("question", "answer", "key", "document", "split")
DEEPER = 4
"""So many times the passages that are read are found, so that enough are left when the right ones are taken away."""
Turn = dict[str, str]
"""{"role": system, user or assistant, "content": ...}"""


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt and its answer. `right`: the numbers, from 1, of the passages that hold the answer; none where it is NO_ANSWER."""

    item: Item
    hits: list[Hit]
    right: frozenset[int]
    messages: list[BaseMessage]
    answer: str

    @property
    def prompt(self) -> list[Turn]:
        """The messages by role."""
        return turns(self.messages)

    @property
    def whole(self) -> list[Turn]:
        """The prompt and the answer."""
        return [*self.prompt, {"role": "assistant", "content": self.answer}]


def turns(messages: Sequence[BaseMessage]) -> list[Turn]:
    """Messages by role, as chat templates and providers read them."""
    found = convert_to_openai_messages(messages)
    assert isinstance(found, list)  # a sequence gives a list
    return [{"role": m["role"], "content": m["content"]} for m in found]


def closed_book(item: Item) -> list[BaseMessage]:
    """The question without passages, as the graph asks a general model."""
    return ungrounded(item.question, [])


def read_questions(path: Path) -> list[Item]:
    """A questions file in the form of an expert's own. Raises InputError for one that is not."""
    advice = "Bring it into that form with: switchyard data prepare"
    if not path.is_file():
        raise InputError(f"Expected questions in a CSV file with the columns {', '.join(COLUMNS)}; there is no file {path}.")
    try:
        return [Item(**row) for row in read_csv(path, COLUMNS)]
    except DocumentError as error:
        raise InputError(f"{error} {advice} {path}") from None


def by_split(items: Sequence[Item], source: str) -> dict[str, list[Item]]:
    """The questions of each split. Raises InputError when a split is empty, or one question stands in two of them."""
    found = {split: [item for item in items if item.split == split] for split in SPLITS}
    if missing := [split for split, rows in found.items() if not rows]:
        raise InputError(
            f"{source}: expected questions to learn from (train), to stop by (dev) and to measure on (test); there are none with the split "
            f"{', '.join(missing)}. Run: switchyard data prepare FILE"
        )
    splits: dict[str, str] = {}
    for item in items:
        if splits.setdefault(normalise(item.question), item.split) != item.split:
            raise InputError(f"{source}: {item.question!r} stands in two splits, so the test would leak. Run: switchyard data prepare FILE")
    return found


class Maker:
    """Makes examples of one expert's questions. Raises InputError for a question that names a document the expert does not have."""

    def __init__(self, services: Services, name: str) -> None:
        self._services, self._name = services, name
        self._expert = services.expert(name)
        self._passages: dict[str, list[Passage]] = {}
        for passage in services.index(name).passages:
            self._passages.setdefault(passage.document, []).append(passage)

    def learning(self, items: Sequence[Item], without: float, seed: int, step: Callable[[int], None]) -> list[Example]:
        """An example with the right passage for each question, and one without it for the share `without` of them, in [0, 1].

        Passages are shuffled: in the order of the search the right one is mostly the first, and "[1]" would be all there is to learn.
        """
        rng, made = np.random.default_rng(seed), []
        for item in items:
            near = self._search(item)
            made.append(self._example(item, _shuffled(self._with_right(item, near), rng)))
            if rng.random() < without:
                made.append(self._example(item, _shuffled(self._without_right(item, near), rng)))
            step(1)
        return made

    def served(self, items: Sequence[Item], step: Callable[[int], None]) -> tuple[list[Example], list[Example]]:
        """What the model would be sent at work, and the same without any right passage: two examples a question, to measure on."""
        own, withheld = [], []
        for item in items:
            near = self._search(item)
            own.append(self._example(item, near[: self._read]))
            withheld.append(self._example(item, self._without_right(item, near)))
            step(1)
        return own, withheld

    @property
    def _read(self) -> int:
        return self._expert.card.passages

    def _search(self, item: Item) -> list[Hit]:
        return search(self._services, self._name, item.question, DEEPER * self._read)

    def _with_right(self, item: Item, near: Sequence[Hit]) -> list[Hit]:
        hits, right = list(near[: self._read]), self._right(item)
        if not any(hit.passage.id in right for hit in hits):
            hits[-1] = next((hit for hit in near if hit.passage.id in right), Hit(next(iter(right.values())), 0.0, 0.0))
        return hits

    def _without_right(self, item: Item, near: Sequence[Hit]) -> list[Hit]:
        """Neither of the right document nor with the fact: a distractor that happens to answer would make NO_ANSWER a lie."""
        left = [h for h in near if h.passage.document != item.document and not contains_key(h.passage.text, item.key)]
        return left[: self._read]

    def _right(self, item: Item) -> dict[str, Passage]:
        """The passages of the right document that hold the fact; where none does word for word, the one with most of the answer's words."""
        own = self._passages.get(item.document)
        if not own:
            raise InputError(
                f"Expected the question {item.question!r} to name a document of {self._name}; it names {item.document!r}. "
                f"Mend the row, or see what else is amiss: switchyard expert check {self._name}"
            )
        holding = [p for p in own if contains_key(p.text, item.key)]
        return {p.id: p for p in holding or [max(own, key=lambda p: best_quote(item.answer, p.text)[1])]}

    def _example(self, item: Item, hits: list[Hit]) -> Example:
        known = self._right(item)
        right = [n for n, hit in enumerate(hits, 1) if hit.passage.id in known]
        answer = " ".join(f"{sentence} [{right[0]}]" for sentence in sentences(item.answer)) if right else NO_ANSWER
        return Example(item, hits, frozenset(right), grounded(self._expert.prompt, item.question, hits, []), answer)


def data_hash(examples: Sequence[Example]) -> str:
    """Changes whenever a prompt or an answer does."""
    return hashlib.sha256(json.dumps([e.whole for e in examples]).encode()).hexdigest()[:16]


def _shuffled(hits: list[Hit], rng: np.random.Generator) -> list[Hit]:
    return [hits[int(n)] for n in rng.permutation(len(hits))]
