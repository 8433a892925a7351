"""Instructions to ask models: CSV, JSONL and Parquet files, or a data set of the Hugging Face hub. A row at fault stops nothing."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.text import LONGEST_CELL, has_lone_surrogate, loads
from core.types import Hit, Passage
from training.judgement_files import messages
from training.parquet import parquet_rows

PROMPTS, REFERENCES = ("prompt", "instruction", "question"), ("reference", "answer", "answers")
"""The names under which a field is found; the first one is ours."""
FIELDS = (*PROMPTS, *REFERENCES, "passages", "id", "conversation", "conversation_id", "language")
_HUB = re.compile(r"[\w.-]+/[\w.-]+(?:@[\w.-]+)?")
Numbered = tuple[int, Any]
"""Number of the line, or of the row, from 1, and what stands there: an object of fields, or the fault as text."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """A prompt. `references`: right answers, any of which will do; `passages`: what the answer is to be drawn from.

    `id`: as the source states it, else made of the line's number.
    `kept`: the id and the language, where the source has them.
    """

    id: str
    prompt: str
    references: tuple[str, ...] = ()
    passages: tuple[Hit, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Read:
    """What a source holds. `faults`: one line for each row that could not be used."""

    instructions: list[Instruction] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def read_instructions(source: str, mapping: Mapping[str, str], limit: int | None = None) -> Read:
    """The first `limit` instructions of a file or of a data set `owner/name`, or `owner/name@split` (train by default).

    A field prompt (or instruction, question), perhaps reference (or answer, answers), passages and id; or a conversation, as in
    lmsys/lmsys-chat-1m, whose first user message is the prompt. `mapping`: our name of a field -> its name in the source.
    Raises InputError where nothing can be read, or nothing of it used, and where the mapping names what is in no row.
    """
    if unknown := [ours for ours in mapping if ours not in FIELDS]:
        raise InputError(f"Expected --map OURS=THEIRS, ours one of {', '.join(FIELDS)}; got {unknown[0]}.")
    found, ids, columns = Read(), set[str](), dict[str, None]()
    for n, row in _rows(source):
        if limit is not None and len(found.instructions) >= limit:
            break
        if isinstance(row, dict):
            columns |= dict.fromkeys(row)
        try:
            one = _instruction(n, row, mapping)
            if (stated := one.kept.get("id")) in ids:
                raise ValueError(f"the id {stated!r} stands on an earlier line too")
        except ValueError as error:
            found.faults.append(f"{source}, line {n}: {error}")
            continue
        ids |= {stated} if stated is not None else set()
        found.instructions.append(one)
    if columns and (absent := [f"{ours}={theirs}" for ours, theirs in mapping.items() if theirs not in columns]):
        raise InputError(f"{source}: no row has the field of --map {absent[0]}; the fields are: {', '.join(columns)}.")
    if not found.instructions:
        first = f" The first fault: {found.faults[0]}." if found.faults else ""
        raise InputError(f"{source}: expected rows with a prompt, and perhaps a reference and passages; got none that can be used.{first}")
    return Read([one if "id" in one.kept else replace(one, id=_free(one.id, ids)) for one in found.instructions], found.faults)


def _free(number: str, stated: Collection[str]) -> str:
    """An id for the row of this number that is none of those that rows state themselves."""
    found = number
    while found in stated:
        found = f"line {found}"
    return found


def _instruction(n: int, row: Any, mapping: Mapping[str, str]) -> Instruction:
    """Raises ValueError."""
    if not isinstance(row, dict):
        raise ValueError(row if isinstance(row, str) else "expected an object with a prompt")
    fields = {**row, **{ours: row[theirs] for ours, theirs in mapping.items() if theirs in row}}
    stated = {"id": fields.get("conversation_id")} | {name: fields[name] for name in ("id", "language") if fields.get(name) is not None}
    kept = {name: str(value) for name, value in stated.items() if value is not None}
    one = Instruction(kept.get("id", str(n)), _prompt(fields), _references(fields), _passages(fields.get("passages")), kept)
    read = (f"{hit.passage.title}{hit.passage.text}" for hit in one.passages)
    if has_lone_surrogate("".join([*kept.values(), one.prompt, *one.references, *read])):
        raise ValueError("expected text in UTF-8, without lone surrogates")
    return one


def _prompt(fields: Mapping[str, Any]) -> str:
    value = next((fields[name] for name in PROMPTS if fields.get(name) is not None), None)
    if value is None and fields.get("conversation") is not None:
        value = _first_message(fields["conversation"])
    if value is None:
        named = ", ".join(map(str, fields)) or "none"
        raise ValueError(f"expected a field {PROMPTS[0]}; the fields are: {named}. Rename one: --map {PROMPTS[0]}=THEIRS")
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected text as the prompt")
    return value.strip()


def _first_message(conversation: Any) -> Any:
    try:
        return next(m["content"] for m in messages(conversation) if m["role"] == "user")
    except (ValueError, SyntaxError, KeyError, TypeError, StopIteration):
        raise ValueError("expected a conversation, a list of role and content with a message of the user") from None


def _references(fields: Mapping[str, Any]) -> tuple[str, ...]:
    value = next((fields[name] for name in REFERENCES if not _missing(fields.get(name))), None)
    values = [each for each in (value if isinstance(value, list) else [value]) if not _missing(each)]
    if not all(isinstance(v, str | int | float) for v in values):
        raise ValueError("expected text, a number or a list of them as the reference")
    return tuple(text for v in values if (text := str(v).strip()))


def _missing(value: Any) -> bool:
    """Tables say so with NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _passages(value: Any) -> tuple[Hit, ...]:
    """A list of texts, or of objects with a text and perhaps a title; a table's cell may hold it as JSON."""
    if isinstance(value, str) and value.strip():
        try:
            value = loads(value)
        except ValueError:
            value = [value]
    listed = value or []
    if not isinstance(listed, list):
        raise ValueError("expected a list as passages")
    return tuple(_passage(n, each) for n, each in enumerate(listed, 1))


