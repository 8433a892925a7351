"""The `keys` table: found by their secret alone, limited and charged by all processes together."""

import hashlib
import math
import subprocess
import sys
import time

import pytest
from sqlalchemy import text

from core.errors import UnknownNameError
from core.settings import ROOT
from store import keys
from store.engine import engine
from tests.postgres import BOTH

TAKE = """
import sys
from store import keys
from store.engine import engine
made = engine(sys.argv[1])
[key] = keys.listed(made)
print(sum(keys.take(made, key) == 0.0 for _ in range(30)))
for _ in range(10):
    keys.charge(made, key, 0.25)
"""

HOLD = """
import sys
from store import keys
from store.engine import engine
made = engine(sys.argv[1])
[key] = keys.listed(made)
print(sum(keys.hold(made, key, 1.0, 60) is not None for _ in range(20)))
"""

pytestmark = BOTH


@pytest.fixture
def database(tmp_path, database_url):
    made = engine(database_url or f"sqlite:///{tmp_path / 'switchyard.db'}")
    yield made
    made.dispose()


@pytest.fixture
def at(monkeypatch):
    """`at(seconds)`: what time it is."""

    def go(seconds):
        monkeypatch.setattr(keys.time, "time", lambda: seconds)
        monkeypatch.setattr(keys.time, "gmtime", lambda: real(seconds))

    real = time.gmtime
    return go


def test_only_the_hash_of_a_key_is_kept(database):
    made, secret = keys.create(database, "ann")
    with database.connect() as connection:
        (row,) = connection.execute(text("select * from keys")).all()
    assert secret.startswith("sy-") and len(secret) == 46
    assert secret not in str(row)
    assert hashlib.sha256(secret.encode()).hexdigest() in row
    assert keys.find(database, secret) == made
    assert keys.find(database, secret + "x") is keys.find(database, "") is None


def test_a_revoked_key_opens_nothing_and_still_counts(database):
    assert not keys.any_key(database)
    made, secret = keys.create(database, "ann")
    keys.revoke(database, made.key_id)
    assert keys.find(database, secret) is None
    assert keys.any_key(database)
    [listed] = keys.listed(database)
    assert listed.revoked_at is not None
    with pytest.raises(UnknownNameError, match=rf"No key in use is called '{made.key_id}'\. Known: none yet\."):
        keys.revoke(database, made.key_id)


def test_a_minutes_requests_and_then_one_at_a_time(database, at):
    at(1_000_000.0)
    key, _ = keys.create(database, "ann", per_minute=6)
    assert [keys.take(database, key) for _ in range(6)] == [0.0] * 6
    assert keys.take(database, key) == pytest.approx(10.0)
    at(1_000_004.0)
    assert keys.take(database, key) == pytest.approx(6.0)
    at(1_000_010.0)
    assert keys.take(database, key) == 0.0
    assert keys.take(database, key) == pytest.approx(10.0)
    at(1_009_999.0)
    assert [keys.take(database, key) == 0.0 for _ in range(7)] == [True] * 6 + [False]
    at(1_009_000.0)  # a clock that was set back gives nothing
    assert keys.take(database, key) > 0


def test_the_months_money(database, at):
    at(1_795_000_000.0)
    key, secret = keys.create(database, "ann", budget_usd=1.0)
    keys.charge(database, key, 0.75)
    assert keys.find(database, secret).money_left
    keys.charge(database, key, 0.75)
    found = keys.find(database, secret)
    assert (found.spent_usd, found.money_left) == (1.5, False)
    at(1_795_000_000.0 + 31 * 86400)
    assert keys.find(database, secret).spent_usd == 0.0
    keys.charge(database, key, 0.5)
    assert keys.find(database, secret).spent_usd == 0.5


def test_what_turns_hold_cannot_be_spent_twice(database, at):
    at(1_795_000_000.0)
    key, _ = keys.create(database, "ann", budget_usd=1.0)
    other, _ = keys.create(database, "bob", budget_usd=1.0)
    first, second = (keys.hold(database, key, 0.5, for_s=60) for _ in range(2))
    assert first and second and first != second
    assert keys.left(database, key) == 0.0
    assert keys.hold(database, key, 0.5, for_s=60) is None
    assert keys.left(database, other) == 1.0
    keys.charge(database, key, 0.25, first)
    assert keys.left(database, key) == 0.25
    keys.charge(database, key, 0.0, second)
    assert keys.left(database, key) == 0.75
    # The process that held this one has died.
    assert keys.hold(database, key, 5.0, for_s=60)
    assert keys.left(database, key) == -4.25
    at(1_795_000_061.0)
    assert keys.left(database, key) == 0.75
    free, _ = keys.create(database, "carl")
    assert keys.hold(database, free, 5.0, for_s=60) and keys.left(database, free) == math.inf


def test_processes_hold_one_after_the_other(database):
    _, secret = keys.create(database, "ann", budget_usd=10.0)
    command = [sys.executable, "-c", HOLD, database.url.render_as_string(hide_password=False)]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    held = sum(int(process.communicate(timeout=60)[0]) for process in running)
    assert (held, keys.left(database, keys.find(database, secret))) == (10, 0.0)


def test_processes_keep_to_one_limit_and_lose_no_cent(database):
    _, secret = keys.create(database, "ann", per_minute=40)
    command = [sys.executable, "-c", TAKE, database.url.render_as_string(hide_password=False)]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    taken = sum(int(process.communicate(timeout=60)[0]) for process in running)
    assert 40 <= taken < 60  # a few more come back while the two run
    assert keys.find(database, secret).spent_usd == 5.0
