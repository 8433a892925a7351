"""What feedback taught, in versions: a folder of files each, kept in the database (see `store.versions`).

router/, corrections of the router (see `routers.corrected`); confidence.json, slope and offset of the confidence's logits;
utterances.jsonl and evaluation.jsonl, the questions that were learnt from and those that judged.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from core.errors import IndexFault

if TYPE_CHECKING:
    from sqlalchemy import Engine

NAME, ROUTER, CONFIDENCE = "feedback", "router", "confidence.json"
UTTERANCES, EVALUATION = "utterances.jsonl", "evaluation.jsonl"
MANIFEST, FORMAT = "manifest.json", 1
"""Of the folder in SWITCHYARD_HOME in which versions were kept before they came into the database."""


def packed(folder: Path) -> bytes:
    """The files below a folder, as a zip. Raises OSError."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return made.getvalue()


@contextmanager
def unpacked(files: bytes) -> Iterator[Path]:
    """A folder with what was packed, empty for b"", as long as the block lasts. Raises IndexFault where the block, too, cannot write."""
    try:
        # What is read memory-mapped stays open for longer: not every system can delete such a file.
        with TemporaryDirectory(prefix="switchyard-", ignore_cleanup_errors=True) as made:
            if files:
                with zipfile.ZipFile(io.BytesIO(files)) as archive:
                    archive.extractall(made)
            yield Path(made)
    except OSError as error:
        raise IndexFault(f"What feedback taught cannot be unpacked: {error.strerror}. Free some disk, or set TMPDIR.") from None


def adopt_files(engine: Engine, home: Path) -> None:
    """Take versions that are still files in the home folder into the database, unless it has some. Raises IndexFault, StoreError."""
    from store.versions import Version, adopt

    folder = home / NAME
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"it has the format {data['format']}, expected {FORMAT}")
        found = [Version(**version) for version in data["versions"]]
        adopt(engine, NAME, [(one, packed(folder / str(one.number)) if one.promoted else None) for one in found], data["serving"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IndexFault(f"{folder / MANIFEST} cannot be read: {error}. Move {folder} away, and run: switchyard feedback retrain") from None
