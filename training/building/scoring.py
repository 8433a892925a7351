"""What an answer is worth: compared with a reference, and with the passages that it was to be drawn from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from evaluation.metrics import exact_match, token_f1
from graph.citations import support
from training.building.instructions import Instruction

_CURRENCY = "$€£"
_MINUS = "\u2212\u2013"
"""The minus sign and the dash that stands for one."""
_SPACES = "\u202f\u2009\u00a0"
"""Narrow and unbreakable ones, between thousands and before units."""
_SIGN = rf"(?:(?<![\w)\]}}%])[-+{_MINUS}][{_CURRENCY}]?)?"
"""None is a sign that stands after something: F-16, 10-20."""
_NUMBER = re.compile(
    rf"{_SIGN}(?:(?:\d{{1,3}}(?:[,{_SPACES}]\d{{3}})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+{_MINUS}]?\d+)?|\.\d+)",
)
_PLAIN = str.maketrans(dict.fromkeys(f",{_SPACES}{_CURRENCY}", "") | dict.fromkeys(_MINUS, "-"))
_DECORATION = f"{_CURRENCY}%. {_SPACES}"
_FINAL = "####"
"""What GSM8K writes before the number at the end of its reference answers."""
_TOKEN = re.compile(r"[^\W_]+")
_MARKER = re.compile(r"\s*\[\d+(?:\s*[,;]\s*\d+)*\]")
CLOSE = 1e-6


@dataclass(frozen=True, slots=True)
class Scores:
    """Each in [0, 1], higher is better; None where it does not apply, or where a judge stated no verdict."""

    exact_match: float | None = None
    f1: float | None = None
    rouge_l: float | None = None
    numeric: float | None = None
    groundedness: float | None = None
    judge: float | None = None

    @property
    def score(self) -> float | None:
        """The one number that training data are made by: the first that applies of numeric, judge, f1 and groundedness."""
        return next((value for name in ORDER if (value := asdict(self)[name]) is not None), None)


ORDER = ("numeric", "judge", "f1", "groundedness")
MEASURES = tuple(Scores.__slots__)


def measure(one: Instruction, answer: str, judged: float | None = None) -> Scores:
    """All that can be said of an answer. `judged`: what a judge said, in [0, 1]."""
    said = _MARKER.sub("", answer) if one.passages else answer
    right = list(one.references)
    return Scores(
        exact_match(said, right) if right else None,
        token_f1(said, right) if right else None,
        max(rouge_l(said, reference) for reference in right) if right else None,
        numeric(said, right),
        support(answer, one.passages) if one.passages else None,
        judged,
    )


def numeric(answer: str, references: Sequence[str]) -> float | None:
    """1 when the answer's last number equals one of the references, else 0; None unless the references are numbers."""
    right = [number for reference in references if (number := _whole_number(reference)) is not None]
    if not right or len(right) < len(references):
        return None
    stated = _NUMBER.findall(answer)
    if not stated:
        return 0.0
    last = _value(stated[-1])
    return float(any(abs(last - number) <= CLOSE * max(1.0, abs(number)) for number in right))


def rouge_l(answer: str, reference: str) -> float:
    """F1 of the longest common subsequence of words, in [0, 1] (Lin: ROUGE, 2004); words in lower case, not stemmed."""
    said, right = (_TOKEN.findall(text.lower()) for text in (answer, reference))
    return 2 * _common(said, right) / (len(said) + len(right)) if said and right else 0.0


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, with the bits of one number as a row (Hyyrö: Bit-Parallel LCS-length, 2004)."""
    places: dict[str, int] = {}
    for n, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << n
    all_ = (1 << len(a)) - 1
    row = all_
    for word in b:
        met = row & places.get(word, 0)
        row = (row + met | row - met) & all_
    return len(a) - row.bit_count()


def _whole_number(reference: str) -> float | None:
    """The number that a reference is, its currency or per cent aside; None where it is more than that."""
    text = reference.rpartition(_FINAL)[2].strip(_DECORATION)
    return _value(text) if _NUMBER.fullmatch(text) else None


def _value(number: str) -> float:
    return float(number.translate(_PLAIN))
