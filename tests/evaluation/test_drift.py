"""Drift week by week, against numbers worked out by hand, and how often chance alone is marked."""

import random
from datetime import UTC, date, datetime

import pytest

from evaluation.drift import ALPHA, fisher, holm, mann_whitney, monday, shown_routes, weeks
from evaluation.drift_plot import plot
from store.runs import Turn

WEEK_S = 7 * 86_400.0
FIRST = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
"""A Monday, at midnight."""


def turn(n, week=0, thread=None, experts=("tea",), outcome="answered", confidence=0.8, cost=0.0, latency=100.0):
    return Turn(f"r{n}", thread or f"t{n}", FIRST + week * WEEK_S + n, None, "q", tuple(experts), outcome, confidence, cost, latency)


def test_fisher_is_the_lady_tasting_tea():
    # Fisher 1935: 3 of 4 cups right, against 1 of 4.
    assert fisher(3, 4, 1, 4) == pytest.approx(34 / 70)
    assert fisher(4, 4, 0, 4) == pytest.approx(2 / 70)
    assert fisher(5, 10, 50, 100) == 1.0


def test_mann_whitney_knows_apart_from_the_same():
    assert mann_whitney([1.0, 1.0], [1.0, 1.0]) == 1.0
    assert mann_whitney([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]) > 0.9
    assert mann_whitney([float(n) for n in range(20)], [float(n) for n in range(100, 120)]) < 1e-6


def test_holm_steps_down_and_never_goes_back():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}
    assert holm({}) == {}


def test_a_week_begins_on_monday_in_utc():
    assert monday(FIRST) == date(2026, 1, 5)
    assert monday(FIRST - 1) == date(2025, 12, 29)
    assert monday(FIRST + WEEK_S - 1) == date(2026, 1, 5)


def test_a_weeks_numbers_are_those_of_its_turns():
    found = weeks(
        [
            turn(1, confidence=0.6, cost=0.02, latency=100.0),
            turn(2, experts=("tea", "bees"), outcome="escalated", confidence=0.8, cost=0.04, latency=300.0),
            turn(3, experts=(), outcome="declined", confidence=0.0, cost=None, latency=200.0),
            turn(4, outcome="unknown", confidence=0.1, cost=0.0, latency=900.0),
        ],
        {"r1": True, "r4": False, "of no run": True},
    )
    [week] = found
    assert week.routes == {"none": 0.25, "tea": 0.5, "bees + tea": 0.25}
    assert week.outcomes == {"escalated": 0.25, "declined": 0.25, "unknown": 0.25, "clarify": 0.0}
    assert week.confidence == pytest.approx(0.5)
    assert week.cost_usd == pytest.approx(0.02)
    assert (week.latency_ms, week.rated, week.good, week.changes) == (250.0, 2, 0.5, [])
    assert week.rated_confidence == pytest.approx(0.35)
    assert week.as_dict()["start"] == "2026-01-05"


def test_a_week_without_turns_is_there_and_empty():
    assert weeks([], {}) == []
    first, empty, last = weeks([turn(1), turn(2, week=2)], {})
    assert (first.turns, empty.turns, last.turns) == (1, 0, 1)
    assert (empty.start, empty.routes, empty.confidence, empty.good, empty.changes) == (date(2026, 1, 12), {}, None, None, [])


def test_a_change_is_marked_from_then_on_and_nothing_else_is():
    before = [turn(n, week=n % 3, outcome="escalated" if n % 10 == 0 else "answered") for n in range(300)]
    after = [turn(300 + n, week=3, outcome="escalated" if n % 2 else "answered") for n in range(100)]
    found = weeks(before + after, {})
    assert [week.changes for week in found[:3]] == [[], [], []]
    [change] = found[3].changes
    assert (change.measure, change.before, change.now) == ("escalated", 0.1, 0.5)
    # Holm's correction: the smallest of five (the route, escalated, confidence, cost, time).
    assert change.p == pytest.approx(5 * fisher(30, 300, 50, 100))


def test_what_comes_later_changes_no_verdict():
    turns = [turn(n, week=n // 50, outcome="unknown" if n // 50 == 2 and n % 2 else "answered") for n in range(250)]
    assert [week.changes for week in weeks(turns, {})][:3] == [week.changes for week in weeks(turns[:150], {})]


def test_a_long_conversation_counts_once():
    alone = [turn(n) for n in range(30)]
    talk = [turn(100 + n, week=1, thread="talk", experts=("bees",)) for n in range(40)]
    assert weeks(alone + talk, {})[1].changes == []
    many = [turn(100 + n, week=1, experts=("bees",)) for n in range(40)]
    assert {change.measure for change in weeks(alone + many, {})[1].changes} == {"route: bees", "route: tea"}


def test_feedback_that_turns_is_marked():
    turns = [turn(n, week=n // 60) for n in range(120)]
    found = weeks(turns, {f"r{n}": n < 60 for n in range(120)})
    assert [(change.measure, change.before, change.now) for change in found[1].changes] == [("rated good", 1.0, 0.0)]


def test_chance_alone_is_rarely_marked():
    dice = random.Random(7)
    marked = 0
    for _ in range(40):
        turns = [
            turn(
                n,
                week=n // 40,
                experts=(dice.choice(["tea", "bees"]),),
                outcome=dice.choice(["answered", "escalated", "unknown"]),
                confidence=dice.random(),
                latency=dice.expovariate(0.01),
            )
            for n in range(200)
        ]
        marked += sum(bool(week.changes) for week in weeks(turns, {}))
    assert marked <= 4 * 40 * ALPHA * 3  # 160 weeks were tested: 1.6 are expected at most


def test_the_plot_is_a_picture_and_the_same_for_the_same_weeks():
    found = weeks([turn(1), turn(2, week=2, experts=())], {"r1": True})
    drawn = plot(found)
    assert drawn.png.startswith(b"\x89PNG\r\n\x1a\n")
    assert drawn == plot(found)
    assert drawn != plot(found[:1])


def test_the_most_frequent_routes_are_shown_by_name():
    found = weeks([turn(n, experts=(name,)) for n, name in enumerate(["c", "c", "c", "a", "b", "b"])], {})
    assert shown_routes(found, 2) == ["b", "c"]
    assert shown_routes(found, 9) == ["a", "b", "c"]
