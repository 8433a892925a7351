"""The reader: does a passage answer the question, and where. One small encoder with three heads, on ONNX Runtime.

It orders the passages that the search found, finds the words that answer, and says when there are none. artifacts/reader holds its
network (model.onnx, tokenizer.json) and the ranking of sentences that is fitted on top of it (weights.json).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import IndexFault
from core.types import Hit
from retrieval.encoder import Encoder, packaged_model
from retrieval.gpu import TorchReader, gpu
from retrieval.onnx_text import open_session
from retrieval.pairs import Pair, encode_pair
from retrieval.ranking import Weights, sentence_features
from retrieval.text import sentences
from retrieval.tokens import open_tokenizer

if TYPE_CHECKING:
    import onnxruntime
    from tokenizers import Tokenizer

MODEL, TOKENIZER, WEIGHTS = "model.onnx", "tokenizer.json", "weights.json"
KEPT = 512
RANKED = 16
THREADS = min(4, os.cpu_count() or 1)
LONGEST = 40
"""Tokens of a span."""
_NEVER = -1e4
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """Words of a passage. `score`: log-odds, unbounded, that they are the answer rather than that there is none."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read in one passage.

    answers: the log-odds that it answers the question. span: its best one; None where the passage has no words. sentences: in reading
    order, each with the score of the best span that starts and ends in it.
    """

    answers: float
    span: Span | None
    sentences: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage. `score`: probability in [0, 1] that it is the one that answers; of all that are read, at most 1 in sum."""

    text: str
    passage: int
    position: int
    score: float


class Reader:
    """Opens the network in `folder` when it is first used. Raises IndexFault or InputError for one that is broken.

    One passage at a time: dynamic int8 quantisation would otherwise make a reading depend on the others. Several are read side by side,
    each on one thread: ONNX Runtime's own threads spin while they wait for each other, which on a busy machine takes twice the work. The
    last 512 readings and 16 rankings are kept, because a passage is looked at when it is found, when it is quoted, and when the answer is
    judged.
    """

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        self.folder = folder
        self._encoder = encoder
        self._kept = lru_cache(maxsize=KEPT)(self._read)
        self._ranked = lru_cache(maxsize=RANKED)(self._rank)
        self._readers = ThreadPoolExecutor(THREADS, thread_name_prefix="reader")

    def open(self) -> None:
        """Open network and ranking now. Raises IndexFault or InputError."""
        _ = self._network, self.weights

    def read(self, question: str, passages: Sequence[Mapping[str, Any]]) -> list[Reading]:
        """A reading for each passage (a dict with title and text)."""
        if passages:
            _ = self._network  # now, not in each of the threads at once
        return list(self._readers.map(lambda p: self._kept(question, str(p["title"]), str(p["text"])), passages))

    def rank(self, question: str, passages: Sequence[Mapping[str, Any]]) -> list[Sentence]:
        """All sentences of the passages (dicts as `Hit.to_read` gives them), best first."""
        return list(self._ranked(question, tuple((str(p["title"]), str(p["text"]), tuple(p.get("cosines", ()))) for p in passages)))

    def _rank(self, question: str, given: Sequence[tuple[str, str, tuple[float, ...]]]) -> list[Sentence]:
        passages = [{"title": title, "text": text, "cosines": cosines} for title, text, cosines in given]
        readings = self.read(question, passages)
        places = [(n, i, span.text) for n, reading in enumerate(readings) for i, span in enumerate(reading.sentences)]
        if not places:
            return []
        scores = self.weights.probabilities(sentence_features(question, passages, readings, self._encoder))
        found = [Sentence(text, n, i, float(score)) for (n, i, text), score in zip(places, scores, strict=True)]
        return sorted(found, key=lambda sentence: -sentence.score)

    def rerank(self, question: str, hits: Sequence[Hit], weight: float | None = None) -> list[Hit]:
        """The hits in the order of how likely each answers the question: their new score is the log-odds of that and `weight` of the old.

        `weight`: the one that was fitted, where none is given.
        """
        readings = self.read(question, [hit.as_dict() for hit in hits])
        weight = self.weights.retrieval if weight is None else weight
        scored = [replace(hit, score=reading.answers + weight * hit.score) for hit, reading in zip(hits, readings, strict=True)]
        return sorted(scored, key=lambda hit: -hit.score)

    def answers(self, question: str, passages: Sequence[Mapping[str, Any]]) -> float:
        """The probability in [0, 1] that the answer is in these passages: the sum of their sentences'."""
        return fsum(sentence.score for sentence in self.rank(question, passages))

    def find(self, question: str, hits: Sequence[Hit]) -> tuple[Hit, Span] | None:
        """The exact words that answer, and the hit they stand in, of hits as `rerank` gives them: the best sum of both scores."""
        readings = self.read(question, [hit.as_dict() for hit in hits])
        found = [(hit, reading.span) for hit, reading in zip(hits, readings, strict=True) if reading.span]
        return max(found, key=lambda pair: pair[0].score + pair[1].score, default=None)

    @cached_property
    def weights(self) -> Weights:
        """The ranking of sentences. Raises InputError."""
        return Weights.read(self.folder / WEIGHTS)

    @cached_property
    def _network(self) -> tuple[onnxruntime.InferenceSession | TorchReader, Tokenizer]:
        try:
            model, tokenizer = self.folder / MODEL, open_tokenizer(self.folder / TOKENIZER)
            return TorchReader(model, packaged_model()) if gpu() else open_session(model), tokenizer
        except Exception as error:  # the libraries' errors share no base class
            reason = str(error).splitlines()[0].rstrip(".")
            raise IndexFault(
                f"The reader in {self.folder} cannot be opened: {reason}. Restore it, or run: switchyard train reader"
            ) from None

    def _read(self, question: str, title: str, text: str) -> Reading:
        session, tokenizer = self._network
        pair = encode_pair(tokenizer, question, title, text)
        feed = {"input_ids": pair.ids[None], "attention_mask": np.ones_like(pair.ids)[None], "token_type_ids": pair.types[None]}
        answers, start, end = session.run(None, feed)
        sums = span_scores(pair, start[0], end[0])
        return Reading(float(answers[0]), _best(sums, pair, text, 0, len(text)), _in_sentences(sums, pair, text))


