"""The general model, which answers what no expert covers: its text is its own, and no reader without passages stands in for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.errors import ModelUnavailableError
from core.types import Notice, Outcome
from graph.nodes.decline import UNGROUNDED, declined_text
from llms.fake import ScriptedModel
from tests.graph.conftest import Table

Make = Callable[..., Table]
OUTSIDE = {"out_of_scope_at": 0.0, "look_below": 0.0}


@pytest.mark.parametrize("said", ["`a[0], a[1] = a[1], a[0]` swaps them.", "See [2](https://example.org) and [1]."])
def test_what_stands_in_brackets_is_no_marker(table: Make, said: str) -> None:
    t = table([], models={"fake:general": ScriptedModel(replies=[said])}, general="fake:general", policy=OUTSIDE)
    answer = t.ask("How do I swap two values?")
    assert (answer.answer, answer.citations, answer.notices) == (said, [], [Notice("model", UNGROUNDED)])


def test_a_reader_has_nothing_to_say_in_its_place(table: Make) -> None:
    general = ScriptedModel(replies=[ModelUnavailableError("fake:general is down.")])
    local = {"inferior": "local:reader", "superior": "local:deep-reader"}
    t = table([], models={"fake:general": general}, general="fake:general", policy=OUTSIDE, **local)
    answer = t.ask("Capital of Norway?")
    assert (answer.outcome, answer.answer) == (Outcome.DECLINED, declined_text(t.services, "Capital of Norway?"))
    assert answer.notices == [Notice("fallback", "fake:general is down. Asked local:deep-reader instead.")]
    assert [use.model for use in answer.models] == ["local:deep-reader"]
