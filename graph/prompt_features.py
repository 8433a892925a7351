"""Cheap features of a prompt that tell something of its difficulty: read off the text, no model, well under a millisecond.

A prompt is taken apart into its stem and, where it is a multiple-choice question, its options (lines that begin with `A.` or `(A)`). The
last sentence of the stem is what is asked. Counts are log(1 + n), so that one long prompt does not outweigh all others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import log1p

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"[A-Za-z']+")
NUMBER = re.compile(r"\d[\d,]*\.?\d*")
OPTION = re.compile(r"\n\(?[A-J][.)]\s?")
SENTENCE = re.compile(r"(?<=[.!?])\s+")
SHORT_NUMBER = re.compile(r"(?=.*\d)[\s$€£%\-+.,\d/^()*a-zA-Z°]{1,14}")
LONG_WORD = 9

# Words that are counted in the stem, lower-cased.
WORDS = {
    "negations": "not except never no least neither nor cannot false incorrect isn't aren't doesn't don't didn't wasn't won't can't",
    "which": "which",
    "what": "what",
    "why": "why",
    "how": "how",
    "who": "who",
    "when": "when",
    "superlatives": "best most primary main",
    "conditions": "if",
    "assumptions": "suppose assume given let",
    "tasks": "find calculate compute determine evaluate solve",
    "following": "following",
    "according_to": "according",
    "each": "each every per",
    "than": "than",
    "comparisons": "more less fewer than many much",
    "multiples": "half third quarter twice double triple times percent",
    "remainders": "left remain remains remained remaining rest total altogether difference more less fewer",
    "steps": "then after before next later",
    "modals": "must may should would could",
    "persons": "he she his her they woman man",
    "rates": "average ratio rate probability speed",
    "durations": "hour hours minute minutes day days week weeks month months year years second seconds",
    "number_words": "one two three four five six seven eight nine ten dozen hundred thousand",
    "conjunctions": "and",
    "statements": "statement",
}
# Signs that are counted in the whole prompt.
SIGNS = {
    "blanks": r"___",
    "mathematics": r"[=+*/^<>∈√π∫∑\\]",
    "code": r"def |return |;\n|\(\)",
    "quotes": r"[\"“]",
    "brackets": r"\(",
    "percents": r"%",
    "dollars": r"\$",
    "fractions": r"\d/\d",
    "years": r"(?<!\d)(1[0-9]|20)\d\d(?!\d)",
    "commas": r"[,;]",
    "line_breaks": r"\n",
}
_SHOUTED = frozenset({"NOT", "EXCEPT", "LEAST", "FALSE", "INCORRECT"})
_NAMES_OF: dict[str, list[str]] = {}
for _name, _words in WORDS.items():
    for _word in _words.split():
        _NAMES_OF.setdefault(_word, []).append(_name)
_SIGNS = {name: re.compile(pattern) for name, pattern in SIGNS.items()}
_ABOUT_OTHERS = re.compile(r"(all|none|both) of (the (above|options|answers)|these)|both (a|b) and")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, taken apart. `options`: empty where it is no multiple-choice question. `words`: of the stem, lower-cased."""

    whole: str
    stem: str
    options: list[str]
    words: list[str]

    @classmethod
    def of(cls, text: str) -> Prompt:
        """Take a text apart. A closing `Answer:` is no part of the last option."""
        stem, *options = OPTION.split(text.strip().removesuffix("Answer:").rstrip())
        return cls(text, stem.strip(), [option.strip() for option in options], WORD.findall(stem.lower()))

    @property
    def asked(self) -> str:
        """The last sentence of the stem."""
        return SENTENCE.split(self.stem)[-1]


def prompt_features(texts: Sequence[str]) -> NDArray[np.float64]:
    """Shape (len(texts), len(FEATURES)), finite."""
    rows = [list(_features(text).values()) for text in texts]
    return np.array(rows, np.float64).reshape(len(texts), len(FEATURES))


def _features(text: str) -> dict[str, float]:
    prompt = Prompt.of(text)
    words = WORD.findall(text)
    counts = dict.fromkeys(WORDS, 0)
    for word in prompt.words:
        for name in _NAMES_OF.get(word, ()):
            counts[name] += 1
    counts |= {name: len(pattern.findall(text)) for name, pattern in _SIGNS.items()}
    counts["shouted_negations"] = sum(word in _SHOUTED for word in words)
    logs = {name: log1p(n) for name, n in counts.items()}
    return _lengths(prompt) | logs | _numbers(prompt) | _style(prompt, words) | _options(prompt)


