"""Files that are whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from core.errors import InputError, StoreError


def write_whole(path: Path, text: str) -> None:
    """Write a text file, and its folder. Whoever reads it, after a power cut too, finds the old one or the new. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def write_json(path: Path, value: Any) -> None:
    """`write_whole` of a JSON document. Raises OSError."""
    write_whole(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def check_replaceable(folder: Path, key: str, named: str = "about.json") -> None:
    """Raises InputError unless the folder is missing or empty, or its `named` file has our `key`: a user's own files are never replaced.

    Where `key` is "checksums", there is no file either that is none of those.
    """
    others = ""
    try:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return
        about = dict(json.loads((folder / named).read_bytes()))
        if key == "checksums":
            kept = {*about.get(key, ()), "about.json", "README.md"}
            others = ", ".join(sorted(path.name for path in folder.iterdir() if path.name not in kept))
        if key in about and not others:
            return
    except (OSError, ValueError, TypeError, RecursionError):
        pass
    raise InputError(
        f"Expected a new folder, or one that an earlier training wrote; {folder} holds something else{others and f': {others}'}. "
        "Choose another --output."
    )


def check_writable(folder: Path) -> None:
    """Raises InputError unless the folder, or the first one above it that there is, can be written."""
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with TemporaryDirectory(prefix=".new-", dir=there):  # os.access would let an administrator write to /proc
            return
    except (NotADirectoryError, FileNotFoundError, PermissionError):
        fault = f"{there} is no folder that you may write to"
    except OSError as error:
        fault = str(error.strerror)
    raise InputError(f"Cannot write to {folder}: {fault}. Choose another: --output DIR")


def make_home(home: Path) -> None:
    """Make the folder that SWITCHYARD_HOME names. Raises StoreError."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"SWITCHYARD_HOME, {home}: expected a folder that can be written: {error.strerror}. Name one.") from None
