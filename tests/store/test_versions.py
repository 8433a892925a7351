"""The table of versions: one is in service, and nobody overtakes unseen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine, update

from core.errors import InputError, StoreError
from core.settings import Settings
from store.engine import engine, transaction, versions
from store.versions import Overtaken, Version, add, adopt, files_of, history, replace_files, roll_back, serving
from tests.postgres import BOTH

FIRST = Version(1, 0, 10.0, promoted=True, report={"feedback": 3, "left_out": {"née": 1}})
FAILED = Version(2, 1, 20.0, promoted=False)
THIRD = Version(3, 1, 30.0, promoted=True)


@pytest.fixture
def made(tiny_settings: Settings) -> Iterator[Engine]:
    opened = engine(tiny_settings.database)
    yield opened
    opened.dispose()


def numbers(made: Engine) -> tuple[list[int], int]:
    return [one.number for one in history(made, "feedback")], serving(made, "feedback")[0]


@BOTH
def test_the_last_promoted_version_serves_until_it_is_rolled_back(made: Engine) -> None:
    assert (history(made, "feedback"), serving(made, "feedback")) == ([], (0, ""))
    add(made, "feedback", FIRST, b"\x00one\xff")
    add(made, "feedback", FAILED, None)
    assert numbers(made) == ([1, 2], 1)
    add(made, "feedback", THIRD, b"three")
    assert (history(made, "feedback"), serving(made, "feedback")[0]) == ([FIRST, FAILED, THIRD], 3)
    assert (files_of(made, "feedback", 1), files_of(made, "feedback", 3)) == (b"\x00one\xff", b"three")
    assert (serving(made, "other"), history(made, "other")) == ((0, ""), [])
    assert (roll_back(made, "feedback"), roll_back(made, "feedback")) == (1, 0)
    assert numbers(made) == ([1, 2, 3], 0)
    with pytest.raises(InputError, match="what ships is in service already"):
        roll_back(made, "feedback")


@BOTH
def test_whoever_was_overtaken_changes_nothing(made: Engine) -> None:
    add(made, "feedback", FIRST, b"one")
    for late in (replace(FIRST, number=2), replace(FIRST, before=1)):  # made before the first was in service; of the same number
        with pytest.raises(Overtaken, match="came in between, and nothing was changed"):
            add(made, "feedback", late, b"late")
    assert (numbers(made), files_of(made, "feedback", 1)) == (([1], 1), b"one")


@BOTH
def test_changed_files_are_a_change_of_what_serves_and_damaged_ones_are_refused(made: Engine) -> None:
    add(made, "feedback", FIRST, b"one")
    before = serving(made, "feedback")
    replace_files(made, "feedback", 1, b"less")
    after = serving(made, "feedback")
    assert (before[0], after[0], before[1] != after[1], files_of(made, "feedback", 1)) == (1, 1, True, b"less")
    with transaction(made) as connection:
        connection.execute(update(versions).values(files=b"lost"))
    for number in (1, 2):
        with pytest.raises(StoreError, match=f"Version {number} of feedback is not as it was stored. Run: switchyard feedback rollback"):
            files_of(made, "feedback", number)


@BOTH
def test_what_was_kept_elsewhere_is_adopted_once(made: Engine) -> None:
    found = [(FIRST, b"one"), (FAILED, None)]
    adopt(made, "feedback", [], 0)
    adopt(made, "feedback", found, 1)
    adopt(made, "feedback", [(THIRD, b"three")], 3)
    assert (history(made, "feedback"), numbers(made)[1], files_of(made, "feedback", 1)) == ([FIRST, FAILED], 1, b"one")
