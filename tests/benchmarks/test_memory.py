import gc
from functools import lru_cache

import pytest

from graph.api import run
from graph.services import Services
from graph.state import Context
from tests.conftest import close

QUESTION = "How long does green tea steep?"
TURNS = 8
PER_TURN = 20
"""Objects that a turn may leave behind: what a turn keeps by mistake is its state, messages and passages, hundreds of them."""


@pytest.fixture
def answering(own_experts, encoder):
    """The tiny application with an encoder that remembers nothing, and a reader that remembers little."""
    services = Services(own_experts)
    services.__dict__["encoder"] = encoder
    services.reader._kept = lru_cache(maxsize=4)(services.reader._read)
    services.reader._ranked = lru_cache(maxsize=4)(services.reader._rank)
    yield services
    close(services)


def objects_after(services, numbers):
    for number in numbers:
        run(f"{QUESTION} {number}", Context(), given=services)
    gc.collect()
    return len(gc.get_objects())


def test_a_turn_leaves_nothing_behind(answering):
    objects_after(answering, range(TURNS))  # what is made once, and the caches
    before = objects_after(answering, range(TURNS, 2 * TURNS))
    after = objects_after(answering, range(2 * TURNS, 3 * TURNS))
    assert after - before < PER_TURN * TURNS
