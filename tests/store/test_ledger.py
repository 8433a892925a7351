"""The ledger: what was answered is known, what was cut off may have been paid, and one process writes at a time."""

import subprocess
import sys
import time
from dataclasses import replace

import pytest
from sqlalchemy import text

from core.errors import StoreError
from core.settings import ROOT
from store.engine import engine
from store.ledger import FAILED, UNKNOWN, Entry, answered, begin, drop, exclusive, fail, finish, spent, storable
from tests.postgres import BOTH

HOLD = """
import sys
from store.engine import engine
from store.ledger import begin, exclusive
made = engine(sys.argv[1])
with exclusive(made):
    print(begin(made, "key", "job", "m", 0.5)[1], flush=True)
    sys.stdin.read()
"""

pytestmark = BOTH


@pytest.fixture
def made(tmp_path, database_url):
    found = engine(database_url or f"sqlite:///{tmp_path / 'x.db'}")
    yield found
    found.dispose()


def let_go(made):
    """Wait until PostgreSQL has noticed that the process that had the lock is gone; a file's lock goes with its process."""
    until = time.monotonic() + 60
    with made.connect() as connection:
        while made.dialect.name == "postgresql" and time.monotonic() < until:
            if not connection.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")).scalar():
                return
            time.sleep(0.01)


def entry(key, cost=0.25):
    return Entry(key, "m", "Yes", "stop", 3, 1, cost, 12.5)


def test_a_call_counts_as_the_most_it_can_cost_until_its_end_is_known(made):
    row, _ = begin(made, "a", "job", "m", 0.5)
    begin(made, "b", "other job", "m", 9.0)
    assert spent(made, "job") == 0.5
    finish(made, row, entry("a"))
    assert (spent(made, "job"), spent(made, "no job")) == (0.25, 0.0)
    assert answered(made, ["a", "b", "c"]) == {"a": entry("a")}
    lost, _ = begin(made, "c", "job", "m", 0.5)
    fail(made, lost, "timed out", state=UNKNOWN, free=False)
    refused, _ = begin(made, "d", "job", "m", 0.5)
    fail(made, refused, "500", state=FAILED)
    assert spent(made, "job") == 0.75
    drop(made, ["a"])
    assert (spent(made, "job"), answered(made, ["a"])) == (0.75, {})


def test_only_a_try_whose_end_is_unknown_is_repeated_with_its_idempotency_key(made):
    row, token = begin(made, "a", "job", "m", None)
    fail(made, row, "500")
    row, other = begin(made, "a", "job", "m", None)
    assert other != token
    fail(made, row, "timed out", state=UNKNOWN, free=False)
    row, same = begin(made, "a", "job", "m", None)
    assert same == other
    finish(made, row, entry("a", None))
    assert answered(made, ["a"])["a"].cost_usd is None
    assert spent(made, "job") == 0.0


def test_half_a_character_is_no_reason_to_lose_a_reply(made):
    row, _ = begin(made, "a", "job", "m", None)
    finish(made, row, replace(entry("a"), text=storable("so\ud800 \0it is")))
    assert answered(made, ["a"])["a"].text == "so? it is"


def test_many_keys_at_once(made):
    keys = [f"k{n}" for n in range(1_201)]
    for key in keys[::400]:
        finish(made, begin(made, key, "job", "m", 0.0)[0], entry(key))
    assert sorted(answered(made, keys)) == sorted(keys[::400])


def test_one_process_at_a_time_and_what_a_killed_one_had_sent_is_unknown(made):
    command = [sys.executable, "-c", HOLD, str(made.url)]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    token = child.stdout.readline().strip()
    with pytest.raises(StoreError, match=r"^Another build is using this ledger\. Wait until it ends"), exclusive(made):
        raise AssertionError("two have it")
    child.kill()
    child.communicate()
    let_go(made)
    with exclusive(made) as cut_off:
        assert cut_off == 1
        assert spent(made, "job") == 0.5
        assert begin(made, "key", "job", "m", 0.5)[1] == token
    with exclusive(made) as cut_off:
        assert cut_off == 1
