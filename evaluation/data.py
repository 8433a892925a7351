"""Evaluation data: JSONL files of anyone's, fields renamed with `--map ours=theirs`, every fault named with its file and line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.types import Passage

Mapped = Mapping[str, str]
"""Our name of a field -> its name in the file."""
GROUPING = ("difficulty", "group")


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
            raise self.fault(f"{name!r} is {'missing' if value is None else 'no text'}. Rename a field: --map {name}=THEIRS")
        return value

    def texts(self, name: str) -> list[str]:
        """A field that must hold a list of texts with at least one."""
        value = self.fields.get(name)
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            raise self.fault(f"{name!r} is {'missing' if value is None else 'no list of texts'}. Rename a field: --map {name}=THEIRS")
        return value

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
    """Rows {"text","label"[,"difficulty"][,"group"]}. Raises InputError."""
    rows = _read(path, mapping, '{"text","label"}')
    return [Labelled(r.text("text"), r.text("label"), [str(v) for g in GROUPING if (v := r.fields.get(g))]) for r in rows]


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
    renamed = {ours: value[theirs] for ours, theirs in mapping.items() if theirs in value}
    return Row(path, n, value | renamed, form)
