"""The tiny application with scripted models and numbers that a test can foresee."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.errors import SwitchyardError
from core.settings import ROOT
from core.types import Answer
from graph.api import events, run
from graph.confidence import AFTER, BEFORE
from graph.services import Services
from graph.state import Context
from llms.fake import ScriptedModel

QUESTION = "How long does green tea steep?"
GOOD = "Green tea steeps for two minutes."
"""Stands in a passage: confidence above 0.99."""
HALF = "Green tea steeps until volcanoes erupt lava."
"""Half of its content words do: confidence 0.5."""
BAD = "Volcanoes erupt lava."
"""None do: confidence below 0.01."""
LADDER = {"out_of_scope_at": 1.0, "both_at": 1.0, "accept_at": 0.6, "retry_at": 0.3, "answer_at": 0.35, "stream_at": 0.75}

Reply = str | list[str] | Exception


@dataclass(frozen=True)
class Table:
    """The application and its two models."""

    services: Services
    weak: ScriptedModel
    strong: ScriptedModel

    def ask(self, question: str = QUESTION, thread: str | None = None, **context: Any) -> Answer:
        return run(question, Context(**context), thread, self.services)

    def events(self, question: str = QUESTION, thread: str | None = None, **context: Any) -> list[dict[str, Any]]:
        return list(events(question, Context(**{"live": True} | context), thread, self.services))


@pytest.fixture
def table(scripted: Callable[..., Services], tmp_path: Path) -> Callable[..., Table]:
    """`table([weak's replies], [strong's replies], live=False, policy={...}, **settings)`.

    The confidence is 1 / (1 + exp(6 - 12 * support)), whatever the weights that ship; drafts are held until judged unless `live`
    and asked for in events.
    """

    def make(
        weak: Sequence[Reply], strong: Sequence[Reply] = (), *, live: bool = False, policy: dict[str, float] | None = None, **changes: Any
    ) -> Table:
        models = {"fake:weak": ScriptedModel(replies=list(weak)), "fake:strong": ScriptedModel(replies=list(strong))}
        extra = changes.pop("models", {})
        settings = {"inferior": "fake:weak", "superior": "fake:strong", "model_retries": 0, "artifacts_dir": tmp_path / "artifacts"}
        write_artifacts(tmp_path / "artifacts", live=live, policy=policy or {})
        return Table(scripted(models | extra, **settings | changes), models["fake:weak"], models["fake:strong"])

    return make


def write_artifacts(folder: Path, *, live: bool, policy: dict[str, float]) -> None:
    """A confidence and a ladder of the test's own; the reader and the thresholds of the safety rules that ship."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "reader").symlink_to(ROOT / "artifacts" / "reader")
    write_policy(folder, policy)
    weights = {
        "before": {"weights": dict.fromkeys(BEFORE, 0.0), "intercept": 9.0 if live else -9.0},
        "after": {"weights": dict.fromkeys(AFTER, 0.0) | {"support": 12.0}, "intercept": -6.0},
    }
    (folder / "confidence").mkdir()
    (folder / "confidence" / "weights.json").write_text(json.dumps(weights))


def write_policy(folder: Path, changes: dict[str, float]) -> None:
    """The shipped policy with LADDER and `changes`."""
    shipped = tomllib.loads((ROOT / "artifacts" / "policy.toml").read_text(encoding="utf-8"))
    (folder / "policy.toml").write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in (shipped | LADDER | changes).items()))


@contextmanager
def refused(kind: type[SwitchyardError], pattern: str) -> Iterator[None]:
    """Expect `kind`, its whole message one line that matches. (LangGraph adds notes to an error: those are for tracebacks only.)"""
    with pytest.raises(kind) as info:
        yield
    assert re.fullmatch(pattern, str(info.value)), str(info.value)
