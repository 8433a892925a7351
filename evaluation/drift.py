"""Week by week: where questions went, how turns ended, how sure, how well rated, for how much; and which weeks differ beyond chance.

A week (Monday to Sunday, UTC) is compared with all weeks before it together, one measure at a time: shares by Fisher's exact test,
numbers by the Mann-Whitney U test (asymptotic, corrected for ties), both two-sided. Holm's correction (Holm 1979) holds over the measures
of a week, so that a week without any change is marked with probability ALPHA at most, and what comes later never changes an earlier
verdict. Turns of one conversation lean on each other, so the tests look at its first turn in a week; what is shown counts every turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from statistics import fmean, median
from typing import Any

from core.types import Outcome
from store.runs import Turn

ALPHA = 0.01
"""A change is marked where its corrected p is below."""
OTHERS = "others"
NOBODY = "none"
"""The route of a turn in which no expert was asked."""
ROUTE = "route: "
"""Begins the name of a measure of routes."""
OUTCOMES = tuple(str(outcome) for outcome in Outcome if outcome is not Outcome.ANSWERED)
GOOD = "rated good"
CONFIDENCE, COST, LATENCY = "confidence", "cost_usd", "latency_ms"
TESTS = (
    "each week against all earlier ones, the first turn of a conversation; shares: Fisher's exact test; confidence, cost and time: "
    f"Mann-Whitney U; Holm's correction within the week; marked: p < {ALPHA:g}"
)


@dataclass(frozen=True, slots=True)
class Change:
    """A measure of a week that differs from the weeks before. p: corrected; before, now: mean of what was tested."""

    measure: str
    p: float
    before: float
    now: float


@dataclass(frozen=True, slots=True)
class Week:
    """A week's turns. Shares are of its turns, in [0, 1]; what cannot be said of it is None.

    start: its Monday; confidence: mean in [0, 1] where an expert was asked; cost_usd: mean of a turn of known price; latency_ms: median;
    rated: turns with feedback that says whether the answer was acceptable; good: the share of them that was; rated_confidence: their mean
    confidence.
    """

    start: date
    turns: int
    routes: dict[str, float] = field(default_factory=dict)
    outcomes: dict[str, float] = field(default_factory=dict)
    confidence: float | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    rated: int = 0
    good: float | None = None
    rated_confidence: float | None = None
    changes: list[Change] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "start": self.start.isoformat()}


def weeks(turns: Iterable[Turn], acceptable: Mapping[str, bool]) -> list[Week]:
    """From the first week with a turn to the last one, oldest first; those without any are there too. acceptable: by run."""
    by_week: dict[date, list[Turn]] = {}
    for turn in sorted(turns, key=lambda t: t.created_at):
        by_week.setdefault(monday(turn.created_at), []).append(turn)
    if not by_week:
        return []
    first, last = min(by_week), max(by_week)
    starts = [first + timedelta(weeks=n) for n in range((last - first).days // 7 + 1)]
    found, before = [], _Sample()
    for start in starts:
        own = by_week.get(start, [])
        now = _Sample.of(own, acceptable)
        found.append(_week(start, own, acceptable, changes(before, now)))
        before = before.and_(now)
    return found


def monday(at: float) -> date:
    """The first day of the week in which a time lies (seconds since the epoch)."""
    day = datetime.fromtimestamp(at, UTC).date()
    return day - timedelta(days=day.weekday())


def route(turn: Turn) -> str:
    """Where it went, in a word; of several experts, whichever was likelier."""
    return " + ".join(sorted(turn.experts)) or NOBODY


def shown_routes(found: Sequence[Week], most: int) -> list[str]:
    """The routes to show by name, in the order of the names: the most frequent ones of all weeks together. The rest are OTHERS."""
    turns: Counter[str] = Counter()
    for week in found:
        turns.update({name: round(share * week.turns) for name, share in week.routes.items()})
    return sorted(sorted(turns, key=lambda name: (-turns[name], name))[:most])


@dataclass(frozen=True, slots=True)
class _Sample:
    """What the tests look at. kinds: of turns, by what they are (a route, an outcome), of `size`; numbers: by measure."""

    size: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    rated: int = 0
    good: int = 0
    numbers: dict[str, list[float]] = field(default_factory=dict)

    @staticmethod
    def of(turns: Sequence[Turn], acceptable: Mapping[str, bool]) -> _Sample:
        """Of a week's turns in their order: the first of each conversation, and the first of each that was rated."""
        first = list({turn.thread_id: turn for turn in reversed(turns)}.values())
        rated = {turn.thread_id: acceptable[turn.run_id] for turn in reversed(turns) if turn.run_id in acceptable}
        kinds = Counter(f"{ROUTE}{route(turn)}" for turn in first)
        kinds.update(turn.outcome for turn in first if turn.outcome in OUTCOMES)
        numbers = {
            CONFIDENCE: [turn.confidence for turn in first if turn.experts],
            COST: [turn.cost_usd for turn in first if turn.cost_usd is not None],
            LATENCY: [turn.latency_ms for turn in first],
        }
        return _Sample(len(first), kinds, len(rated), sum(rated.values()), numbers)

    def and_(self, other: _Sample) -> _Sample:
        """Both together."""
        numbers = {name: [*self.numbers.get(name, []), *values] for name, values in other.numbers.items()}
        return _Sample(self.size + other.size, self.kinds + other.kinds, self.rated + other.rated, self.good + other.good, numbers)


