"""The plot of `evaluation.drift`: a small chart for each measure, weeks from left to right, a mark where a week differs beyond chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evaluation.drift import CONFIDENCE, COST, GOOD, LATENCY, OTHERS, OUTCOMES, ROUTE, Week, shown_routes
from evaluation.plots import COLOURS, GREYS, Plot, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROUTES = 7
"""Routes with a colour of their own."""
MOST_DATES = 14
"""Weeks that are named below the chart."""
Series = Mapping[str, Sequence[float | None]]


def plot(found: Sequence[Week]) -> Plot:
    """The chart of these weeks, oldest first; at least one."""
    # A Figure of one's own: pyplot would keep global state and look for a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 12), layout="constrained")
    routes, outcomes, confidence, cost, latency = figure.subplots(5, 1, sharex=True)
    places = range(len(found))
    _routes(routes, places, found)
    _lines(outcomes, places, {_words(name): [week.outcomes.get(name) for week in found] for name in OUTCOMES})
    outcomes.set_title("How turns ended, as shares of all turns", loc="left")
    rated = {"confidence of all turns": [week.confidence for week in found], GOOD: [week.good for week in found]}
    _lines(confidence, places, rated | {"confidence of the rated": [week.rated_confidence for week in found]})
    confidence.set_title("Confidence against feedback", loc="left")
    confidence.set_ylim(0, 1.05)
    _lines(cost, places, {"mean": [week.cost_usd for week in found]}, legend=False)
    cost.set_title("Cost of a turn, USD", loc="left")
    _lines(latency, places, {"median": [_seconds(week.latency_ms) for week in found]}, legend=False)
    latency.set_title("Time of a turn, median, seconds", loc="left")
    marked = {routes: (ROUTE,), outcomes: OUTCOMES, confidence: (CONFIDENCE, GOOD), cost: (COST,), latency: (LATENCY,)}
    for axes, measures in marked.items():
        _mark(axes, [n for n, week in enumerate(found) if any(change.measure.startswith(measures) for change in week.changes)])
    shown = places[:: -(-len(found) // MOST_DATES)]
    latency.set_xticks(shown, [found[n].start.isoformat() for n in shown], rotation=30, ha="right")
    latency.set_xlim(-0.6, len(found) - 0.4)
    figure.suptitle("Week by week; ▼ marks a week that differs from the earlier ones beyond chance", fontsize=11)
    return Plot("drift", "Routes, outcomes, confidence, cost and time, week by week", png(figure))


def _routes(axes: Axes, places: Sequence[int], found: Sequence[Week]) -> None:
    names = shown_routes(found, MOST_ROUTES)
    below = [0.0] * len(found)
    shares = {name: [week.routes.get(name, 0.0) for week in found] for name in names}
    if any(len(week.routes.keys() - set(names)) for week in found):
        shares[OTHERS] = [sum(share for name, share in week.routes.items() if name not in names) for week in found]
    for n, (name, values) in enumerate(shares.items()):
        axes.bar(places, values, width=0.8, bottom=below, label=name, color=GREYS[2] if name == OTHERS else COLOURS[n])
        below = [low + value for low, value in zip(below, values, strict=True)]
    _finish(axes)
    axes.set_ylim(0, 1.12)
    axes.set_title("Where questions went, as shares of all turns", loc="left")


def _lines(axes: Axes, places: Sequence[int], series: Series, *, legend: bool = True) -> None:
    for n, (name, values) in enumerate(series.items()):
        # A week without turns is a gap, and not a zero.
        drawn = [float("nan") if value is None else value for value in values]
        axes.plot(places, drawn, marker="o", markersize=4, label=name, color=COLOURS[n])
    _finish(axes, legend=legend)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.08)  # the marks stand above the lines


def _finish(axes: Axes, *, legend: bool = True) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#e6e6e6")
    if legend:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)


def _mark(axes: Axes, places: Sequence[int]) -> None:
    if places:  # the layout knows no place for no marks
        high = axes.get_ylim()[1]
        axes.plot(places, [high] * len(places), linestyle="", marker="v", color="#000000", clip_on=False, zorder=5)


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _words(outcome: str) -> str:
    return {"unknown": "“I do not know”", "clarify": "asked back"}.get(outcome, outcome)
