"""Tables as people have them: CSV in any common encoding and with any common separator, JSON lines, Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.text import LONGEST_CELL, csv_separator, loads
from training.parquet import parquet_rows


@dataclass(frozen=True, slots=True)
class Table:
    """A file's rows as (line, fields); of Parquet, which has no lines, the row's number. Both count from 1.

    broken: lines that hold no row, and why. encoding: of the text, empty for UTF-8 and Parquet.
    """

    rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    broken: list[tuple[int, str]] = field(default_factory=list)
    encoding: str = ""

    @property
    def columns(self) -> list[str]:
        """The names of the fields, in the order in which they come."""
        return list(dict.fromkeys(name for _, fields in self.rows for name in fields))


def read_table(path: Path) -> Table:
    """Read one file. Raises InputError when it cannot be read, is of another form, or holds no row."""
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise InputError(f"{path}: expected a file that ends in {', '.join(READERS)}. Save it in one of these forms.")
    try:
        table = read(path, path.read_bytes())
    except OSError as error:
        raise InputError(f"Expected a file of questions at {path}; it cannot be read: {error.strerror}.") from None
    if not table.rows:
        found = f"line {table.broken[0][0]}: {table.broken[0][1]}" if table.broken else "the file is empty"
        raise InputError(f"{path}: expected at least one question with its answer; {found}.")
    return table


def _decode(path: Path, data: bytes) -> tuple[str, str]:
    """The text and its encoding, empty for UTF-8: by a byte order mark, else UTF-8, else Windows-1252 or Mac Roman."""
    import ftfy

    try:
        text, encoding = ftfy.guess_bytes(data)
    except UnicodeDecodeError as error:  # It begins as UTF-16 does, and does not go on so.
        raise InputError(f"{path}: expected text in UTF-8: {error}. Save it as CSV, in UTF-8.") from None
    if "\0" in text:
        raise InputError(f"{path}: expected text; it holds zero bytes, as a workbook does. Save it as CSV, in UTF-8.")
    return text.removeprefix("\ufeff"), "" if encoding.startswith("utf-8") else encoding


def _read_csv(path: Path, data: bytes) -> Table:
    text, encoding = _decode(path, data)
    heading = text.lstrip("\r\n").partition("\n")[0]
    separator = csv_separator(heading)
    csv.field_size_limit(LONGEST_CELL)
    # Strict: a quote that is never closed would otherwise swallow the rest of the file.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    table, names, start = Table(encoding=encoding), list[str](), 1
    try:
        for cells in reader:
            if cells and not names:
                names = [name.strip() for name in cells]
                if twice := [name for n, name in enumerate(names) if name and name in names[:n]]:
                    raise InputError(f"{path}, line {start}: expected each column once; {twice[0]!r} heads two. Rename one.")
            elif len(cells) > len(names):
                table.broken.append((start, f"expected {len(names)} cells, got {len(cells)}: put a text with {separator!r} into quotes"))
            elif cells:
                table.rows.append((start, dict(zip(names, cells, strict=False))))
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, line {start}: expected CSV: {error}. Mend the quotes of that row.") from None
    return table


def _read_jsonl(path: Path, data: bytes) -> Table:
    text, encoding = _decode(path, data)
    table = Table(encoding=encoding)
    for n, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = loads(line)
        except json.JSONDecodeError as error:
            table.broken.append((n, f"expected a JSON object: {error}"))
            continue
        if isinstance(value, dict):
            table.rows.append((n, value))
        else:
            table.broken.append((n, f"expected a JSON object, got {type(value).__name__}"))
    return table


def _read_parquet(path: Path, data: bytes) -> Table:
    return Table(list(parquet_rows(path, data)))


READERS: dict[str, Callable[[Path, bytes], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
