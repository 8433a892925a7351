from __future__ import annotations

from dataclasses import dataclass

import pytest

from core.settings import settings
from graph.api import compiled
from graph.services import services
from store.engine import engine
from tests.conftest import close
from ui.cli import main


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str


def point_at(monkeypatch, settings):
    monkeypatch.setenv("SWITCHYARD_HOME", str(settings.home))
    monkeypatch.setenv("SWITCHYARD_EXPERTS", str(settings.experts_dir))
    monkeypatch.setenv("SWITCHYARD_INDEXES", str(settings.indexes_dir))


def forget():
    if services.cache_info().currsize:
        close(services())
    compiled.cache_clear()
    services.cache_clear()
    settings.cache_clear()
    engine.cache_clear()


@pytest.fixture
def run(capsys):
    """`run("ask", "...")`: the command in this process, which knows as little of an earlier call as a new process would."""

    def call(*arguments: str) -> Result:
        forget()
        capsys.readouterr()
        status = main(list(arguments))
        said = capsys.readouterr()
        return Result(status, said.out, said.err)

    return call


@pytest.fixture
def switchyard(run, monkeypatch, tiny, tiny_settings):
    """`run` over the tiny experts in a wide terminal, their indexes built, router and safety rules learnt."""
    monkeypatch.setenv("COLUMNS", "200")
    for name in tiny.experts:
        tiny.index(name)
    tiny.router()
    _ = tiny.safety
    point_at(monkeypatch, tiny_settings)
    return run


@pytest.fixture
def own_switchyard(run, monkeypatch, own_experts):
    """`run` over a copy of the tiny experts that the test may change."""
    monkeypatch.setenv("COLUMNS", "200")
    point_at(monkeypatch, own_experts)
    return run
