"""One way to keep a trained router: a folder with about.json (settings, seed, data, metrics, checksums) and the weights. No pickle.

A new folder is written whole and only then put in the place of the old one, so that whoever is interrupted keeps the good router.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from core.errors import IndexFault
from core.files import file_checksum

FORMAT = 5
ABOUT, CARD = "about.json", "README.md"
Arrays = dict[str, NDArray[Any]]
_MEND = {
    "difficulty": "switchyard train difficulty FILE",
    "recommender": "switchyard train recommender FILE",
    "feedback": "switchyard feedback rollback",
}


def write_router(
    folder: Path, about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], files: Mapping[str, Path] | None = None
) -> None:
    """Write to `folder`, replacing what was there only when the new router is whole.

    `about` holds at least kind, encoder (its fingerprint) and labels; format and checksums are added. `files` (name -> path) are copied.
    Raises IndexFault when the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".new-", dir=folder.parent, ignore_cleanup_errors=True) as made:
            fresh = Path(made) / "router"
            fresh.mkdir()
            for name, array in arrays.items():
                np.save(fresh / f"{name}.npy", array, allow_pickle=False)
            for name, path in (files or {}).items():
                shutil.copyfile(path, fresh / name)
            checksums = {path.name: file_checksum(path) for path in sorted(fresh.iterdir())}
            whole = {"format": FORMAT, **about, "checksums": checksums}
            (fresh / ABOUT).write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            if (card := folder / CARD).exists():
                # Written by hand: no training brings it back.
                shutil.copyfile(card, fresh / CARD)
            if folder.exists():
                folder.replace(Path(made) / "old")
            fresh.replace(folder)
    except OSError as error:
        raise IndexFault(f"Cannot write the router to {folder}: {error.strerror}. Choose a folder that can be written.") from None


def read_router(folder: Path, kind: str, encoder_fingerprint: str | None) -> tuple[dict[str, Any], Arrays]:
    """What `write_router` wrote: (about, arrays); arrays are memory-mapped. `encoder_fingerprint`: None: of whichever encoder.

    Raises IndexFault, with the command that mends it, when the folder is missing, half-written, changed, of another kind or encoder.
    """
    try:
        about = read_about(folder)
        if about["kind"] != kind:
            raise ValueError(f"it holds a router of the kind {about['kind']!r}")
        if encoder_fingerprint not in (None, about["encoder"]):
            raise IndexFault(f"The router in {folder} was made by another encoder. Run: {mend(kind)}")
        names = list(about["checksums"])
        if about["checksums"] != {name: file_checksum(folder / name) for name in names}:
            raise ValueError("its files are not those that were saved")
        arrays = {Path(name).stem: np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in names if name.endswith(".npy")}
        return about, arrays
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise broken(folder, kind, error) from None


def files_of(router: object) -> Path:
    """A folder for the files of a router that is not saved yet; it goes when the router does."""
    made = Path(mkdtemp(prefix="switchyard-router-"))
    finalize(router, shutil.rmtree, made, ignore_errors=True)
    return made


def read_about(folder: Path) -> dict[str, Any]:
    """The router's about.json, for reading only. Raises OSError, ValueError or TypeError."""
    now = (folder / ABOUT).stat()
    return _parsed(folder / ABOUT, now.st_mtime_ns, now.st_ino, now.st_size)


@lru_cache(maxsize=2)
def _parsed(path: Path, *_: int) -> dict[str, Any]:
    # With its examples it takes thirty milliseconds, and whoever opens a router looks there first, to know what it is.
    about = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(about, dict):
        raise TypeError(f"{ABOUT} is no JSON object")
    if about.get("format") != FORMAT:
        raise ValueError(f"{ABOUT} has the format {about.get('format')}, expected {FORMAT}")
    return about


def add_to_about(folder: Path, **more: Any) -> None:
    """Add keys (data, metrics) to the about.json of a saved router. Raises OSError, ValueError or TypeError."""
    fresh = folder / f"{ABOUT}.new"
    fresh.write_text(json.dumps(read_about(folder) | more, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    fresh.replace(folder / ABOUT)


def broken(folder: Path, kind: str, error: Exception) -> IndexFault:
    """The one-line error for a router whose files cannot be used."""
    return IndexFault(f"The router in {folder} cannot be read: {error}. Run: {mend(kind)}")


def mend(kind: str) -> str:
    """The command that makes a router of `kind` anew."""
    return _MEND.get(kind, f"switchyard train router --kind {kind}")


def size_mb(folder: Path) -> float:
    """Size on disk in megabytes (10^6 bytes)."""
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def data_hash(texts: Sequence[str], labels: Sequence[str]) -> str:
    """Changes whenever an example does."""
    return hashlib.sha256("\0".join([*texts, *labels]).encode()).hexdigest()[:16]
