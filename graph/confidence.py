"""Confidence: the calibrated probability that an answer is acceptable, from the route, the evidence and the draft.

Two logistic regressions, one that may look at the draft and one that may not (for streaming). Fitted on the experts' `dev` questions, as
they are, with the right document withheld and asked of the wrong expert, by `switchyard train confidence`; the weights ship in
artifacts/confidence. BEFORE and AFTER are always weighed. EXTRA signals are measured where they are there, and weighed where the fit found
that they help; one that is missing from an answer speaks neither for nor against it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import InputError
from core.types import NO_ANSWER, Citation, Hit
from graph.citations import claims, says_something_else, support
from graph.response_signals import response_signals
from retrieval.encoder import Encoder
from retrieval.reader import Reader
from retrieval.text import normalise, sentences, terms

BEFORE = ("route", "cosine", "cosine_gap", "coverage", "evidence")
AFTER = (*BEFORE, "relevance", "draft_coverage", "support", "reader", "answers")
EXTRA_BEFORE = ("margin", "superior_probability")
EXTRA_AFTER = (*EXTRA_BEFORE, "length", "hedging", "wrong_steps", "token_probability", "doubtful_tokens")
_LONGEST, _MOST_HEDGING = 7.0, 3.0
"""Logarithms of word counts that stand for 1: about 1,100 words, and 20 words of doubt."""
_SORRY = ("", "sorry ", "sorry but ", "i m sorry ", "i m sorry but ", "i am sorry ", "i am sorry but ", "unfortunately ")
_UNABLE = (
    *("i do not know", "i don t know", "i do not have", "i don t have", "i cannot", "i can not", "i can t", "i could not", "i couldn t"),
    *("i am unable", "i m unable", "the passage does not", "the passage doesn t", "the documents do not", "the documents don t"),
    *("the passages do not", "the passages don t", "the provided passages do not", "the provided passages don t", "none of the passages"),
    *("there is no information", "there s no information", "there is not enough information", "there isn t enough information"),
)
ROUNDED = 0.002
"""So far a probability lies at most from that of its signals when these were rounded to be stored."""
REFUSALS = (normalise(NO_ANSWER), *(sorry + unable for sorry in _SORRY for unable in _UNABLE))
"""How answers begin that are none, as `normalise` leaves them: models do not keep to the words that they are told to say."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """Weights per signal, and the intercept. `neutral`: what stands for an extra signal that is missing, its mean where it was fitted."""

    weights: dict[str, float]
    intercept: float
    neutral: dict[str, float] = field(default_factory=dict)

    def probability(self, parts: Mapping[str, float]) -> float:
        """P in (0, 1) of signals that hold at least this model's, but for those in `neutral`."""
        known = {**self.neutral, **parts}
        logit = self.intercept + sum(weight * known[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-40.0, min(40.0, logit))))

    def explained(self, parts: Mapping[str, float], p: float) -> dict[str, float]:
        """What each of the signals adds to the log-odds. Nothing where `p` was made by other weights, as before a new fit."""
        made = set(self.weights) <= {*self.neutral, *parts} and abs(self.probability(parts) - p) < ROUNDED
        return {name: weight * parts[name] for name, weight in self.weights.items() if name in parts} if made else {}

    def weighs(self, always: Sequence[str], extra: Sequence[str]) -> bool:
        """Whether it was fitted for these signals: all of `always`, and of `extra` those that have a neutral value."""
        return set(self.weights) == {*always, *self.neutral} and set(self.neutral) <= set(extra)


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
            same = found.before.weighs(BEFORE, EXTRA_BEFORE) and found.after.weighs(AFTER, EXTRA_AFTER)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: expected the confidence's weights: {error}. Run: switchyard train confidence") from None
        if not same:
            raise InputError(f"{path}: fitted for other signals. Run: switchyard train confidence")
        return found


def before_answer(
    question: str, expert: str, scores: Mapping[str, float], hits: Sequence[Hit], reader: Reader, superior_probability: float | None = None
) -> dict[str, float]:
    """The signals that are known before a model has answered, all in [-1, 1]."""
    cosines = [hit.cosine for hit in hits]
    wanted = set(terms(question))
    known = {t for hit in hits[:2] for t in terms(f"{hit.passage.title} {hit.passage.text}")}
    top, own = max(cosines, default=0.0), scores.get(expert, 0.0)
    found = {
        "route": own,
        "cosine": top,
        "cosine_gap": top - (sum(cosines) / len(cosines) if cosines else 0.0),
        "coverage": len(wanted & known) / max(1, len(wanted)),
        "evidence": reader.answers(question, [hit.to_read() for hit in hits]),
        "margin": own - max((p for name, p in scores.items() if name != expert), default=0.0),
    }
    return found if superior_probability is None else found | {"superior_probability": superior_probability}


def after_answer(
    question: str,
    text: str,
    hits: Sequence[Hit],
    citations: Sequence[Citation],
    encoder: Encoder,
    reader: Reader,
    token_logprobs: Sequence[float] = (),
) -> dict[str, float]:
    """The signals that the draft adds, all in [-1, 1]. `token_logprobs`: empty where the model gives none."""
    if says_nothing(text):
        return dict.fromkeys(AFTER[len(BEFORE) :], 0.0)
    wanted = set(terms(question))
    return {
        "relevance": _relevance(question, text, hits, encoder),
        "draft_coverage": len(wanted & set(terms(text))) / max(1, len(wanted)),
        "support": support(text, hits, question),
        "reader": _reader_probability(question, hits, citations, reader),
        "answers": float(not says_something_else(text, hits, question)),
        **_of_the_text(question, text, token_logprobs),
    }


def _relevance(question: str, text: str, hits: Sequence[Hit], encoder: Encoder) -> float:
    """The highest cosine of a claim with the question; a quoted sentence's is known from the search."""
    known = {quote: cosine for hit in hits for quote, cosine in zip(sentences(hit.passage.text), hit.sentences, strict=False)}
    said = [claim for claim, _ in claims(text)]
    own = encoder.encode([claim for claim in said if claim not in known]) @ encoder.encode([question])[0]
    return max([*own.tolist(), *(known[claim] for claim in said if claim in known)], default=0.0)


def _of_the_text(question: str, text: str, token_logprobs: Sequence[float]) -> dict[str, float]:
    """`token_probability`: the geometric mean over the tokens."""
    signals = response_signals(question, text, token_logprobs)
    found = {
        "length": min(1.0, signals["length"] / _LONGEST),
        "hedging": min(1.0, signals["hedging"] / _MOST_HEDGING),
        "wrong_steps": signals["wrong_steps"],
    }
    if not token_logprobs:
        return found
    return found | {"token_probability": math.exp(signals["logprob_mean"]), "doubtful_tokens": signals["doubtful_tokens"]}


def says_nothing(text: str) -> bool:
    """Whether a model said that the passages do not answer; what begins like a refusal and cites a passage may be an answer in part."""
    said = f"{normalise(text)} "
    if not text.strip() or REFUSALS[0] in said:
        return True
    return any(said.startswith(f"{refusal} ") for refusal in REFUSALS) and not any(numbers for _, numbers in claims(text))


def _reader_probability(question: str, hits: Sequence[Hit], citations: Sequence[Citation], reader: Reader) -> float:
    """The probability, by the shipped reader, that one of the quoted sentences answers the question."""
    if not citations:
        return 0.0
    quoted = {(c.n - 1, c.quote) for c in citations}
    ranked = reader.rank(question, [hit.to_read() for hit in hits])
    return math.fsum(s.score for s in ranked if (s.passage, s.text) in quoted)
