"""What is said about a row: left out, changed, or for a person to look at; always with the file and line it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

EXCERPT = 40


class Done(StrEnum):
    """What became of the rows of a kind of finding."""

    LEFT_OUT = "left out"
    CHANGED = "changed"
    TO_JUDGE = "kept, yours to judge"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding: what became of its rows, and what it means in a sentence."""

    done: Done
    meaning: str


KINDS = {
    "broken": Kind(Done.LEFT_OUT, "The line holds no row."),
    "empty": Kind(Done.LEFT_OUT, "There is no question, or no answer."),
    "over-long": Kind(Done.LEFT_OUT, "The question or the answer has too many words."),
    "duplicate": Kind(Done.LEFT_OUT, "Another row has the same question and answer."),
    "leak": Kind(Done.LEFT_OUT, "A row of a split that is held out asks the same."),
    "characters": Kind(Done.CHANGED, "Characters were damaged, by an encoding or otherwise."),
    "entities": Kind(Done.CHANGED, "There were HTML entities."),
    "white space": Kind(Done.CHANGED, "There was too much white space."),
    "document": Kind(Done.CHANGED, "No document was named and the answer was found in one, or the name was put right."),
    "key": Kind(Done.CHANGED, "There was no key; one was taken from the answer."),
    "contradiction": Kind(Done.TO_JUDGE, "Another row has the same question, and its answer disagrees."),
    "near-duplicate": Kind(Done.TO_JUDGE, "Another row of the same split asks nearly the same."),
    "not located": Kind(Done.TO_JUDGE, "The answer was not found in the documents."),
    "no key": Kind(Done.TO_JUDGE, "There is no key, and none could be taken."),
    "key not in answer": Kind(Done.TO_JUDGE, "The row's own answer does not hold its key."),
    "key in question": Kind(Done.TO_JUDGE, "The question gives its key away."),
}
"""In the order of the report."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one row. at: file:line; other: that of the row it is compared with, or empty."""

    kind: str
    at: str
    question: str
    detail: str
    other: str = ""

    def __str__(self) -> str:
        """Everything but the kind, in one line."""
        return f"{self.at}  {self.question}: {self.detail}{f' (see {self.other})' if self.other else ''}"


def difference(before: str, after: str) -> str:
    """Where two texts begin to differ, in a few words: `"… cafÃ© in …" became "… café in …"`."""
    start = next((n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    start = max(0, start - EXCERPT // 2)

    def excerpt(text: str) -> str:
        # Half a surrogate pair, which no file can hold, is shown by its number.
        cut = text[start : start + EXCERPT].encode("utf-8", "backslashreplace").decode()
        return f'"{"…" if start else ""}{cut}{"…" if len(text) > start + EXCERPT else ""}"'

    return f"{excerpt(before)} became {excerpt(after)}"