def _passage(n: int, value: Any) -> Hit:
    fields = {"text": value} if isinstance(value, str) else value
    if not isinstance(fields, dict) or not isinstance(fields.get("text"), str):
        raise ValueError("expected passages that are texts, or objects with a text")
    title, source = (str(fields.get(name) or "") for name in ("title", "source"))
    return Hit(Passage(str(fields.get("id") or n), title, fields["text"], source), 0.0, 0.0)


def _rows(source: str) -> Iterator[Numbered]:
    path = Path(source)
    if path.exists() or path.suffix.lower() in READERS:
        read = READERS.get(path.suffix.lower())
        if read is None:
            raise InputError(f"{source}: expected a file that ends in {', '.join(READERS)}.")
        try:
            yield from read(path)
        except OSError as error:
            raise InputError(f"{source} cannot be read: {error.strerror}. Expected a file that ends in {', '.join(READERS)}.") from None
    elif _HUB.fullmatch(source):
        yield from _read_hub(source)
    else:
        raise InputError(f"Expected a file or a data set owner/name; there is no {source}.")


def _read_jsonl(path: Path) -> Iterator[Numbered]:
    with path.open("rb") as file:
        for n, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf") if n == 1 else line
            if not text.strip():
                continue
            try:
                yield n, loads(text)
            except json.JSONDecodeError as error:
                yield n, f"not JSON: {error.msg}"


def _read_csv(path: Path) -> Iterator[Numbered]:
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        columns, start, again = list[str](), 1, deque[str]()
        while True:
            taken: list[str] = []
            cells, fault = _record(lambda: again.popleft() if again else file.readline(), taken)
            if not taken:
                return
            if not (fault or columns):
                columns = [name.strip() for name in cells]
            elif fault or (cells and len(cells) != len(columns)):
                fault = fault or f"expected {len(columns)} cells as in the header"
                if len(taken) > 1:
                    # A quote that is not closed swallows good rows, as many as stand before the next quote: they are read again.
                    fault = f"lines {start} to {start + len(taken) - 1} read as one row, {fault}: mend its quotes"
                    again.extendleft(reversed(taken[1:]))
                    del taken[1:]
                yield start, fault
            elif cells:
                yield start, {name: cell or None for name, cell in zip(columns, cells, strict=True)}
            start += len(taken)


def _record(line: Callable[[], str], taken: list[str]) -> tuple[list[str], str]:
    """The cells of the next record and an empty text, or what is wrong with it; its lines are added to `taken`, none at the end."""

    def lines() -> Iterator[str]:
        while text := line():
            taken.append(text)
            yield text

    try:
        return next(csv.reader(lines(), strict=True), []), ""
    except csv.Error as error:
        return [], f"not CSV: {error}"


def _read_hub(source: str) -> Iterator[Numbered]:
    name, _, split = source.partition("@")
    try:
        from datasets import load_dataset  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise InputError(f"{source}: no such file, and a data set of the hub needs a library. Run: pip install datasets") from None
    try:
        # Streamed: a limit then does not download the rest. Code that comes with a data set is not run.
        yield from enumerate(load_dataset(name, split=split or "train", streaming=True), 1)
    except Exception as error:  # the library and those below it raise what they like: offline, unknown, gated, no such split
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise InputError(
            f"{source} cannot be read from the Hugging Face hub: {reason}. Check its name and the connection, or name a file."
        ) from None


READERS: dict[str, Callable[[Path], Iterator[Numbered]]] = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": parquet_rows}
