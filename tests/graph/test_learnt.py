"""What feedback taught is picked up by every worker, and a turn ends by what it began with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import IndexFault
from graph import learnt
from graph.learnt import Recalibration, confidence_identity, router_identity
from graph.routers.corrected import CorrectedRouter, Corrections
from graph.services import Services
from graph.versions import CONFIDENCE, NAME, ROUTER, packed, unpacked
from llms.fake import ScriptedModel
from store.versions import Version, add, files_of, history, roll_back, serving
from tests.graph.conftest import GOOD, Table
from tests.postgres import BOTH

Make = Callable[..., Table]


@pytest.fixture(autouse=True)
def looks_at_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learnt, "LOOK_S", 0.0)


def doubtful(services: Services, folder: Path) -> bytes:
    """A version that takes six from the logit of every answer."""
    folder.mkdir(parents=True)
    made = Recalibration(confidence_identity(services.shipped_confidence), (1.0, -6.0), (1.0, -6.0), [])
    (folder / CONFIDENCE).write_text(json.dumps(asdict(made)))
    return packed(folder)


class Promoting(ScriptedModel):
    """While it answers, something happens."""

    happens: Callable[[], None]

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        chunks = super()._stream(*args, **kwargs)
        yield next(chunks)
        if len(self.history) == 1:
            self.happens()
        yield from chunks


@BOTH
def test_another_workers_promotion_and_rollback_count_at_once_and_a_turn_in_flight_ends_on_the_old_one(table: Make, tmp_path: Path) -> None:
    model = Promoting(replies=[GOOD] * 3, happens=lambda: add(t.services.engine, NAME, Version(1, 0, 10.0, promoted=True), files))
    t = table([], models={"fake:m": model}, inferior="fake:m", superior="fake:m", policy={"accept_at": 0.0, "retry_at": 0.0})
    files = doubtful(t.services, tmp_path / "made")
    in_flight, after = t.ask(), t.ask()
    assert (in_flight.confidence > 0.99, serving(t.services.engine, NAME)[0]) == (True, 1)
    assert after.confidence == pytest.approx(0.5, abs=0.05)
    roll_back(t.services.engine, NAME)
    assert t.ask().confidence == in_flight.confidence


def test_what_serves_is_looked_up_no_more_often_than_needed(tiny: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(tiny.learnt, "_look", lambda: looks.append(1))
    monkeypatch.setattr(learnt, "LOOK_S", 60.0)
    tiny.router(), tiny.confidence, tiny.confidence
    assert len(looks) == 1
    tiny.learnt.look_again()
    tiny.router(), tiny.router()
    assert len(looks) == 2


def test_to_ask_for_a_route_makes_no_database(tiny: Services) -> None:
    tiny.router(), tiny.confidence
    assert not (tiny.settings.home / "switchyard.db").exists()


@BOTH
def test_versions_that_were_files_in_the_home_folder_are_not_lost(tiny: Services, tmp_path: Path) -> None:
    shipped = tiny.confidence
    folder = tiny.settings.home / NAME
    doubtful(tiny, folder / "1")
    kept = [asdict(Version(1, 0, 10.0, promoted=True, report={"feedback": 7})), asdict(Version(2, 1, 20.0, promoted=False))]
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "serving": 1, "versions": kept}))
    worker = Services(tiny.settings)
    assert worker.confidence == tiny.confidence != shipped
    assert [asdict(one) for one in history(worker.engine, NAME)] == kept
    with unpacked(files_of(worker.engine, NAME, 1)) as found:
        assert (found / CONFIDENCE).read_bytes() == (folder / "1" / CONFIDENCE).read_bytes()
    roll_back(worker.engine, NAME)
    assert Services(tiny.settings).confidence == shipped


def corrections(services: Services, folder: Path, encoder: str) -> bytes:
    """A version with one correction of the router as it is now, its vector by that encoder."""
    labels = services.router().labels
    vector, moves = np.eye(1, services.encoder.dimensions, dtype=np.float32), np.zeros((1, len(labels)))
    corrections = Corrections(labels, encoder, ["one"], vector, moves, np.ones(1), 3.0)
    corrections.save(folder / ROUTER, router_identity(services, services.router_kind))
    return packed(folder)


@pytest.mark.parametrize("foreign", [False, True])
def test_corrections_of_another_encoder_are_left_aside(
    tiny: Services, tmp_path: Path, capsys: pytest.CaptureFixture[str], foreign: bool
) -> None:
    files = corrections(tiny, tmp_path, "another" if foreign else tiny.encoder.fingerprint)
    add(tiny.engine, NAME, Version(1, 0, 10.0, promoted=True), files)
    capsys.readouterr()
    assert isinstance(tiny.router(), CorrectedRouter) is not foreign
    told = "What feedback taught was fitted to another encoder, and is left aside. Run: switchyard feedback retrain\n"
    assert capsys.readouterr().err == (told if foreign else "")


def test_the_corrected_routers_of_two_kinds_are_kept_side_by_side(tiny: Services, tmp_path: Path) -> None:
    add(tiny.engine, NAME, Version(1, 0, 10.0, promoted=True), corrections(tiny, tmp_path, tiny.encoder.fingerprint))
    base, other = tiny.router(), tiny.trained.router("similarity")
    kept = tiny.learnt.router(other, "another kind")
    assert tiny.router() is base
    assert tiny.learnt.router(other, "another kind") is kept


def test_corrections_that_are_damaged_name_the_way_back(tiny: Services, tmp_path: Path) -> None:
    corrections(tiny, tmp_path, tiny.encoder.fingerprint)
    (tmp_path / ROUTER / "moves.npy").write_bytes(b"")
    add(tiny.engine, NAME, Version(1, 0, 10.0, promoted=True), packed(tmp_path))
    with pytest.raises(IndexFault, match=r"its files are not those that were saved\. Run: switchyard feedback rollback$"):
        tiny.router()


def test_a_router_whose_about_is_no_object_has_nothing_to_be_corrected(tiny: Services, tmp_path: Path) -> None:
    files = corrections(tiny, tmp_path, tiny.encoder.fingerprint)
    add(tiny.engine, NAME, Version(1, 0, 10.0, promoted=True), files)
    (tiny.router_folder / "about.json").write_text("[]")
    assert tiny.learnt.corrections("similarity") is None
