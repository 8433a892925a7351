"""Retrain with feedback: what was deleted is forgotten first, then candidates are fitted, judged, and promoted or not."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.files import write_json, write_whole
from evaluation.results import Progress, silent
from graph.learnt import Recalibration, read_recalibration, router_identity
from graph.promise import broken_promise
from graph.routers.corrected import Corrections
from graph.services import Services
from graph.versions import CONFIDENCE, EVALUATION, NAME, ROUTER, UTTERANCES, adopt_files, packed, unpacked
from store import versions
from store.feedback import Feedback, all_feedback
from store.versions import SHIPPED, Version
from training.feedback import confidence
from training.feedback.corrections import Correction, corrections
from training.feedback.gate import Comparison
from training.feedback.router import Bench, Candidate, candidate

Report = dict[str, Any]


def retrain(services: Services, progress: Progress = silent) -> Version:
    """Fit router and confidence with all feedback; each goes into service only where it is better. Gives the version made.

    Its report: feedback (rows), left_out {reason: rows}, and for `router` and `confidence`: promoted, objections, comparisons, and how many
    rows were learnt from; promise: see `graph.promise`, of what is in service then. Raises IndexFault, StoreError.
    """
    engine = services.engine
    adopt_files(engine, services.settings.home)
    number, (before, _) = 1 + len(versions.history(engine, NAME)), versions.serving(engine, NAME)
    given = all_feedback(engine)
    forget_deleted(services, given)
    bench = Bench(services, progress)
    rows, left_out = corrections(given, bench.labels)
    routing = candidate(bench, rows)
    rated = confidence.Ratings.of(given)
    recalibrated = confidence.fit(services.shipped_confidence, rated.where(~rated.judges))
    compared, against = confidence.judged(services, recalibrated, rated.where(rated.judges), progress)
    if routing.contradicted:
        left_out["not borne out by what lies near it"] = routing.contradicted
    better = routing if not routing.objections else None, recalibrated if not against else None
    serving = recalibrated.applied(services.shipped_confidence) if better[1] else services.confidence
    report = {
        "feedback": len(given),
        "left_out": left_out,
        "router": _part(routing.comparisons, routing.objections, len(routing.learnt)),
        "confidence": _part(compared, against, len(recalibrated.ids)),
        "promise": broken_promise(services, serving),
    }
    made = Version(number, before, time.time(), any(better), report)
    files = _files(bench, before, *better, judging=[row for row in rows if row.judges]) if made.promoted else None
    versions.add(engine, NAME, made, files)
    services.learnt.look_again()
    return made


def taught(services: Services, name: str) -> list[dict[str, str]]:
    """The rows of feedback that is still there in the version in service: {"id", "text", "label"}; `name`: UTTERANCES or EVALUATION."""
    engine = services.engine
    adopt_files(engine, services.settings.home)
    number, _ = versions.serving(engine, NAME)
    there = {one.id for one in all_feedback(engine)}
    with unpacked(b"" if number == SHIPPED else versions.files_of(engine, NAME, number)) as folder:
        return [row for row in _read_rows(folder / name) if row["id"] in there]


def roll_back(services: Services) -> int:
    """Put the version into service that was before; gives its number, 0 for what ships. Raises InputError when that is in service."""
    adopt_files(services.engine, services.settings.home)
    number = versions.roll_back(services.engine, NAME)
    services.learnt.look_again()
    return number


def forget_deleted(services: Services, given: Sequence[Feedback]) -> None:
    """Take out of every version what was learnt from feedback that is no longer there, and fit the rest anew."""
    engine, there = services.engine, {one.id for one in given}
    for version in versions.history(engine, NAME):
        if version.promoted:
            with unpacked(versions.files_of(engine, NAME, version.number)) as folder:
                if _forget(services, folder, there, given):
                    versions.replace_files(engine, NAME, version.number, packed(folder))
    services.learnt.look_again()


def _forget(services: Services, folder: Path, there: set[str], given: Sequence[Feedback]) -> bool:
    changed = False
    if (folder / ROUTER).exists():
        made, base = Corrections.load(folder / ROUTER)
        if gone := {id_ for id_ in made.ids if id_} - there:
            made.without(gone).save(folder / ROUTER, base)
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


def _files(
    bench: Bench, before: int, routing: Candidate | None, recalibrated: Recalibration | None, judging: Sequence[Correction]
) -> bytes:
    """The version's files. A part that is not better stays as it is in service."""
    services = bench.services
    with unpacked(b"" if before == SHIPPED else versions.files_of(services.engine, NAME, before)) as folder:
        if routing and routing.corrections:
            routing.corrections.save(folder / ROUTER, router_identity(services, bench.kind))
            _write_rows(folder / UTTERANCES, [_row(row) for row in routing.learnt])
            _write_rows(folder / EVALUATION, [_row(row) for row in judging])
        if recalibrated:
            write_json(folder / CONFIDENCE, asdict(recalibrated))
        return packed(folder)


def _row(row: Correction) -> dict[str, str]:
    return {"id": row.id, "text": row.text, "label": row.label}


def _write_rows(path: Path, rows: Sequence[dict[str, str]]) -> None:
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _read_rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line] if path.exists() else []
