"""The reports that `switchyard eval ... --report DIR` wrote, found and read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from core.errors import InputError

REPORT, HTML = "report.json", "report.html"
DEPTH = 3
"""Folders below a place that are looked into."""
LARGEST_PLOT = 5_000_000
_PNG = b"\x89PNG\r\n\x1a\n"


class System(BaseModel):
    """One system's numbers. Rates are in [0, 1]; None is what is not defined."""

    name: str
    baseline: bool
    metrics: dict[str, float | None]
    interval: dict[str, tuple[float, float]] = {}
    latency_ms: dict[str, float | None] = {}


class Suite(BaseModel):
    """A suite's part of a report; systems best first."""

    suite: str
    n: int
    command: str
    results: list[System]
    wrong: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture. `shows`: what it shows, by its file's name."""

    shows: str
    png: bytes


def folders(places: Sequence[Path]) -> list[Path]:
    """Folders with a report in one of the `places` or at most DEPTH below, the newest first."""
    found = {path.parent for place in places for level in range(DEPTH + 1) for path in place.glob("/".join(["*"] * level + [REPORT]))}
    return sorted(found, key=lambda folder: (-(folder / REPORT).stat().st_mtime, folder))


def read(folder: Path) -> list[Suite]:
    """The suites of a report. Raises InputError for a file that is none."""
    path = folder / REPORT
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return TypeAdapter(list[Suite]).validate_python(value if isinstance(value, list) else [value])
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, ValidationError):
        raise InputError(f"{path}: expected a report of switchyard eval; it is none, or half-written. Make it anew.") from None


def plots(folder: Path, suite: str) -> list[Plot]:
    """The suite's plots, in the order of their names; what is no PNG, or too large to show, is left out."""
    found = []
    for path in sorted(folder.glob("*.png")):
        if path.stem.startswith(f"{suite}-") and path.stat().st_size <= LARGEST_PLOT:
            png = path.read_bytes()
            found += [Plot(path.stem.removeprefix(f"{suite}-").replace("-", " "), png)] if png.startswith(_PNG) else []
    return found


def matching(items: Sequence[dict[str, Any]], words: str) -> list[dict[str, Any]]:
    """The items that hold all the words, in whatever field."""
    wanted = words.casefold().split()
    return [item for item in items if all(word in " ".join(map(str, item.values())).casefold() for word in wanted)]
