"""While an index is built or a model is loaded, whoever needs another one goes on."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from core.errors import UnknownNameError
from core.settings import Settings
from experts.indexes import open_index
from graph import opened, services
from graph.services import Services
from llms.fake import ScriptedModel

WAIT_S = 60.0


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> tuple[Event, Event, list[str]]:
    """(begun, may go on, the names opened): opening the index of tea waits in between."""
    begun, go_on, names = Event(), Event(), list[str]()

    def opening(expert: Any, *rest: Any) -> Any:
        names.append(expert.name)
        if expert.name == "tea":
            begun.set()
            assert go_on.wait(WAIT_S)
        return open_index(expert, *rest)

    monkeypatch.setattr(opened, "open_index", opening)
    return begun, go_on, names


def test_an_index_that_is_built_holds_up_neither_the_others_nor_the_models(tiny: Services, slow: tuple[Event, Event, list[str]]) -> None:
    begun, go_on, names = slow
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(tiny.index, "tea") for _ in range(2)]
        try:
            assert begun.wait(WAIT_S)
            other, model = pool.submit(lambda: (tiny.index("bees"), tiny.model("local:reader"))).result(WAIT_S)
            assert (len(other.passages), model) == (8, tiny.model("local:reader"))
            assert not any(one.done() for one in waiting)
        finally:
            go_on.set()
        first, second = (one.result() for one in waiting)
    assert first is second is tiny.index("tea")
    assert sorted(names) == ["bees", "tea"]


def test_an_index_of_nobody(tiny: Services) -> None:
    with pytest.raises(UnknownNameError, match=r"^No expert is called 'coffee'\. Known: bees, tea\.$"):
        tiny.index("coffee")


def test_a_model_that_loads_does_not_hold_up_one_that_is_there(tiny_settings: Settings) -> None:
    begun, go_on = Event(), Event()

    def load(spec: str, *_: Any) -> ScriptedModel:
        if spec == "fake:slow":
            begun.set()
            assert go_on.wait(WAIT_S)
        return ScriptedModel(replies=[])

    made = Services(tiny_settings, load=load)
    there = made.model("fake:quick")
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(made.model, "fake:slow")
        try:
            assert begun.wait(WAIT_S)
            assert pool.submit(made.model, "fake:quick").result(WAIT_S) is there
        finally:
            go_on.set()
        assert slow.result() is made.model("fake:slow")


def test_of_many_models_the_last_are_kept(tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "KEPT_MODELS", 3)
    loaded: list[str] = []

    def load(spec: str, *_: Any) -> ScriptedModel:
        loaded.append(spec)
        return ScriptedModel(replies=[])

    made = Services(tiny_settings, load=load)
    specs = [f"fake:{n}" for n in range(5)]
    for spec in [*specs, *specs[2:]]:
        made.model(spec)
    assert loaded == specs
    made.model(specs[0])
    assert loaded == [*specs, specs[0]]


def test_where_there_is_nothing_to_route_no_router_is_fitted(
    tiny_settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_settings.experts_dir / "tea", tmp_path / "experts" / "tea")
    alone = Services(tiny_settings.model_copy(update={"experts_dir": tmp_path / "experts", "home": tmp_path / "home"}))
    assert alone.lone == "tea"
    with alone.opening():
        pass
    assert "Fitting the router" not in capsys.readouterr().err
