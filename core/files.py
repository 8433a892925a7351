"""Files that are whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from core.errors import StoreError


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


def make_home(home: Path) -> None:
    """Make the folder that SWITCHYARD_HOME names. Raises StoreError."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"SWITCHYARD_HOME, {home}: expected a folder that can be written: {error.strerror}. Name one.") from None
