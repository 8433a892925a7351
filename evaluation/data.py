"""Evaluation data: JSONL files of anyone's, fields renamed with `--map ours=theirs`, every fault named with its file and line.

`theirs` may be a path into nested objects, its steps parted by full stops: `--map correct=outputs.davinci.pred`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.types import OUT_OF_SCOPE, Passage

Mapped = Mapping[str, str]
"""Our name of a field -> its name in the file."""
GROUPING = ("difficulty", "group")
_TRUTHS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file. Its methods raise InputError naming file and line."""

    path: Path
    line: int
    fields: dict[str, Any]
    form: str

    def text(self, name: str) -> str:
        """A field that must hold text; numbers are taken as text."""
        value = self.fields.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not value.strip():
            raise self.unlike(name, "no text")
        return value

    def texts(self, name: str) -> list[str]:
        """A field that must hold a list of texts with at least one."""
        value = self.fields.get(name)
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            raise self.unlike(name, "no list of texts")
        return value

    def answer(self, name: str) -> str:
        """A field that must hold text, which may be empty: a model that said nothing answered nothing."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise self.unlike(name, "no text")
        return value

    def number(self, name: str) -> float:
        """A field that must hold a finite number; true and false count as 1 and 0, and a number may be written as text."""
        value = self.fields.get(name)
        try:
            number = float(value) if isinstance(value, int | float | str) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise self.unlike(name, "no number")
        return number

    def truth(self, name: str) -> bool:
        """A field that must hold true or false, or 1 or 0, as such or as text."""
        known = _TRUTHS.get(str(self.fields.get(name)).strip().lower())
        if known is None:
            raise self.unlike(name, "neither true nor false (nor 1 nor 0)")
        return known

    def numbers(self, name: str) -> list[float] | None:
        """A field that may hold a list of numbers; None where it is absent or empty."""
        value = self.fields.get(name)
        if not value and (value is None or isinstance(value, list)):
            return None
        if not isinstance(value, list) or not all(_finite(v) for v in value):
            raise self.unlike(name, "no list of numbers")
        return [float(v) for v in value]

    @property
    def groups(self) -> list[str]:
        """The row's difficulty and group, where given."""
        return [str(v) for g in GROUPING if (v := self.fields.get(g))]

    def together(self, column: str | None) -> str:
        """The value of the column whose rows are to stay together; empty where no column is named."""
        if column is None:
            return ""
        found = _inside(self.fields, column)
        if found is None:
            raise self.fault(f"--group names the column {column!r}, which this line lacks.")
        return json.dumps(found)

    def unlike(self, name: str, what: str) -> InputError:
        """The error to raise about a field that is missing, or is `what`."""
        state = "missing" if self.fields.get(name) is None else what
        return self.fault(f"{name!r} is {state}. Rename a field: --map {name}=THEIRS")

    def fault(self, what: str) -> InputError:
        """The error to raise about this line."""
        return InputError(f"{self.path}, line {self.line}: expected {self.form}; {what}")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text and the label it should get. `groups`: its difficulty and group, where given."""

    text: str
    label: str
    groups: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt and what two models' responses to it scored, on any scale where more is better. `together`: see `Row.together`."""

    prompt: str
    weak_score: float
    strong_score: float
    weak_response: str | None = None
    groups: list[str] = field(default_factory=list)
    together: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A response and whether it is right. `token_logprobs`: natural logarithms, one a token. `together`: see `Row.together`."""

    prompt: str
    response: str
    correct: bool
    token_logprobs: list[float] | None = None
    groups: list[str] = field(default_factory=list)
    together: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """A question, the passages that answer it, and the answers where the file has them."""

    id: str
    question: str
    passages: frozenset[str]
    answers: list[str]


def parse_map(pairs: Sequence[str]) -> dict[str, str]:
    """`["label=intent"]` as a mapping. Raises InputError for anything else."""
    mapping = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not (ours and equals and theirs):
            raise InputError(f"Expected --map OURS=THEIRS, for example --map label=intent; got {pair!r}.")
        mapping[ours] = theirs
    return mapping


def read_labelled(path: Path, mapping: Mapped) -> list[Labelled]:
    """Rows {"text","label"[,"difficulty"][,"group"]}; the label `oos` is read as out_of_scope. Raises InputError."""
    rows = _read(path, mapping, '{"text","label"}')
    return [Labelled(r.text("text"), OUT_OF_SCOPE if r.text("label") == "oos" else r.text("label"), r.groups) for r in rows]


def read_pairs(path: Path, mapping: Mapped, group: str | None = None) -> list[Pair]:
    """Rows {"prompt","weak_score","strong_score"[,"weak_response"]}. `group`: a column of rows that stay together. Raises InputError."""
    return [
        Pair(
            r.text("prompt"),
            r.number("weak_score"),
            r.number("strong_score"),
            r.answer("weak_response") if r.fields.get("weak_response") is not None else None,
            r.groups,
            r.together(group),
        )
        for r in _read(path, mapping, '{"prompt","weak_score","strong_score"}')
    ]


def read_judged(path: Path, mapping: Mapped, group: str | None = None) -> list[Judged]:
    """Rows {"prompt","response","correct"[,"token_logprobs"]}. `group`: see `read_pairs`. Raises InputError."""
    return [
        Judged(r.text("prompt"), r.answer("response"), r.truth("correct"), r.numbers("token_logprobs"), r.groups, r.together(group))
        for r in _read(path, mapping, '{"prompt","response","correct"}')
    ]


def read_corpus(path: Path, mapping: Mapped) -> list[Passage]:
    """Passages {"_id","title","text"}, whole; the title may be left out. Raises InputError."""
    passages: dict[str, Passage] = {}
    for row in _read(path, mapping, '{"_id","title","text"}'):
        ident = row.text("_id")
        if ident in passages:
            raise row.fault(f"the id {ident!r} occurs twice.")
        passages[ident] = Passage(ident, str(row.fields.get("title") or ""), row.text("text"), path.name, ident)
    return list(passages.values())


def read_queries(path: Path, mapping: Mapped, known: set[str], *, with_answers: bool = False) -> list[Query]:
    """Questions {"qid","question","passage_id"[,"answers"]}; lines of one qid are one question with several right passages.

    Raises InputError, also for a passage that is not among the `known` ones.
    """
    form = '{"qid","question","passage_id","answers":[...]}' if with_answers else '{"qid","question","passage_id"}'
    found: dict[str, Query] = {}
    for row in _read(path, mapping, form):
        passage = row.text("passage_id")
        if passage not in known:
            raise row.fault(f"the corpus has no passage {passage!r}.")
        answers = row.texts("answers") if with_answers else []
        query = Query(row.text("qid"), row.text("question"), frozenset({passage}), answers)
        if before := found.get(query.id):
            query = Query(before.id, before.question, before.passages | query.passages, [*before.answers, *answers])
        found[query.id] = query
    return list(found.values())


def _read(path: Path, mapping: Mapped, form: str) -> list[Row]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise InputError(f"Expected a JSONL file at {path}; it cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected JSONL in UTF-8. Convert the file first.") from None
    rows = [_row(path, n, line, mapping, form) for n, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise InputError(f"{path}: expected at least one line {form}; the file is empty.")
    return rows


def _row(path: Path, n: int, line: str, mapping: Mapped, form: str) -> Row:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {n}: expected {form}; the line is not valid JSON: {error.msg}.") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}, line {n}: expected {form}; the line is no JSON object.")
    renamed = {ours: found for ours, theirs in mapping.items() if (found := _inside(value, theirs)) is not None}
    return Row(path, n, value | renamed, form)


def _inside(fields: Any, path: str) -> Any:
    """A field by its name or by its path, whose steps may hold full stops themselves; None where there is none."""
    if not isinstance(fields, dict):
        return None
    steps = path.split(".")
    ways = (_inside(fields.get(".".join(steps[:n])), ".".join(steps[n:])) for n in range(1, len(steps)))
    return fields[path] if path in fields else next((found for found in ways if found is not None), None)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
