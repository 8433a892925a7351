"""Whether a sentence says what its passages say, as far as can be told without understanding it: its numbers, and what it denies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from retrieval.text import sentences, terms, words

ALIKE = 0.8
"""A sentence of a passage says the same as a claim, or the opposite, when it holds at least this share of the claim's content words ..."""
NO_MORE = {True: 0.4, False: 0.8}
"""... and the claim this share of its own; more where the claim denies nothing, for what the passage denies may be the rest of it."""
_REPLY = re.compile(r"^\W*(?:no|not (?:always|really|quite)|usually not|rarely)\b[,.:;]\s*", re.I)
_LIST_MARK = re.compile(r"(?m)^\s*\d{1,2}[.)](?=\s|$)")
_TOKEN = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|[^\W\d_]+(?:['’]t\b)?\d*")
_ONES = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {word: n for n, word in enumerate(_ONES.split(), 1)} | {word: 10 * n for n, word in enumerate(_TENS.split(), 2)} | {"dozen": 12}
_PLACES = "first second third fourth fifth sixth seventh eighth ninth tenth"
_ORDINALS = {word: n for n, word in enumerate(_PLACES.split(), 1)}
_LARGE = {"thousand": 1e3, "million": 1e6, "billion": 1e9}
_DENIALS = {"not", "no", "never", "cannot", "neither", "nor", "none", "without", "nobody", "nothing"}


def faithful(claim: str, texts: Sequence[str], asked: str = "") -> bool:
    """Whether every number of the claim stands in one of these texts or in what was `asked`, and no sentence of them says the opposite.

    What it cannot see: a false word for a true one ("improves" for "suppresses").
    """
    known = _numbers(asked).union({1.0}, *(_numbers(text) | _ordinals(text) for text in texts))
    return _numbers(claim) <= known and not _denied(claim, texts)


def _denied(claim: str, texts: Sequence[str]) -> bool:
    claim = _REPLY.sub("", claim)
    wanted, denies = set(terms(claim)), _denies(claim)
    same = [s for text in texts for s in sentences(text) if _alike(wanted, set(terms(s)), NO_MORE[denies])]
    return bool(same) and all(_denies(s) != denies for s in same)


def _alike(wanted: set[str], said: set[str], share: float) -> bool:
    both = len(wanted & said)
    return both >= ALIKE * max(1, len(wanted)) and both >= share * len(said)


def _denies(sentence: str) -> bool:
    said = words(re.sub(r"\bnot only\b", "", sentence, flags=re.I))
    return any(word in _DENIALS or word.endswith(("n't", "n’t")) for word in said)


@lru_cache(maxsize=512)
def _numbers(text: str) -> frozenset[float]:
    """In digits or in words, as values: 1,850, "two thousand", "twenty-five". A number that begins a line of a list is none."""
    return frozenset(_values(_LIST_MARK.sub("", text)))


def _ordinals(text: str) -> set[float]:
    return {float(_ORDINALS[word]) for word in words(text) if word in _ORDINALS}


def _values(text: str) -> Iterator[float]:
    """Words of a number follow each other: "two hundred and fifty thousand" is one. So do digits and a large word: 1.5 million."""
    total, part, worded = 0.0, -1.0, False  # part: of a number that is not over yet; -1: there is none
    for said in _TOKEN.findall(text.lower()):
        n = _SMALL.get(said, 0)
        if part >= 0 and said in _LARGE:
            total, part = total + part * _LARGE[said], 0.0
        elif said == "hundred":
            part, worded = 100 * max(1.0, part), True
        elif n and worded and part >= 0 and (part % 100 == 0 or (n < 10 and part % 100 >= 20 and part % 10 == 0)):
            part += n
        elif not (said == "and" and worded and part >= 100 and part % 100 == 0):
            if part >= 0:
                yield total + part
            digits = said[0].isdecimal()
            total, part, worded = 0.0, float(said.replace(",", "")) if digits else float(n or -1), not digits
    if part >= 0:
        yield total + part