def _lengths(prompt: Prompt) -> dict[str, float]:
    """Of the prompt, its stem (letters, words and sentences), and what is asked; mean letters a sentence."""
    sentences = len(SENTENCE.split(prompt.stem))
    counts = {
        "length": len(prompt.whole),
        "stem_length": len(prompt.stem),
        "stem_words": len(prompt.words),
        "sentences": sentences,
        "asked_length": len(prompt.asked),
        "sentence_length": len(prompt.stem) / sentences,
    }
    return {name: log1p(n) for name, n in counts.items()}


def _numbers(prompt: Prompt) -> dict[str, float]:
    """The stem's numbers: how many, different ones, with decimals, of three digits or more; the largest; digits in what is asked."""
    numbers = [number.rstrip(".,") for number in NUMBER.findall(prompt.stem)]
    # So long a number is none that anybody calculates with, and float() of it could be infinite.
    values = [float(number.replace(",", "")) for number in numbers if len(number) < 20]
    return {
        "numbers": log1p(len(numbers)),
        "different_numbers": log1p(len(set(numbers))),
        "number_density": len(numbers) / max(1, len(prompt.stem.split())),
        "decimals": log1p(sum("." in number for number in numbers)),
        "long_numbers": log1p(sum(len(number) > 2 for number in numbers)),
        "largest_number": log1p(max(values, default=0.0)),
        "asked_digits": log1p(sum(c.isdigit() for c in prompt.asked)),
    }


def _style(prompt: Prompt, words: Sequence[str]) -> dict[str, float]:
    """Word lengths, variety, capitals, foreign letters and density of formulas of the prompt; how the stem ends."""
    size, n = max(1, len(prompt.whole)), max(1, len(words))
    capitalised = [word for word in words if len(word) > 1 and word.istitle()]
    return {
        "word_length": sum(map(len, words)) / n,
        "long_words": sum(len(word) >= LONG_WORD for word in words) / n,
        "variety": len(set(prompt.words)) / max(1, len(prompt.words)),
        "capitalised": log1p(len(capitalised)),
        "names": log1p(len(set(capitalised))),
        "capitals": sum(map(str.isupper, prompt.whole)) / size,
        "foreign_letters": (len(prompt.whole.encode("utf-8", "replace")) - len(prompt.whole)) / size,
        "formula_density": 10 * len(_SIGNS["mathematics"].findall(prompt.whole)) / size,
        "ends_with_question_mark": float(prompt.stem.endswith("?")),
        "ends_with_colon": float(prompt.stem.endswith(":")),
        "ends_open": float(prompt.stem[-1:].islower()),
    }


def _options(prompt: Prompt) -> dict[str, float]:
    """The options: number, lengths and their spread, overlap of words with each other and the stem, numeric, one word, about others."""
    options = prompt.options
    lengths = [len(option) for option in options] or [0]
    mean = sum(lengths) / len(lengths)
    words = [set(WORD.findall(option.lower())) for option in options]
    stem = set(prompt.words)
    overlaps = [len(a & b) / max(1, len(a | b)) for a, b in combinations(words, 2)] or [0.0]
    n = max(1, len(options))
    return {
        "options": float(len(options)),
        "option_length": log1p(mean),
        "longest_option": log1p(max(lengths)),
        "option_spread": log1p(max(lengths) - min(lengths)),
        "longest_to_mean": max(lengths) / max(1.0, mean),
        "option_overlap": sum(overlaps) / len(overlaps),
        "largest_overlap": max(overlaps),
        "options_in_stem": sum(len(own & stem) / max(1, len(own)) for own in words) / n,
        "options_with_number": sum(bool(NUMBER.search(option)) for option in options) / n,
        "options_all_number": sum(bool(SHORT_NUMBER.fullmatch(option)) for option in options) / n,
        "options_one_word": sum(len(option.split()) <= 1 for option in options) / n,
        "options_about_others": float(any(_ABOUT_OTHERS.search(option.lower()) for option in options)),
    }


FEATURES = tuple(_features(""))
"""The names of the columns."""
_CONTENT = (
    {*WORDS, "capitalised", "names", "commas", "fractions", "sentence_length", "asked_length", "asked_digits"}
    | {"different_numbers", "long_numbers"}
) - {"negations", "statements"}
STRUCTURE = tuple(name for name in FEATURES if name not in _CONTENT)
"""How a prompt is built rather than what it is about: what also holds for subjects that no example was of."""