def span_scores(pair: Pair, start: Floats, end: Floats) -> Floats:
    """Shape (tokens, tokens): the score of the span from one token to the other above that of [CLS], which stands for no answer."""
    said = pair.spans[:, 0] >= 0
    first, last = np.where(said, start[: len(said)], _NEVER), np.where(said, end[: len(said)], _NEVER)
    sums = first[:, None] + last[None, :] - (start[0] + end[0])
    places = np.arange(len(said))
    length = places[None, :] - places[:, None]
    scores: Floats = np.where((length >= 0) & (length < LONGEST), sums, 2 * _NEVER)
    return scores


def _best(sums: Floats, pair: Pair, text: str, start: int, end: int) -> Span | None:
    """The best span within these characters of the text."""
    inside = np.flatnonzero((pair.spans[:, 0] >= start) & (pair.spans[:, 1] <= end))
    if not len(inside):
        return None
    own = sums[inside[0] : inside[-1] + 1, inside[0] : inside[-1] + 1]
    first, last = np.unravel_index(int(own.argmax()), own.shape)
    return Span(text[pair.spans[inside[0] + first, 0] : pair.spans[inside[0] + last, 1]], float(own[first, last]))


def _in_sentences(sums: Floats, pair: Pair, text: str) -> tuple[Span, ...]:
    found, at = [], 0
    for sentence in sentences(text):
        at = text.index(sentence, at)
        best = _best(sums, pair, text, at, at + len(sentence))
        # Beyond the last token that is read, nothing is known: the lowest score there is here.
        found.append(Span(sentence, best.score if best else float(sums.min(initial=0.0, where=sums > _NEVER / 2))))
        at += len(sentence)
    return tuple(found)
