"""Sentences, words and the normal form in which facts are compared."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

import Stemmer

_ABBREVIATIONS = "Dr|Mr|Mrs|Ms|Prof|St|Jr|Sr|vs|etc|e\\.g|i\\.e|cf|Fig|No|approx|Inc|Ltd|Co|Corp|U\\.S|U\\.K|a\\.m|p\\.m"
_CAPITALS = "A-Z" + "".join(letter for letter in map(chr, range(0xC0, 0x2000)) if letter.isupper())
_END = re.compile(
    rf"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[{_CAPITALS}0-9])"
    r"|(?<=[。！？｡])[”’」』）)】》〉]*+\s*+(?=[^\s。！？｡…])"  # Chinese and Japanese need no space here
)
# A single capital is an initial, as in Karl F. Benz, but not in "It was a Model T. The price fell." A line's first number counts an item.
_NOT_END = re.compile(rf"(?:^|[\s(\"“])(?:{_ABBREVIATIONS}|(?<!Model\s)[{_CAPITALS}])\.$|^\d{{1,3}}\.$")
_LONGEST = 12
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")

_COMMON = (
    "a about after again all also am an and any are as at be been before being between both but by can could did do does doing don "
    "down during each few for from further get had has have having he her here hers him his how i if in into is it its itself just "
    "me more most my no nor not now of off on once only or other our out over own please same she should so some such tell than "
    "that the their them then there these they this those through to too under until up us very was we were what when where which "
    "while who whom why will with would you your"
)
STOPWORDS = frozenset(_COMMON.split())


def sentences(text: str) -> list[str]:
    """Split prose into sentences, each a verbatim slice of `text` without the white space around it."""
    found: list[str] = []
    for line in text.split("\n"):
        start = 0
        for end in _END.finditer(line):
            # Only the last word can be an abbreviation; looking at more would take quadratic time.
            if not _NOT_END.search(line, max(start - 1, 0, end.start() - _LONGEST), end.start()):
                found.append(line[start : end.end()].strip())
                start = end.end()
        if line[start:].strip():
            found.append(line[start:].strip())
    return found


def normalise(text: str) -> str:
    """Lower case, no punctuation, single spaces: the form in which key facts are compared. 1,850 becomes 1850, and 3.5 stays whole."""
    plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", unicodedata.normalize("NFKC", text).lower())
    return " ".join(re.sub(r"(?!(?<=\d)\.(?=\d))[^\w\s]", " ", plain).split())


def contains_key(text: str, key: str) -> bool:
    """Whether one of the alternatives of `key` (separated by |) stands in `text`, on word boundaries."""
    hay = f" {normalise(text)} "
    return any(f" {alternative} " in hay for part in key.split("|") if (alternative := normalise(part)))


def locate_key(text: str, key: str) -> list[tuple[int, int]]:
    """Where alternatives of `key` (separated by |) stand in `text`, as (start, end) in characters, compared as `contains_key` does."""
    found = []
    for part in key.split("|"):
        # Thousands may be grouped in the text: 1850 is 1,850 there.
        said = [",?".join(word) if word.isdigit() else re.escape(word) for word in normalise(part).split()]
        if said:
            found += [m.span() for m in re.finditer(r"(?<!\w)(?<!\d\.)" + r"[^\w]+".join(said) + r"(?!\w)(?!\.\d)", text, re.I)]
    return sorted(set(found))


def words(text: str) -> list[str]:
    """Lower-cased words and numbers."""
    return [w.lower() for w in _WORD.findall(text)]


@lru_cache(maxsize=2_048)
def terms(text: str) -> tuple[str, ...]:
    """Stemmed content words, as BM25 and the readers compare them. Those of the last texts are kept: a turn asks for a sentence's often."""
    return tuple(w if w.isdigit() else stem(w) for w in words(text) if w not in STOPWORDS)


@cache
def _stemmer() -> Stemmer.Stemmer:
    return Stemmer.Stemmer("english")


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """An English word without its endings (Snowball)."""
    return str(_stemmer().stemWord(word))
