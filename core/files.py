"""Files that are whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from core.errors import InputError, StoreError

SHOWN = 3


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files, by their names, and their folder. Whoever reads one of them, after a power cut too, finds the old one or the new.

    All lie beside the old ones before the first takes its place; the last, which may be a manifest, takes it last. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fresh = {name: _fresh(folder / name) for name in files}
    try:
        for name, content in files.items():
            with fresh[name].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
    except BaseException:  # Ctrl-C, too: nothing has been replaced
        for path in fresh.values():
            with suppress(OSError):
                path.unlink()
        raise
    for name, path in fresh.items():
        path.replace(folder / name)


def _fresh(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def write_whole(path: Path, text: str) -> None:
    """`write_files` of one text. Raises OSError."""
    write_files(path.parent, {path.name: text.encode()})


def write_json(path: Path, value: Any) -> None:
    """`write_whole` of a JSON document. Raises OSError."""
    write_whole(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def manifests(path: Path) -> list[dict[str, Any]]:
    """The objects in a manifest, and in one that was cut off before it took its place; none where there is no such JSON."""
    found: list[Any] = []
    for one in (path, _fresh(path)):
        with suppress(OSError, ValueError, RecursionError):
            value = json.loads(one.read_bytes())
            found += value if isinstance(value, list) else [value]
    return [value for value in found if isinstance(value, dict)]


def checksums(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of each, in hexadecimal: what a manifest keeps as `sha256`."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def check_unedited(folder: Path, names: Iterable[str], manifest: str) -> None:
    """Raises InputError where one of the files is there, but not as the manifest's `sha256` has it, or where the manifest is not ours."""
    known = [sums for one in manifests(folder / manifest) if isinstance(sums := one.get("sha256"), dict)]
    for name in (*names, manifest):
        path = folder / name
        if path.exists() and not (known if name == manifest else _is_one_of(path, [str(sums.get(name)) for sums in known])):
            raise InputError(f"{path} was edited, or not made here: it is not overwritten. Choose another folder: --output DIR")


def _is_one_of(path: Path, known: Sequence[str]) -> bool:
    with suppress(OSError):
        return file_checksum(path) in known
    return False


def file_checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_replaceable(folder: Path, key: str, named: str = "about.json", ours: Sequence[str] = ("README.md",)) -> None:
    """Raises InputError unless the folder is missing or empty, or holds nothing but what an earlier training wrote.

    That is: its `named` file with our `key`, what this one lists as `checksums` or `files`, and names with the patterns `ours`.
    """
    others: list[str] = []
    try:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return
        about = dict(json.loads((folder / named).read_bytes()))
        if key in about:
            listed = {named, *about.get("checksums", ()), *about.get("files", ())}
            others = [name for name in files_in(folder) if name not in listed and not any(fnmatchcase(name, one) for one in ours)]
            if not others:
                return
    except (OSError, ValueError, TypeError, RecursionError):
        pass
    shown = ", ".join(others[:SHOWN]) + (f" and {len(others) - SHOWN:,} more" if len(others) > SHOWN else "")
    raise InputError(
        f"Expected a new folder, or one that an earlier training wrote; {folder} holds something else{shown and f': {shown}'}. "
        "Choose another --output."
    )


def files_in(folder: Path) -> list[str]:
    """The files of a folder and of those below it, as paths from it, in order."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def check_writable(folder: Path, by: str = "--output DIR") -> None:
    """Raises InputError unless the folder, or the first one above it that there is, can be written. `by`: what names another one."""
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with TemporaryDirectory(prefix=".new-", dir=there):  # os.access would let an administrator write to /proc
            return
    except (NotADirectoryError, FileNotFoundError, PermissionError):
        fault = f"{there} is no folder that you may write to"
    except OSError as error:
        fault = str(error.strerror)
    raise InputError(f"Cannot write to {folder}: {fault}. Choose another: {by}")


def make_home(home: Path) -> None:
    """Make the folder that SWITCHYARD_HOME names, for its user alone: conversations are kept there. Raises StoreError."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"SWITCHYARD_HOME, {home}: expected a folder that can be written: {error.strerror}. Name one.") from None
