"""What feedback taught: numbered versions in SWITCHYARD_HOME/feedback, one of them in service, or none.

manifest.json, written last: which version is in service, and the report of every retraining. In a version's folder, named by its number:
router/, corrections of the router (see `routers.corrected`); confidence.json, slope and offset of the confidence's logits;
utterances.jsonl and evaluation.jsonl, the questions that were learnt from and those that judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from core import files
from core.errors import IndexFault, InputError

FOLDER, MANIFEST, ROUTER, CONFIDENCE = "feedback", "manifest.json", "router", "confidence.json"
UTTERANCES, EVALUATION = "utterances.jsonl", "evaluation.jsonl"
FORMAT = 1
SHIPPED = 0


@dataclass(frozen=True, slots=True)
class Version:
    """One retraining. `before`: the version that was in service then; report: see `training.feedback`."""

    number: int
    before: int
    created_at: float
    promoted: bool
    report: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All retrainings, oldest first, and the number of the one in service; 0 is what ships."""

    serving: int = SHIPPED
    versions: list[Version] = field(default_factory=list)

    def with_version(self, promoted: bool, created_at: float, report: Mapping[str, Any]) -> Manifest:
        """One more, in service if it was promoted."""
        number = len(self.versions) + 1
        made = Version(number, self.serving, created_at, promoted, dict(report))
        return Manifest(number if promoted else self.serving, [*self.versions, made])

    def rolled_back(self) -> Manifest:
        """With the version in service that was before. Raises InputError when what ships is in service."""
        if self.serving == SHIPPED:
            raise InputError("Expected a promoted version to roll back from; what ships is in service already.")
        return replace(self, serving=self.versions[self.serving - 1].before)


def folder_of(home: Path, number: int) -> Path:
    """Where a version is."""
    return home / FOLDER / str(number)


def read_manifest(home: Path) -> Manifest:
    """The manifest; an empty one where there is none. Raises IndexFault when it is broken."""
    path = home / FOLDER / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"it has the format {data['format']}, expected {FORMAT}")
        return Manifest(data["serving"], [Version(**version) for version in data["versions"]])
    except FileNotFoundError:
        return Manifest()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IndexFault(f"{path} cannot be read: {error}. Move {path.parent} away, and run: switchyard feedback retrain") from None


def write_manifest(home: Path, manifest: Manifest) -> None:
    """Replace the manifest, whole or not at all. Raises IndexFault."""
    write_json(home / FOLDER / MANIFEST, {"format": FORMAT, **asdict(manifest)})


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all. Raises IndexFault."""
    try:
        files.write_json(path, value)
    except OSError as error:
        raise IndexFault(f"Cannot write {path}: {error.strerror}. Free some disk, or set SWITCHYARD_HOME to a writable folder.") from None
