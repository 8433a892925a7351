"""Confidence: the calibrated probability that an answer is acceptable, from the route, the evidence and the draft.

Two logistic regressions, one that may look at the draft and one that may not (for streaming). Fitted on the experts' `train` questions, as
they are, with the right document withheld and asked of the wrong expert, by `switchyard train confidence`; the weights ship in
artifacts/confidence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError
from core.types import NO_ANSWER, Citation, Hit
from graph.citations import claims, support
from retrieval.encoder import Encoder
from retrieval.reader import Weights, sentence_features, split_passages
from retrieval.text import normalise, terms

BEFORE = ("route", "cosine", "cosine_gap", "coverage")
AFTER = (*BEFORE, "relevance", "draft_coverage", "support", "reader", "answers")


@dataclass(frozen=True, slots=True)
class Logistic:
    """Weights per signal, and the intercept."""

    weights: dict[str, float]
    intercept: float

    def probability(self, parts: Mapping[str, float]) -> float:
        """P in (0, 1) of signals that hold at least this model's."""
        logit = self.intercept + sum(weight * parts[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-40.0, min(40.0, logit))))


@dataclass(frozen=True, slots=True)
class Confidence:
    """Both regressions."""

    before: Logistic
    after: Logistic

    @classmethod
    def read(cls, path: Path) -> Confidence:
        """Load the weights. Raises InputError when they are missing or of other signals."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            found = cls(Logistic(**data["before"]), Logistic(**data["after"]))
            same = set(found.before.weights) == set(BEFORE) and set(found.after.weights) == set(AFTER)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: expected the confidence's weights: {error}. Run: switchyard train confidence") from None
        if not same:
            raise InputError(f"{path}: fitted for other signals. Run: switchyard train confidence")
        return found


def before_answer(question: str, expert: str, scores: Mapping[str, float], hits: Sequence[Hit]) -> dict[str, float]:
    """The signals that are known before a model has answered, all in [-1, 1]."""
    cosines = [hit.cosine for hit in hits]
    wanted = set(terms(question))
    known = {t for hit in hits[:2] for t in terms(f"{hit.passage.title} {hit.passage.text}")}
    top = max(cosines, default=0.0)
    return {
        "route": scores.get(expert, 0.0),
        "cosine": top,
        "cosine_gap": top - (sum(cosines) / len(cosines) if cosines else 0.0),
        "coverage": len(wanted & known) / max(1, len(wanted)),
    }


def after_answer(
    question: str, text: str, hits: Sequence[Hit], citations: Sequence[Citation], encoder: Encoder, reader: Weights
) -> dict[str, float]:
    """The signals that the draft adds, all in [-1, 1]."""
    if says_nothing(text):
        return dict.fromkeys(("relevance", "draft_coverage", "support", "reader", "answers"), 0.0)
    said = [claim for claim, _ in claims(text)]
    vector = encoder.encode([question])[0]
    wanted = set(terms(question))
    return {
        "relevance": max((float(v @ vector) for v in encoder.encode(said)), default=0.0),
        "draft_coverage": len(wanted & set(terms(text))) / max(1, len(wanted)),
        "support": support(text, hits),
        "reader": _reader_probability(question, hits, citations, encoder, reader),
        "answers": 1.0,
    }


def says_nothing(text: str) -> bool:
    """Whether a model said that the passages do not answer."""
    return not text.strip() or normalise(NO_ANSWER) in normalise(text)


def _reader_probability(question: str, hits: Sequence[Hit], citations: Sequence[Citation], encoder: Encoder, reader: Weights) -> float:
    """The highest probability, by the shipped reader, that a quoted sentence answers the question."""
    if not citations:
        return 0.0
    passages = [hit.as_dict() for hit in hits]
    split = split_passages(passages)
    quoted = {(c.n - 1, c.quote) for c in citations}
    scores = reader.probabilities(sentence_features(question, passages, split, encoder))
    return max((float(s) for (n, _, text), s in zip(split, scores, strict=True) if (n, text) in quoted), default=0.0)
