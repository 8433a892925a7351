"""Rows of anyone's JSONL files: fields renamed with `--map ours=theirs`, every fault named with its file and line.

`theirs` may be a path into nested objects, its steps parted by full stops: `--map correct=outputs.davinci.pred`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.text import has_lone_surrogate, loads

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
    renames: bool = True
    """Whether the command takes --map."""

    def text(self, name: str) -> str:
        """A field that must hold text; numbers are taken as text. A label is a name, which white space around it is no part of."""
        value = self.fields.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not value.strip():
            raise self.unlike(name, "no text")
        return self._utf8(name, value.strip() if name == "label" else value)

    def texts(self, name: str) -> list[str]:
        """A field that must hold a list of texts with at least one."""
        value = self.fields.get(name)
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            raise self.unlike(name, "no list of texts")
        return [self._utf8(name, each) for each in value]

    def answer(self, name: str) -> str:
        """A field that must hold text, which may be empty: a model that said nothing answered nothing."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise self.unlike(name, "no text")
        return self._utf8(name, value)

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
        return [self._utf8(g, str(v)) for g in GROUPING if (v := self.fields.get(g))]

    def together(self, column: str | None) -> str:
        """The value of the column whose rows are to stay together; empty where no column is named."""
        if column is None:
            return ""
        found = inside(self.fields, column)
        if found is None:
            raise self.fault(f"--group names the column {column!r}, which this line lacks.")
        return json.dumps(found)

    def _utf8(self, name: str, text: str) -> str:
        """The text itself. Raises InputError for one that no file can hold."""
        if has_lone_surrogate(text):
            raise self.unlike(name, "no text in UTF-8")
        return text

    def unlike(self, name: str, what: str) -> InputError:
        """The error to raise about a field that is missing, or is `what`."""
        state = "missing" if self.fields.get(name) is None else what
        advice = f"Rename a field: --map {name}=THEIRS" if self.renames else "Mend the line, or name the field so in the file."
        return self.fault(f"{name!r} is {state}. {advice}")

    def fault(self, what: str) -> InputError:
        """The error to raise about this line."""
        return InputError(f"{self.path}, line {self.line}: expected {self.form}; {what}")


def read_rows(path: Path, mapping: Mapped | None, form: str) -> list[Row]:
    """The file's rows. mapping: None without --map; form: what a line should look like, for messages.

    Raises InputError, also where a field of the form is mapped to one that no row has: of the others, another file may have it.
    """
    lines = read_lines(path)
    if not lines:
        raise InputError(f"{path}: expected at least one line {form}; the file is empty.")
    found = [(n, _object(path, n, line, form)) for n, line in lines]
    columns = dict.fromkeys(name for _, fields in found for name in fields)
    for ours, theirs in (mapping or {}).items():
        if f'"{ours}"' in form and all(inside(fields, theirs) is None for _, fields in found):
            raise InputError(f"{path}: no row has the field of --map {ours}={theirs}; the fields are: {', '.join(columns)}.")
    return [_row(path, n, fields, mapping, form) for n, fields in found]


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The file's lines that are not blank, with their numbers. Raises InputError."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise InputError(f"Expected a JSONL file at {path}; it cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected JSONL in UTF-8. Convert the file first.") from None
    return [(n, line) for n, line in enumerate(lines, 1) if line.strip()]


def row_of(path: Path, n: int, line: str, mapping: Mapped | None, form: str) -> Row:
    """One line as a row; see `read_rows`. Raises InputError."""
    return _row(path, n, _object(path, n, line, form), mapping, form)


def _row(path: Path, n: int, fields: dict[str, Any], mapping: Mapped | None, form: str) -> Row:
    """A name that is mapped is theirs alone: where they have none, a field that is called like ours does not stand in."""
    maps = mapping or {}
    own = {name: value for name, value in fields.items() if name not in maps}
    renamed = {ours: found for ours, theirs in maps.items() if (found := inside(fields, theirs)) is not None}
    return Row(path, n, own | renamed, form, mapping is not None)


def _object(path: Path, n: int, line: str, form: str) -> dict[str, Any]:
    try:
        value = loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {n}: expected {form}; the line is not valid JSON: {error.msg}.") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}, line {n}: expected {form}; the line is no JSON object.")
    return value


def inside(fields: Any, path: str) -> Any:
    """A field by its name or by its path, whose steps may hold full stops themselves; None where there is none."""
    if not isinstance(fields, dict):
        return None
    steps = path.split(".")
    ways = (inside(fields.get(".".join(steps[:n])), ".".join(steps[n:])) for n in range(1, len(steps)))
    return fields[path] if path in fields else next((found for found in ways if found is not None), None)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
