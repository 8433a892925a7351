"""Retrain with feedback: what was deleted is forgotten first, then candidates are fitted, judged, and promoted or not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import TemporaryDirectory
from typing import Any

from filelock import FileLock, Timeout

from core.errors import IndexFault
from core.files import write_whole
from evaluation.results import Progress, silent
from graph.learnt import Recalibration, read_recalibration, router_identity
from graph.routers.corrected import Corrections
from graph.services import Services
from graph.versions import (
    CONFIDENCE,
    EVALUATION,
    FOLDER,
    ROUTER,
    SHIPPED,
    UTTERANCES,
    Version,
    folder_of,
    read_manifest,
    write_json,
    write_manifest,
)
from store.feedback import Feedback, all_feedback
from training.feedback import confidence
from training.feedback.corrections import Correction, corrections
from training.feedback.gate import Comparison
from training.feedback.router import Bench, Candidate, candidate

Report = dict[str, Any]


def retrain(services: Services, progress: Progress = silent) -> Version:
    """Fit router and confidence with all feedback; each goes into service only where it is better. Gives the version made.

    Its report: feedback (rows), left_out {reason: rows}, and for `router` and `confidence`: promoted, objections, comparisons, and how many
    rows were learnt from. Raises IndexFault, StoreError.
    """
    home = services.settings.home
    with _alone(home):
        given = all_feedback(services.engine)
        forget_deleted(services, given)
        bench = Bench(services, progress)
        rows, left_out = corrections(given, bench.labels)
        routing = candidate(bench, rows)
        rated = confidence.Ratings.of(given)
        recalibrated = confidence.fit(services.shipped_confidence, rated.where(~rated.judges))
        compared, against = confidence.judged(services, recalibrated, rated.where(rated.judges), progress)
        if routing.contradicted:
            left_out["not borne out by what lies near it"] = routing.contradicted
        report = {
            "feedback": len(given),
            "left_out": left_out,
            "router": _part(routing.comparisons, routing.objections, len(routing.learnt)),
            "confidence": _part(compared, against, len(recalibrated.ids)),
        }
        manifest = read_manifest(home)
        better = routing if not routing.objections else None, recalibrated if not against else None
        manifest = manifest.with_version(any(better), time.time(), report)
        made = manifest.versions[-1]
        if made.promoted:
            _write(bench, made, *better, judging=[row for row in rows if row.judges])
        write_manifest(home, manifest)
        return made


def roll_back(services: Services) -> int:
    """Put the version into service that was before; gives its number, 0 for what ships. Raises InputError when that is in service."""
    home = services.settings.home
    with _alone(home):
        manifest = read_manifest(home).rolled_back()
        write_manifest(home, manifest)
        return manifest.serving


def forget_deleted(services: Services, given: Sequence[Feedback]) -> None:
    """Take out of every version what was learnt from feedback that is no longer there, and fit the rest anew."""
    home, there = services.settings.home, {one.id for one in given}
    manifest = read_manifest(home)
    changed = [_forget(services, folder_of(home, version.number), there, given) for version in manifest.versions]
    if any(changed):
        write_manifest(home, manifest)  # whoever has a version open opens it anew


def _forget(services: Services, folder: Path, there: set[str], given: Sequence[Feedback]) -> bool:
    changed = False
    if (folder / ROUTER).exists():
        made, base = Corrections.load(folder / ROUTER, services.encoder)
        if gone := {id_ for id_ in made.ids if id_} - there:
            made.without(gone).save(folder / ROUTER, services.encoder, base)
            changed = True
    found = read_recalibration(folder)
    if found and set(found.ids) - there:
        rated = confidence.Ratings.of([one for one in given if one.id in found.ids])
        write_json(folder / CONFIDENCE, asdict(confidence.fit(services.shipped_confidence, rated)))
        changed = True
    for path in (folder / UTTERANCES, folder / EVALUATION):
        rows = _read_rows(path)
        if any(row["id"] not in there for row in rows):
            _write_rows(path, [row for row in rows if row["id"] in there])
            changed = True
    return changed


def _part(compared: Sequence[Comparison], against: Sequence[str], learnt: int) -> Report:
    return {
        "promoted": not against,
        "learnt": learnt,
        "objections": list(against),
        "comparisons": [one.as_dict() for one in compared],
    }


def _write(
    bench: Bench, made: Version, routing: Candidate | None, recalibrated: Recalibration | None, judging: Sequence[Correction]
) -> None:
    """The version's folder, whole or not at all. A part that is not better stays as it is in service."""
    home = bench.services.settings.home
    folder, before = folder_of(home, made.number), folder_of(home, made.before)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        rmtree(folder, ignore_errors=True)  # of a retraining that was interrupted
        with TemporaryDirectory(prefix=".new-", dir=folder.parent) as scratch:
            fresh = Path(scratch) / "version"
            if made.before != SHIPPED:
                copytree(before, fresh)
            fresh.mkdir(exist_ok=True)
            if routing and routing.corrections:
                routing.corrections.save(fresh / ROUTER, bench.services.encoder, router_identity(bench.services, bench.kind))
                _write_rows(fresh / UTTERANCES, [_row(row) for row in routing.learnt])
                _write_rows(fresh / EVALUATION, [_row(row) for row in judging])
            if recalibrated:
                write_json(fresh / CONFIDENCE, asdict(recalibrated))
            fresh.replace(folder)
    except OSError as error:
        raise IndexFault(f"Cannot write {folder}: {error.strerror}. Free some disk; what is in service stays.") from None


def _row(row: Correction) -> dict[str, str]:
    return {"id": row.id, "text": row.text, "label": row.label}


def _write_rows(path: Path, rows: Sequence[dict[str, str]]) -> None:
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _read_rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One retraining or rollback at a time. Raises IndexFault."""
    try:
        (home / FOLDER).mkdir(parents=True, exist_ok=True)
        with FileLock(home / FOLDER / ".lock", timeout=0):
            yield
    except Timeout:
        raise IndexFault("Another `switchyard feedback` is at work in this folder. Wait for it.") from None
    except OSError as error:
        raise IndexFault(f"Cannot write {home / FOLDER}: {error.strerror}. Set SWITCHYARD_HOME to a writable folder.") from None
