"""Rows that say the same: duplicates, near-duplicates by words and by meaning, and the same question answered in other ways.

Two questions are near-duplicates when they share most words (Jaccard index of the stemmed words) or lie very near each other (cosine of
their vectors), unless each names something that the other does not; and when they lie near and their answers agree, since paraphrases
share few words but have one answer. Every pair of rows is compared, none is sampled. The thresholds were chosen on the shipped experts'
questions: all pairs above 0.6 were read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.results import Progress
from retrieval.encoder import Encoder, Vectors
from retrieval.text import contains_key, normalise, stem, terms, words
from training.prepare.findings import Finding
from training.prepare.rows import Row

SHARED_WORDS = 0.8
SAME_MEANING = 0.91
NEAR_MEANING = 0.75
SAME_ANSWER = 0.7
HELD_OUT = {"test": 2, "dev": 1, "train": 0, "": -1}
"""The higher, the more a split must be kept from others."""
_BLOCK = 4_000_000
# Without "one", which is more often a pronoun.
_NUMBERS = {word: str(n) for n, word in enumerate("two three four five six seven eight nine ten eleven twelve".split(), 2)}  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Pair:
    """Near-duplicates: numbers of two rows, the first the smaller. cosine: of the questions, in [-1, 1]; agree: the answers do."""

    first: int
    second: int
    cosine: float
    agree: bool


def without_duplicates(rows: Sequence[Row]) -> tuple[list[Row], list[Finding]]:
    """One row of each question with one answer, of the split that is held out most, and of those the first.

    It takes the key and the document from the others where it has none. Rows about different documents are different.
    """
    kept: dict[tuple[str, str], list[Row]] = {}
    findings = []
    for row in sorted(rows, key=lambda row: -HELD_OUT[row.split]):
        same = kept.setdefault((_plain(row.question), _plain(row.answer)), [])
        n = next((n for n, other in enumerate(same) if not (row.document and other.document) or row.document == other.document), None)
        if n is None:
            same.append(row)
        else:
            findings.append(_duplicate(row, same[n]))
            same[n] = replace(same[n], key=same[n].key or row.key, document=same[n].document or row.document)
    remaining = {row.at: row for row in chain(*kept.values())}
    return [remaining[row.at] for row in rows if row.at in remaining], findings


def _duplicate(row: Row, kept: Row) -> Finding:
    taken = [name for name in ("key", "document") if getattr(row, name) and not getattr(kept, name)]
    detail = "the same question and answer" + (f"; the other takes its {' and '.join(taken)}" if taken else "")
    if row.split in ("", kept.split):
        return Finding("duplicate", row.at, row.question, detail, kept.at)
    return Finding("leak", row.at, row.question, f"in {row.split}, and in {kept.split} {detail}", kept.at)


def near_duplicates(rows: Sequence[Row], encoder: Encoder, progress: Progress) -> list[Pair]:
    """All pairs of near-duplicates, in the order of the rows."""
    vectors = _encode(encoder, [row.question for row in rows], progress("Comparing questions", len(rows)))
    found = _candidates(vectors, _word_matrix(rows))
    if not len(found):
        return []
    involved = np.unique([found["first"], found["second"]]).tolist()
    answers = _encode(encoder, [rows[n].answer for n in involved], progress("Comparing answers", len(involved)))
    place = {n: k for k, n in enumerate(involved)}
    pairs = []
    for first, second, cosine, shared in found.tolist():
        a, b = rows[first], rows[second]
        agree, partly = _agreement(a, b, float(answers[place[first]] @ answers[place[second]]))
        same = (cosine >= SAME_MEANING or shared >= SHARED_WORDS) and (partly or not _other_things(a.question, b.question))
        if (agree or same) and not _other_numbers(a.question, b.question):
            pairs.append(Pair(first, second, cosine, agree))
    return pairs


def alike(rows: Sequence[Row], pairs: Sequence[Pair]) -> list[Finding]:
    """A finding for each row that has an earlier near-duplicate, about the nearest one; a contradiction before all others."""
    found: dict[int, tuple[bool, float, Finding]] = {}
    for pair in pairs:
        a, b = rows[pair.first], rows[pair.second]
        contradicts = not pair.agree and _plain(a.question) == _plain(b.question)
        detail = f'"{b.answer}", and there "{a.answer}"' if contradicts else f'cosine {pair.cosine:.2f}: "{a.question}"'
        finding = Finding("contradiction" if contradicts else "near-duplicate", b.at, b.question, detail, a.at)
        if pair.second not in found or found[pair.second][:2] < (contradicts, pair.cosine):
            found[pair.second] = (contradicts, pair.cosine, finding)
    return [finding for _, _, finding in found.values()]


def _candidates(vectors: Vectors, bags: Any) -> NDArray[Any]:
    """Pairs (first, second, cosine, shared words) that may be near-duplicates: near each other, or of the same words."""
    n, sizes = len(vectors), np.diff(bags.indptr)
    kind = [("first", np.int64), ("second", np.int64), ("cosine", np.float64), ("shared", np.float64)]
    blocks = [np.zeros(0, kind)]
    step = max(1, _BLOCK // max(1, n))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        cosines = vectors[rows] @ vectors.T
        both = (bags[rows] @ bags.T).toarray()
        shared = both / np.maximum(1, sizes[rows, None] + sizes - both)
        later = np.arange(n) > np.arange(n)[rows, None]
        first, second = np.nonzero(later & ((cosines >= NEAR_MEANING) | (shared >= SHARED_WORDS)))
        block = np.zeros(len(first), kind)
        block["first"], block["second"] = first + start, second
        block["cosine"], block["shared"] = cosines[first, second], shared[first, second]
        blocks.append(block)
    return np.concatenate(blocks)


def _word_matrix(rows: Sequence[Row]) -> Any:
    """Which stemmed words, stop words too, stand in which question: a sparse matrix of ones, shape (rows, words)."""
    from scipy.sparse import csr_array

    numbers: dict[str, int] = {}
    bags = [{numbers.setdefault(stem(word), len(numbers)) for word in words(row.question)} for row in rows]
    ends = np.cumsum([0, *map(len, bags)])
    return csr_array((np.ones(ends[-1]), list(chain(*bags)), ends), shape=(len(rows), max(1, len(numbers))))


def _encode(encoder: Encoder, texts: Sequence[str], advance: Callable[[int], None]) -> Vectors:
    vectors = np.zeros((len(texts), encoder.dimensions), np.float32)
    for n, text in enumerate(texts):
        vectors[n] = encoder.encode([text])[0]
        advance(1)
    return vectors


def _agreement(a: Row, b: Row, cosine: float) -> tuple[bool, bool]:
    """Whether the answers say the same, and whether they do so in part.

    They do when each holds the other's key (without one, the whole answer), or when they lie near each other; in part when one holds the
    other's. A mere yes or no says nothing about what was asked.
    """
    if any(set(terms(row.answer)) <= {"yes"} for row in (a, b)):
        return False, False
    holds = [contains_key(one.answer, other.key or other.answer.replace("|", " ")) for one, other in ((a, b), (b, a))]
    return all(holds) or (cosine >= SAME_ANSWER and not _other_numbers(a.answer, b.answer)), any(holds)


def _other_things(a: str, b: str) -> bool:
    """Whether each has a content word that the other lacks in any form: green tea and black tea are two things, however alike they look."""

    def lacks(some: Sequence[str], others: Sequence[str]) -> bool:
        return any(not any(x.startswith(y) or y.startswith(x) for y in others) for x in some)

    of_a, of_b = terms(a), terms(b)
    return lacks(of_a, of_b) and lacks(of_b, of_a)


def _other_numbers(a: str, b: str) -> bool:
    """Whether each has a number that the other lacks, in figures or in words."""

    def numbers(text: str) -> set[str]:
        return {_NUMBERS.get(word, word) for word in normalise(text).split() if word[0].isdigit() or word in _NUMBERS}

    of_a, of_b = numbers(a), numbers(b)
    return not (of_a <= of_b or of_b <= of_a)


def _plain(text: str) -> str:
    # A text of signs alone has no normal form: it stands for itself.
    return normalise(text) or text
