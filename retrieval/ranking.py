"""Which sentence answers the question: a linear ranking of what the reader read there, shared words and kind of answer.

The weights are fitted on the experts' `train` questions (`switchyard train reader`) and ship in artifacts/reader.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from retrieval.text import terms, words

if TYPE_CHECKING:
    from retrieval.encoder import Encoder, Vectors
    from retrieval.reader import Reading

FEATURES = (
    "answers",
    "span",
    "span_gap",
    "cosine",
    "cosine_gap",
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
    "first",
    "length",
    "pronoun",
)
EVIDENCE = ("answers", "cosine", "overlap_title")
"""Features whose highest value, beside the best sentence's score, tells whether the passages answer at all."""
RETRIEVAL = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""What a unit of the search's score may count beside the reader's log-odds."""
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
Floats = NDArray[np.float64]
_PRONOUN = re.compile(r"^(?:It|They|This|These|That|Those|He|She|Its|Their|His|Her|Such|Both)\b")


@dataclass(frozen=True, slots=True)
class Weights:
    """A fitted ranking.

    coefficients: what each feature counts in a sentence's score, unbounded. evidence: what the best score, and the highest value of each of
    EVIDENCE, count in the log-odds that the passages answer; intercept: theirs. retrieval: what a unit of the search's score counts beside
    the reader's log-odds when passages are ordered.
    """

    coefficients: tuple[float, ...]
    evidence: tuple[float, ...]
    intercept: float
    retrieval: float

    @classmethod
    def read(cls, path: Path) -> Weights:
        """Load weights. Raises InputError when they are of other features."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if tuple(data["features"]) != FEATURES:
                raise InputError(f"{path}: fitted for other features. Run: switchyard train reader --ranking")
            if (len(data["coefficients"]), len(data["evidence"])) != (len(FEATURES), 1 + len(EVIDENCE)):
                raise ValueError("there is not one coefficient a feature")
            return cls(tuple(data["coefficients"]), tuple(data["evidence"]), float(data["intercept"]), float(data["retrieval"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: expected the reader's weights: {error}. Run: switchyard train reader --ranking") from None

    def probabilities(self, features: Floats) -> Floats:
        """That each sentence is the one that answers: shape (n,), of features (n, len(FEATURES)) of at least one sentence.

        Their sum is the probability that the passages answer at all.
        """
        scores = features @ np.array(self.coefficients)
        logit = float(evidence(features, scores) @ np.array(self.evidence)) + self.intercept
        shares = np.exp(scores - scores.max())
        found: Floats = shares / shares.sum() / (1 + np.exp(-logit))
        return found


def evidence(features: Floats, scores: Floats) -> Floats:
    """Shape (1 + len(EVIDENCE),): the best sentence's score and the highest value of each of EVIDENCE, over a question's sentences."""
    return np.array([scores.max(), *features[:, [FEATURES.index(name) for name in EVIDENCE]].max(axis=0)])


def sentence_features(question: str, passages: Sequence[Mapping[str, Any]], readings: Sequence[Reading], encoder: Encoder) -> Floats:
    """Shape (number of sentences, len(FEATURES)), in reading order; at least one sentence. See FEATURES for the columns."""
    split = [(n, i, sentence) for n, reading in enumerate(readings) for i, sentence in enumerate(reading.sentences)]
    vector = encoder.encode([question])[0]
    cosines = np.concatenate([_cosines(p, reading, vector, encoder) for p, reading in zip(passages, readings, strict=True)])
    wanted, kinds = terms(question), asks_for(question)
    asked, pairs = dict.fromkeys(wanted), set(pairwise(wanted))
    said = [terms(sentence.text) for _, _, sentence in split]
    bags = [set(each) for each in said]
    title_bags = [set(terms(str(p["title"]))) for p in passages]
    frequency = Counter(term for bag in bags for term in bag)
    rarity = {t: float(np.log(1 + len(bags) / (0.5 + frequency[t]))) for t in asked}
    total = sum(rarity.values()) or 1.0

    def overlap(bag: set[str]) -> float:
        return sum(w for t, w in rarity.items() if t in bag) / total

    overlaps = [overlap(bag) for bag in bags]
    with_title = [overlap(bag | title_bags[n]) for (n, _, _), bag in zip(split, bags, strict=True)]
    best = max(sentence.score for _, _, sentence in split)
    rows = []
    for at, (n, i, sentence) in enumerate(split):
        rows.append(
            (
                readings[n].answers,
                sentence.score,
                sentence.score - best,
                cosines[at],
                cosines[at] - cosines.max(),
                overlaps[at],
                with_title[at],
                overlaps[at - 1] if i else 0.0,
                len(pairs & set(pairwise(said[at]))) / max(1, len(pairs)),
                len(bags[at] & set(asked)) / max(1, len(bags[at])),
                *fits_kind(kinds, sentence.text),
                1 / (1 + n),
                float(i == 0),
                np.log1p(len(words(sentence.text))),
                float(needs_context(sentence.text)),
            )
        )
    return np.array(rows, np.float64)


def _cosines(passage: Mapping[str, Any], reading: Reading, vector: Vectors, encoder: Encoder) -> Vectors:
    """Of each sentence with the question: what the search computed (a passage's `cosines`), where it did."""
    known = passage.get("cosines", ())
    if len(known) == len(reading.sentences):
        return np.asarray(known, np.float32)
    return encoder.encode([sentence.text for sentence in reading.sentences]) @ vector


def asks_for(question: str) -> tuple[bool, ...]:
    """For number, date, name, cause and advice: whether the question asks for one."""
    return tuple(bool(asks.search(question)) for asks in _ASKS)


def fits_kind(asked: Sequence[bool], sentence: str) -> tuple[bool, ...]:
    """For each kind: whether it is `asked` for, and the sentence holds one."""
    return tuple(bool(asks and holds.search(sentence)) for asks, holds in zip(asked, _HOLDS, strict=True))


def needs_context(sentence: str) -> bool:
    """Whether the sentence begins with a word that points back to the one before it."""
    return bool(_PRONOUN.match(sentence))
