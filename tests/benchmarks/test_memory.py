import gc
from functools import lru_cache

import pytest

from graph.api import run
from graph.state import Context

QUESTION = "How long does green tea steep?"
TURNS = 8
PER_TURN = 20
"""Objects that a turn may leave behind: what a turn keeps by mistake is its state, messages and passages, hundreds of them."""


@pytest.fixture
def answering(tiny, encoder):
    """The tiny application with an encoder that remembers nothing, and a reader that remembers little."""
    tiny.__dict__["encoder"] = encoder
    tiny.reader._kept = lru_cache(maxsize=4)(tiny.reader._read)
    return tiny


def objects_after(services, numbers):
    for number in numbers:
        run(f"{QUESTION} {number}", Context(), given=services)
    gc.collect()
    return len(gc.get_objects())


def test_a_turn_leaves_nothing_behind(answering):
    before = objects_after(answering, range(TURNS))
    after = objects_after(answering, range(TURNS, 2 * TURNS))
    assert after - before < PER_TURN * TURNS
