"""The load benchmark: what it takes for the model's own time."""

from __future__ import annotations

import pytest

from benchmarks.load.sides import calls_for


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        ({"choices": [{}], "switchyard": {"models": [{"model": "fake:rewrites"}, {"model": "fake:answers"}]}}, 2),
        ({"messages": [], "answer": {"models": [{"model": "fake:answers"}]}}, 1),
        ({"choices": [{}]}, 1),
    ],
    ids=["ours", "dev", "bare"],
)
def test_every_call_of_a_turn_counts(body: dict[str, object], calls: int) -> None:
    assert calls_for(body) == calls