def changes(before: _Sample, now: _Sample) -> list[Change]:
    """What differs between two samples, the surest first."""
    if not before.size or not now.size:
        return []
    tests: dict[str, tuple[float, float, Callable[[], float]]] = {}
    for kind in sorted(before.kinds | now.kinds):
        was, is_ = before.kinds[kind], now.kinds[kind]
        tests[kind] = (was / before.size, is_ / now.size, partial(fisher, was, before.size, is_, now.size))
    if before.rated and now.rated:
        p = partial(fisher, before.good, before.rated, now.good, now.rated)
        tests[GOOD] = (before.good / before.rated, now.good / now.rated, p)
    for name, values in now.numbers.items():
        if values and (earlier := before.numbers[name]):
            tests[name] = (fmean(earlier), fmean(values), partial(mann_whitney, earlier, values))
    corrected = holm({name: p() for name, (_, _, p) in tests.items()})
    return [Change(name, p, tests[name][0], tests[name][1]) for name, p in corrected.items() if p < ALPHA]


def fisher(was: int, of_before: int, is_: int, of_now: int) -> float:
    """Two-sided p of Fisher's exact test: `was` of `of_before` against `is_` of `of_now`."""
    from scipy.stats import fisher_exact

    return float(fisher_exact([[was, of_before - was], [is_, of_now - is_]]).pvalue)


def mann_whitney(before: Sequence[float], now: Sequence[float]) -> float:
    """Two-sided p of the Mann-Whitney U test; 1 where all values are the same."""
    from scipy.stats import mannwhitneyu

    if min(*before, *now) == max(*before, *now):
        return 1.0
    return float(mannwhitneyu(before, now, method="asymptotic").pvalue)


def holm(found: Mapping[str, float]) -> dict[str, float]:
    """The p of each test, corrected for how many there are (Holm's step-down), smallest first, at most 1."""
    corrected: dict[str, float] = {}
    least = 0.0
    for n, (name, p) in enumerate(sorted(found.items(), key=lambda item: item[1])):
        least = max(least, min(1.0, (len(found) - n) * p))
        corrected[name] = least
    return corrected


def _week(start: date, turns: Sequence[Turn], acceptable: Mapping[str, bool], found: list[Change]) -> Week:
    rated = [turn for turn in turns if turn.run_id in acceptable]
    sure = [turn.confidence for turn in turns if turn.experts]
    prices = [turn.cost_usd for turn in turns if turn.cost_usd is not None]
    went, ended = Counter(map(route, turns)), Counter(turn.outcome for turn in turns)
    return Week(
        start=start,
        turns=len(turns),
        routes={name: n / len(turns) for name, n in sorted(went.items())},
        outcomes={name: ended[name] / len(turns) for name in OUTCOMES} if turns else {},
        confidence=fmean(sure) if sure else None,
        cost_usd=fmean(prices) if prices else None,
        latency_ms=median(turn.latency_ms for turn in turns) if turns else None,
        rated=len(rated),
        good=fmean(acceptable[turn.run_id] for turn in rated) if rated else None,
        rated_confidence=fmean(turn.confidence for turn in rated) if rated else None,
        changes=found,
    )
