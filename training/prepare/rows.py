"""Rows of questions and answers, read from anyone's files and cleaned: encoding, HTML entities, white space, what is empty or too long."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError
from evaluation.rows import Mapped, inside
from training.prepare.findings import Finding, difference
from training.prepare.tables import Table, read_table

if TYPE_CHECKING:
    from ftfy import TextFixerConfig

COLUMNS = ("question", "answer", "key", "document", "split")
NEEDED = COLUMNS[:2]
SPLITS = {"train": "train", "training": "train", "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "test": "test"}
"""Other people's names of the splits -> ours."""
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")


@dataclass(frozen=True, slots=True)
class Row:
    """A question with its answer. at: file:line; answers: all that were given, `answer` first; what is unknown is empty."""

    at: str
    question: str
    answer: str
    key: str = ""
    document: str = ""
    split: str = ""
    answers: tuple[str, ...] = ()


def read_rows(path: Path, mapping: Mapped, max_words: int) -> tuple[list[Row], list[Finding], str]:
    """The clean rows of one file, what was found, and the file's encoding where it is not UTF-8.

    Raises InputError for a file that cannot be read, lacks the columns, or names an unknown split.
    """
    table = read_table(path)
    names = _columns(path, table, mapping)
    rows = []
    findings = [Finding("broken", f"{path}:{n}", "", why) for n, why in table.broken]
    for n, fields in table.rows:
        at = f"{path}:{n}"
        try:
            raw = {ours: _texts(inside(fields, theirs)) for ours, theirs in names.items()}
        except TypeError as error:
            findings.append(Finding("broken", at, "", str(error)))
            continue
        row, changes = _cleaned(at, raw)
        if fault := _fault(row, max_words):
            findings.append(fault)
        else:
            rows.append(row)
            findings += changes
    return rows, findings, table.encoding


def _columns(path: Path, table: Table, mapping: Mapped) -> dict[str, str]:
    """Our names -> the file's. Raises InputError when question or answer is not there, or what `mapping` names."""
    if unknown := [ours for ours in mapping if ours not in COLUMNS]:
        raise InputError(f"Expected --map OURS=THEIRS with one of {', '.join(COLUMNS)} as OURS; got {unknown[0]!r}.")
    ours_there = {name.strip().lower(): name for name in table.columns}
    names = {}
    for ours in COLUMNS:
        wanted = mapping.get(ours, ours)
        if any(inside(fields, wanted) is not None for _, fields in table.rows):
            names[ours] = wanted
        elif ours in mapping:
            raise InputError(f"{path}: no row has the field of --map {ours}={wanted}; the fields are: {', '.join(table.columns)}.")
        elif ours in ours_there:
            names[ours] = ours_there[ours]
    if missing := [ours for ours in NEEDED if ours not in names]:
        raise InputError(
            f"{path}: expected the columns question and answer (and key, document, split where you have them); "
            f"found {', '.join(table.columns)}. Say which is which: {' '.join(f'--map {ours}=THEIRS' for ours in missing)}"
        )
    return names


def _texts(value: Any) -> list[str]:
    """What a field holds as text: none, one, or a list's many. Raises TypeError for an object, and for bytes that are no text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    if isinstance(value, Mapping):
        raise TypeError("expected text, got an object: name the field inside it, as in --map answer=answer.text")
    if isinstance(value, bytes):  # Parquet writes text so where it was not told that it is text.
        try:
            return [value.decode()]
        except UnicodeDecodeError:
            raise TypeError("expected text in UTF-8, got other bytes: write the column as text") from None
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def _cleaned(at: str, raw: Mapping[str, Sequence[str]]) -> tuple[Row, list[Finding]]:
    """The row and what was changed in it: one finding a kind, about the first field that had it."""
    found: dict[str, str] = {}
    clean: dict[str, list[str]] = {}
    for name, texts in raw.items():
        clean[name] = []
        for text in texts:
            for kind, repaired in _repairs(text, lines=name == "answer"):
                found.setdefault(kind, f"{name}: {difference(text, repaired)}")
                text = repaired
            clean[name] += [text] if text else []
    first = {name: texts[0] if texts else "" for name, texts in clean.items()}
    row = Row(
        at,
        first["question"],
        first["answer"],
        "|".join(clean.get("key", [])),
        first.get("document", ""),
        _split(at, first.get("split", "")),
        tuple(dict.fromkeys(clean["answer"])),
    )
    return row, [Finding(kind, at, row.question, detail) for kind, detail in found.items()]


def _repairs(text: str, *, lines: bool) -> list[tuple[str, str]]:
    """(kind of finding, the text after it) of each repair that the text needs, in turn. `lines`: whether it may have several."""
    import ftfy

    steps = []
    for kind, repair in (
        ("entities", _unescape),
        ("characters", lambda t: ftfy.fix_text(_INVISIBLE.sub("", t), _config())),
        ("white space", _paragraphs if lines else lambda t: " ".join(t.split())),
    ):
        repaired = repair(text)
        if repaired != text:
            steps.append((kind, repaired))
            text = repaired
    return steps


def _unescape(text: str) -> str:
    from ftfy.fixes import unescape_html

    # What was escaped twice says &amp;lt; where it meant <. Only entities that end with a semicolon: a=1&copy=2 is an address.
    while (once := str(unescape_html(text))) != text:
        text = once
    return text


def _paragraphs(text: str) -> str:
    """Single spaces within a line, at most one empty line between two."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(" ".join(line.split()) for line in text.split("\n"))).strip()


@cache
def _config() -> TextFixerConfig:
    from ftfy import TextFixerConfig

    # Curly quotes are right as they are: keys and quotations are compared with documents that have them.
    return TextFixerConfig(unescape_html=False, uncurl_quotes=False, explain=False)


def _split(at: str, name: str) -> str:
    if name and name.lower() not in SPLITS:
        raise InputError(f"{at}: expected the split {', '.join(SPLITS)} or none; got {name!r}.")
    return SPLITS[name.lower()] if name else ""


def _fault(row: Row, max_words: int) -> Finding | None:
    """Why the row cannot be used."""
    for name in NEEDED:
        text = getattr(row, name)
        if not text:
            return Finding("empty", row.at, row.question, f"no {name}")
        if (size := len(text.split())) > max_words:
            return Finding("over-long", row.at, row.question, f"{name} of {size:,} words; at most {max_words:,}")
    return None
