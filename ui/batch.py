"""Many questions from a file of JSON lines to another one: a run that was stopped goes on where it was."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import AuthenticationFailedError, InputError, MissingKeyError, ModelError, SwitchyardError
from core.text import loads
from ui.console import progress, say

Key = str | int
BEGINNING = b'{"id": '
"""Of every line that is written."""


@dataclass(frozen=True, slots=True)
class Row:
    """A question to answer. `expert`: a name, or None where the row names none. `line`: where it stands in the file, from 1."""

    id: Key
    text: str
    expert: str | None = None
    line: int = 0


def read_rows(path: Path) -> list[Row]:
    """The rows of a file of JSON lines. Raises InputError naming the line that cannot be used."""
    rows: dict[Key, Row] = {}
    for n, line in _lines(path):
        try:
            row = replace(_row(loads(line)), line=n)
        except ValueError as error:
            reason = f"not JSON: {error.msg}" if isinstance(error, json.JSONDecodeError) else str(error)
            raise InputError(f'{path}, line {n}: expected {{"id", "text"}} and perhaps "expert"; {reason}. Mend the line.') from None
        if row.id in rows:
            raise InputError(f"{path}, line {n}: the id {row.id!r} stands on an earlier line too. Give every row its own.")
        rows[row.id] = row
    if not rows:
        raise InputError(f'{path} holds no rows. Expected a line such as {{"id": "1", "text": "How long is a sleep cycle?"}}.')
    return list(rows.values())


def run_batch(rows: Sequence[Row], source: Path, output: Path, work: Callable[[Row], dict[str, Any]], max_chars: int) -> None:
    """Append `work(row)` and the row's id to `output`, a line each, for every row that is not there yet.

    A row whose question cannot be asked (see `clean_question`) or whose model fails is named on stderr and left out, so that the next run
    tries it again; at the end an error says how many. What no other row would survive either stops the run at once.
    """
    if output.exists() and not output.is_file():
        raise InputError(f"--output {output}: expected a file that a later run can go on with; that is none. Name a file.")
    if output.exists() and output.samefile(source):
        raise InputError(f"--output is the input itself ({source}): name another file.")
    with _alone(output):
        done = _done(output)
        waiting = [row for row in rows if row.id not in done]
        if len(waiting) < len(rows):
            say(f"{len(rows) - len(waiting)} of {len(rows)} rows are in {output} already.")
        askable = [row for row in waiting if _askable(row, max_chars)]
        failed = _work_through(askable, output, work)
    if missing := failed + len(waiting) - len(askable):
        kind = SwitchyardError if failed else InputError
        raise kind(f"Rows without a result: {missing} of {len(rows)}. The same command tries them again.")


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Raises InputError while another run has the output: both would answer every row. The lock ends with the process at the latest."""
    try:
        file = output.open("ab")
    except OSError as error:
        raise _unwritable(output, error) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"Another run is writing {output}: wait for it, or name another --output.") from None
        except OSError as error:
            raise _unwritable(output, error) from None
        yield


def _work_through(rows: Sequence[Row], output: Path, work: Callable[[Row], dict[str, Any]]) -> int:
    """How many rows failed."""
    failed = 0
    with progress() as bar:
        for row in bar.track(rows, description=output.name):
            try:
                _append(output, {"id": row.id, **work(row)})
            except (MissingKeyError, AuthenticationFailedError):
                raise  # no other row would fare better
            except ModelError as error:
                failed += 1
                say(f"Row {row.id!r}: {error}", style="yellow")
    return failed


def _askable(row: Row, max_chars: int) -> bool:
    from graph.nodes.prepare import clean_question

    try:
        clean_question(row.text, max_chars)
    except InputError as error:
        say(f"Row {row.id!r}: {error}", style="yellow")
        return False
    return True


def _append(output: Path, result: dict[str, Any]) -> None:
    line = (json.dumps(result, ensure_ascii=False) + "\n").encode()
    try:
        # In one piece, as no buffer does it: Ctrl-C ends the process wherever it is.
        with output.open("ab", buffering=0) as file:
            while line:
                line = line[file.write(line) :]
    except OSError as error:
        raise _unwritable(output, error) from None


def _unwritable(output: Path, error: OSError) -> InputError:
    return InputError(f"Cannot write {output}: {error.strerror}. Name a file in a folder that can be written.")


def _row(data: Any) -> Row:
    if not isinstance(data, dict):
        raise ValueError("not an object")
    missing = [name for name in ("id", "text") if name not in data]
    if missing:
        raise ValueError(f"missing: {', '.join(missing)}")
    if not isinstance(data["id"], Key) or isinstance(data["id"], bool):
        raise ValueError("the id is neither a text nor a whole number")
    if not isinstance(data["text"], str):
        raise ValueError("the text is none")
    if any("\ud800" <= c <= "\udfff" for c in f"{data['id']}{data['text']}"):
        raise ValueError("half a character stands in it (a lone surrogate)")
    expert = data.get("expert")
    if expert is not None and not isinstance(expert, str):
        raise ValueError("the expert is no name")
    return Row(data["id"], data["text"], expert)


def _done(output: Path) -> set[Key]:
    """Ids in the output of an earlier run; a last line that was being written when it stopped is taken away."""
    if not output.exists():
        return set()
    lines = list(_lines(output))
    found: set[Key] = set()
    for n, line in lines:
        try:
            found.add(loads(line)["id"])
        except (ValueError, TypeError, KeyError) as error:
            if (n, line) != lines[-1] or not _is_cut_off(line, error):
                raise InputError(f"{output}, line {n}: expected a result with its id. Mend the line, or name another --output.") from None
            os.truncate(output, output.stat().st_size - len(line))
            return found
    if lines and not lines[-1][1].endswith(b"\n"):
        with output.open("ab") as file:
            file.write(b"\n")
    return found


def _is_cut_off(line: bytes, error: Exception) -> bool:
    """Whether it is the beginning of a line of ours, and not a whole one, or anything, of somebody else's."""
    return isinstance(error, ValueError) and not line.endswith(b"\n") and BEGINNING.startswith(line[: len(BEGINNING)])


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers, empty ones left out."""
    try:
        with path.open("rb") as file:
            for n, line in enumerate(file, 1):
                if line.strip(b"\xef\xbb\xbf \t\r\n"):
                    yield n, line.removeprefix(b"\xef\xbb\xbf") if n == 1 else line
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}. Expected a file of JSON lines.") from None
