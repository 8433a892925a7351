"""What a prompt and a response tell about whether the response is acceptable, without passages and without a second model.

`response_signals` gives named numbers: the calculation worked out again, where its numbers come from, hedging, repetition, length, and the
log-probabilities of the tokens where the provider gives them. `graph.confidence` takes some of them beside its evidence from the
passages; `evaluation.response_confidence` weighs them all on their own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graph.calculations import Calculation, calculations, numbers

LOW_LOGPROB = -2.0
"""A token of less than e^-2, about one chance in seven, was in doubt."""
FIRST_TOKENS = 3
LAST_TOKENS = 4
_NEAR = 0.01
_FINAL = "####"
_WORDS = re.compile(r"\w+")
_NAMES = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][a-z]+")
_SENTENCE = re.compile(r"[.!?]+(?:\s|$)|\n+")
_QUANTITIES = re.compile(
    r"\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|half|third|quarter|twice|double|triple)s?\b"
)
_COMPARES = re.compile(r"\b(more|less|fewer|than|times|twice|remaining|rest|each|every|per)\b")
_PATTERNS: Mapping[str, re.Pattern[str]] = {
    "hedging": re.compile(
        r"\b(may|might|could|perhaps|possibly|probably|likely|seems?|assum\w+|approximately|about|around|depends?|unclear|not sure"
        r"|reasonable)\b|≈"
    ),
    "restarts": re.compile(r"\b(however|actually|instead|wait|mistake|correction|rather|otherwise|again)\b"),
    "negations": re.compile(r"\b(no|not|never|none|nothing|nobody|cannot)\b|n't\b"),
    "absolutes": re.compile(r"\b(always|all|every|only|best|most|must|entirely|everyone)\b"),
}
_REFUSES = re.compile(
    r"\b(i (do not|don't|cannot|can't|am not|am unable)|i'm (not|sorry|unable)|no comment|as an ai|not enough information|do not answer)\b"
)


@dataclass(frozen=True, slots=True)
class Responded:
    """A prompt with a model's response. `token_logprobs`: natural logs, at most 0; None where the provider gives none."""

    prompt: str
    response: str
    token_logprobs: Sequence[float] | None = None


def response_signals(prompt: str, response: str, token_logprobs: Sequence[float] | None = None) -> dict[str, float]:
    """Named numbers, finite; counts as log(1 + n), shares and flags in [0, 1].

    Log-probabilities are there only when the provider gave some: a missing signal is no zero.
    """
    response = response.strip()
    said, asked = _WORDS.findall(response.lower()), _WORDS.findall(prompt.lower())
    sentences = [part for part in _SENTENCE.split(response) if part.strip()]
    found = {
        "prompt_length": math.log1p(len(prompt)),
        "prompt_sentences": math.log1p(len(_SENTENCE.findall(prompt))),
        "prompt_numbers": math.log1p(len(numbers(prompt)) + len(_QUANTITIES.findall(prompt.lower()))),
        "prompt_comparisons": math.log1p(len(_COMPARES.findall(prompt.lower()))),
        "length": math.log1p(len(said)),
        "sentences": math.log1p(len(sentences)),
        "finished": float(response[-1:] in tuple('.!?")') or _FINAL in response),
        "new_words": len(set(said) - set(asked)) / max(1, len(set(said))),
        "names": len(_NAMES.findall(response)) / max(1, len(said)),
        "repetition": _repetition(said),
        "refusal": float(bool(_REFUSES.search(response.lower()))),
        **{name: math.log1p(len(pattern.findall(response.lower()))) for name, pattern in _PATTERNS.items()},
    }
    return found | _calculation_signals(prompt, response) | _logprob_signals(token_logprobs or ())


def _repetition(words: Sequence[str]) -> float:
    """Share of the runs of three words that occurred before."""
    runs = list(zip(words, words[1:], words[2:], strict=False))
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def _calculation_signals(prompt: str, response: str) -> dict[str, float]:
    body, _, marked = response.partition(_FINAL)
    stated = calculations(body)
    steps = [c for n, c in enumerate(stated) if n == 0 or (c.operands, c.stated) != (stated[n - 1].operands, stated[n - 1].stated)]
    given, written = numbers(prompt), numbers(body)
    final = next(iter(numbers(marked)), written[-1] if written else None)
    results = [c.stated for c in steps]
    return {
        "steps": math.log1p(len(steps)),
        "restated": (len(stated) - len(steps)) / max(1, len(stated)),
        "wrong_steps": sum(not c.holds for c in stated) / max(1, len(stated)),
        "any_wrong_step": float(any(not c.holds for c in stated)),
        "unused_steps": _unused(steps, final),
        "fractions": sum(not _whole(value) for value in results) / max(1, len(results)),
        "prompt_numbers_unused": sum(not _near(n, written) for n in given) / max(1, len(given)),
        "foreign_numbers": _foreign(steps, given, prompt),
        "has_final": float(final is not None),
        "final_whole": float(final is not None and _whole(final)),
        "final_calculated": float(final is not None and _near(final, results)),
        "final_is_last": float(final is not None and _near(final, results[-1:])),
        "final_given": float(final is not None and final in given),
        "final_size": math.log1p(abs(final)) if final is not None else 0.0,
    }


def _unused(steps: Sequence[Calculation], final: float | None) -> float:
    """How many results (log) neither a later step nor the final answer takes up: a thread that was dropped."""
    dropped = 0
    for n, step in enumerate(steps[:-1]):
        later = [operand for s in steps[n + 1 :] for operand in s.operands]
        dropped += not _near(step.stated, later if final is None else [*later, final])
    return math.log1p(dropped)


def _foreign(steps: Sequence[Calculation], given: Sequence[float], prompt: str) -> float:
    """How many operands (log) are neither in the prompt, nor the result of an earlier step, nor 1, 2 or 100."""
    if _QUANTITIES.search(prompt.lower()):
        given = [*given, *range(3, 13), 0.5, 0.25]
    known, foreign = [*given, *(100 * n for n in given), 1.0, 2.0, 100.0], 0
    for step in steps:
        foreign += sum(not _near(operand, known) for operand in step.operands)
        known += [step.stated, step.value]
    return math.log1p(foreign)


def _near(value: float, others: Collection[float]) -> bool:
    return any(math.isclose(value, other, rel_tol=_NEAR) for other in others)


def _whole(value: float) -> bool:
    return abs(value - round(value)) < 1e-9


def _logprob_signals(token_logprobs: Sequence[float]) -> dict[str, float]:
    """Of the tokens in order; empty when there are none."""
    if not token_logprobs:
        return {}
    values = np.asarray(token_logprobs, np.float64)
    low, quarter, middle = np.quantile(values, (0.1, 0.25, 0.5))
    return {
        "logprob_mean": float(values.mean()),
        "logprob_min": float(values.min()),
        "logprob_low": float(low),
        "logprob_quarter": float(quarter),
        "logprob_median": float(middle),
        "logprob_first": float(values[:FIRST_TOKENS].mean()),
        "logprob_last": float(values[-LAST_TOKENS:].mean()),
        "logprob_spread": float(values.std()),
        "doubtful_tokens": float((values < LOW_LOGPROB).mean()),
    }
