"""Find the sentences that answer a question: a linear ranking of sentences by meaning, shared words and kind of answer.

The weights are fitted on the experts' `train` questions (`switchyard train reader`) and ship in artifacts/reader.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from retrieval.encoder import Encoder
from retrieval.text import sentences, terms, words

FEATURES = (
    "cosine",
    "cosine_title",
    "overlap",
    "overlap_title",
    "overlap_previous",
    "bigrams",
    "density",
    "number",
    "date",
    "name",
    "cause",
    "advice",
    "passage_rank",
    "passage_score",
    "first",
    "length",
    "pronoun",
    "best_cosine_gap",
    "best_overlap_gap",
)
_KINDS = (
    (  # number
        r"\bhow (?:many|much|long|old|fast|far|often|high|big|deep|hot|cold|large)\b|\bpercent|"
        r"\bwhat (?:age|temperature|pressure|share|number)\b",
        r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|half|quarter|third|twice|"
        r"dozen|hundred|thousand|million|billion)\b",
    ),
    (r"\bwhen\b(?! (?:you|i|a|the)\b)|\b(?:what|which) (?:year|decade|date)\b", r"\b1[5-9]\d\d|\b20\d\d|\bcentury\b"),  # date
    (  # name
        r"\bwho(?:se|m)?\b|\bwhere\b|\bwhich (?:company|country|city|maker|car|model|man|woman|firm)\b|\bname\b|\bcalled\b",
        r"(?-i:(?<!^)(?<![.!?] )\b[A-Z][a-z]+\b)",
    ),
    (  # cause
        r"\bwhy\b|\bhow (?:does|do|did|come)\b|\bwhat (?:causes?|makes)\b",
        r"\b(?:because|since|due to|causes?|caused|so that|therefore|leads? to|allow(?:s|ed)?|result(?:s|ed)?|means?|by \w+ing|"
        r"reduc\w+|makes?)\b",
    ),
    (  # advice
        r"\b(?:should|can|could|may|must|is it (?:ok|safe|bad|normal)|do i|am i)\b",
        r"\b(?:should|must|can|may|never|do not|avoid|stop|safe|not)\b",
    ),
)
_ASKS = tuple(re.compile(asks, re.I) for asks, _ in _KINDS)
_HOLDS = tuple(re.compile(holds, re.I) for _, holds in _KINDS)
_PRONOUN = re.compile(r"^(?:It|They|This|These|That|Those|He|She|Its|Their|His|Her|Such|Both)\b")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage. `score`: probability in [0, 1] that it answers the question."""

    text: str
    passage: int
    position: int
    score: float


@dataclass(frozen=True, slots=True)
class Weights:
    """A fitted ranking."""

    coefficients: tuple[float, ...]
    intercept: float

    @classmethod
    def read(cls, path: Path) -> Weights:
        """Load weights. Raises InputError when they are of other features."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if tuple(data["features"]) != FEATURES:
                raise InputError(f"{path}: fitted for other features. Run: switchyard train reader")
            if len(data["coefficients"]) != len(FEATURES):
                raise ValueError("there is not one coefficient a feature")
            return cls(tuple(data["coefficients"]), float(data["intercept"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: expected the reader's weights: {error}. Run: switchyard train reader") from None

    def probabilities(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shape (n,) for features of shape (n, len(FEATURES))."""
        logits: NDArray[np.float64] = features @ np.array(self.coefficients) + self.intercept
        return 1 / (1 + np.exp(-logits))


load_weights = cache(Weights.read)


def rank_sentences(question: str, passages: Sequence[Mapping[str, Any]], encoder: Encoder, weights: Weights) -> list[Sentence]:
    """All sentences of `passages` (dicts with title, text, score), best first."""
    split = split_passages(passages)
    if not split:
        return []
    scores = weights.probabilities(sentence_features(question, passages, split, encoder))
    ranked = [Sentence(text, n, i, float(s)) for (n, i, text), s in zip(split, scores, strict=True)]
    return sorted(ranked, key=lambda s: -s.score)


def split_passages(passages: Sequence[Mapping[str, Any]]) -> list[tuple[int, int, str]]:
    """(passage, position in it, sentence) in reading order."""
    return [(n, i, s) for n, p in enumerate(passages) for i, s in enumerate(sentences(str(p["text"])))]


def sentence_features(
    question: str, passages: Sequence[Mapping[str, Any]], split: Sequence[tuple[int, int, str]], encoder: Encoder
) -> NDArray[np.float64]:
    """Shape (number of sentences, len(FEATURES)); see FEATURES for the columns."""
    vector = encoder.encode([question])[0]
    cosines = encoder.encode([text for _, _, text in split]) @ vector
    titles = encoder.encode([str(p["title"]) for p in passages]) @ vector
    asked = dict.fromkeys(terms(question))
    bags = [set(terms(text)) for _, _, text in split]
    frequency = Counter(term for bag in bags for term in bag)
    rarity = {t: float(np.log(1 + len(bags) / (0.5 + frequency[t]))) for t in asked}
    total = sum(rarity.values()) or 1.0

    def overlap(bag: set[str]) -> float:
        return sum(w for t, w in rarity.items() if t in bag) / total

    overlaps = [overlap(bag) for bag in bags]
    with_title = [overlap(bag | set(terms(str(passages[n]["title"])))) for (n, _, _), bag in zip(split, bags, strict=True)]
    scores = [float(p["score"]) for p in passages]
    rows = []
    for at, (n, i, text) in enumerate(split):
        rows.append(
            (
                cosines[at],
                titles[n],
                overlaps[at],
                with_title[at],
                overlaps[at - 1] if i else 0.0,
                _shared_bigrams(question, text),
                len(bags[at] & set(asked)) / max(1, len(bags[at])),
                *fits_kind(question, text),
                1 / (1 + n),
                scores[n] - max(scores),
                float(i == 0),
                np.log1p(len(words(text))),
                float(needs_context(text)),
                cosines[at] - cosines.max(),
                overlaps[at] - max(overlaps),
            )
        )
    return np.array(rows, np.float64)


def fits_kind(question: str, sentence: str) -> tuple[bool, ...]:
    """For number, date, name, cause and advice: whether the question asks for one and the sentence holds one."""
    return tuple(bool(asks.search(question) and holds.search(sentence)) for asks, holds in zip(_ASKS, _HOLDS, strict=True))


def _shared_bigrams(question: str, sentence: str) -> float:
    """Share of the question's pairs of neighbouring content words that stand in the sentence."""
    asked, said = terms(question), terms(sentence)
    pairs = set(pairwise(asked))
    return len(pairs & set(pairwise(said))) / max(1, len(pairs))


def needs_context(sentence: str) -> bool:
    """Whether the sentence begins with a word that points back to the one before it."""
    return bool(_PRONOUN.match(sentence))
