"""The plots of a report, as PNG. Colours are Okabe and Ito's, which colour-blind readers can tell apart; baselines are grey."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.results import Confusion, Report
from evaluation.tradeoff import PER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from evaluation.metrics import Bin
    from evaluation.tradeoff import Tradeoff

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B8A200")
GREYS = ("#4d4d4d", "#8c8c8c", "#b3b3b3", "#d0d0d0")
NAME_APART = 0.025
"""Mean scores between two names on a plot of models."""
NAMES = ("metrics", "cost-quality", "reliability", "risk-coverage", "confusion")
_DASHES = ("--", ":", "-.", (0, (5, 1)))


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture. `name`: of its file, without the ending; `shows`: what it shows, in words."""

    name: str
    shows: str
    png: bytes


@dataclass(frozen=True, slots=True)
class _Style:
    color: str
    linestyle: str | tuple[int, tuple[int, ...]]
    linewidth: float


def plots(report: Report) -> list[Plot]:
    """Each plot that the report has data for."""
    return [Plot(f"{report.suite}-{name}", shows, png(figure)) for name, shows, figure in _figures(report)]


def _figures(report: Report) -> Iterator[tuple[str, str, Figure]]:
    yield "metrics", "Headline metrics by system", _bars(report)
    if report.cost_quality:
        yield "cost-quality", "Quality against the share of calls to the superior model", _cost_quality(report)
    if report.tradeoff:
        yield "cost-quality", "Quality against cost", _tradeoff(report, report.tradeoff)
    if report.reliability:
        yield "reliability", "Confidence against accuracy", _reliability(report.reliability)
    if report.risk_coverage:
        yield "risk-coverage", "Share of wrong answers against the share that is kept", _risk_coverage(report)
    if report.confusion:
        yield "confusion", "True and predicted labels", _confusion(report.confusion)


def _styles(report: Report) -> dict[str, _Style]:
    """A style for each system, the same in all plots of a report: by name, so that a better run does not repaint it."""
    learnt = sorted(r.name for r in report.results if not r.baseline)
    known = sorted(r.name for r in report.results if r.baseline)
    styles = {name: _Style(COLOURS[n % len(COLOURS)], "-", 2.0) for n, name in enumerate(learnt)}
    return styles | {name: _Style(GREYS[n % len(GREYS)], _DASHES[n % len(_DASHES)], 1.3) for n, name in enumerate(known)}


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    # A Figure of one's own: pyplot would keep global state and look for a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes


def _legend(axes: Axes) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)


def _bars(report: Report) -> Figure:
    figure, axes = _axes(8, 3.8)
    results = [r for r in report.best_first if any(r.metrics.get(m) is not None for m in report.headline)]
    width, styles = 0.8 / max(1, len(results)), _styles(report)
    for n, r in enumerate(results):
        values = [r.metrics.get(m) or 0.0 for m in report.headline]
        spans = [r.interval.get(m, (v, v)) for m, v in zip(report.headline, values, strict=True)]
        around = [
            [max(0.0, v - s[0]) for v, s in zip(values, spans, strict=True)],
            [max(0.0, s[1] - v) for v, s in zip(values, spans, strict=True)],
        ]
        places = [i + n * width for i in range(len(values))]
        axes.bar(places, values, width * 0.92, yerr=around, label=r.name, color=styles[r.name].color, error_kw={"elinewidth": 1})
    axes.set_xticks([i + width * (len(results) - 1) / 2 for i in range(len(report.headline))], report.headline)
    axes.set_ylim(0, 1)
    axes.grid(axis="y", color="#e6e6e6")
    axes.set_title(f"{report.suite}: {report.n:,} rows, 95% intervals")
    _legend(axes)
    return figure


def _cost_quality(report: Report) -> Figure:
    figure, axes = _axes(8, 4.6)
    styles = _styles(report)
    for r in report.best_first:
        curve, style = report.cost_quality.get(r.name), styles[r.name]
        if curve is not None:
            area = r.metrics["apgr"]
            label = r.name if area is None else f"{r.name} (APGR {area:.3f})"
            axes.plot(
                curve.strong_share, curve.quality, label=label, color=style.color, linestyle=style.linestyle, linewidth=style.linewidth
            )
    whole = next(iter(report.cost_quality.values()))
    axes.plot([0, 1], whole.quality[[0, -1]], "o", color="#4d4d4d", markersize=5, label="always-inferior, always-superior")
    axes.set(xlim=(-0.02, 1.02), xlabel="share of calls to the superior model", ylabel="mean score", title="Cost and quality")
    axes.grid(color="#e6e6e6")
    _legend(axes)
    return figure


def _tradeoff(report: Report, found: Tradeoff) -> Figure:
    figure, axes = _axes(8, 4.6)
    styles = _styles(report)
    dearest = max(cost for cost, _ in found.models.values()) * PER
    for r in report.best_first:
        if curve := found.hulls.get(r.name):
            # Beyond its last point a system gains nothing: the line goes on level.
            x, y = [*(curve.cost * PER), max(dearest, curve.cost[-1] * PER)], [*curve.quality, curve.quality[-1]]
            area, style = r.metrics["aiq"], styles[r.name]
            label = r.name if area is None else f"{r.name} (AIQ {area:.3f})"
            axes.plot(x, y, label=label, color=style.color, linestyle=style.linestyle, linewidth=style.linewidth)
    points = [(cost * PER, quality) for cost, quality in found.models.values()]
    axes.plot([x for x, _ in points], [y for _, y in points], "o", color="#4d4d4d", markersize=4, label="single models")
    named: list[tuple[float, float]] = []
    for name, point in sorted(zip(found.models, points, strict=True), key=lambda model: -model[1][1]):
        # A name that would lie on another one is left out: the lower of the two.
        if all(abs(point[1] - b) > NAME_APART or abs(point[0] - a) > dearest / 3 for a, b in named):
            place, side = ((-4, -9), "right") if point[0] > dearest / 2 else ((4, -9), "left")
            axes.annotate(name, point, textcoords="offset points", xytext=place, ha=side, fontsize=7, color="#4d4d4d")
            named.append(point)
    axes.set(xlabel=f"USD for {PER:,} prompts", ylabel="mean score", title="Cost and quality")
    axes.grid(color="#e6e6e6")
    _legend(axes)
    return figure


def _reliability(bins: list[Bin]) -> Figure:
    figure, axes = _axes(4.6, 4.2)
    axes.plot([0, 1], [0, 1], color=GREYS[1], linewidth=1, linestyle="--", label="perfectly calibrated")
    axes.plot(
        [b.confidence for b in bins], [b.accuracy for b in bins], marker="o", color=COLOURS[0], label=f"{len(bins)} bins of equal mass"
    )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="confidence", ylabel="share that is right", title="Reliability")
    axes.grid(color="#e6e6e6")
    axes.legend(loc="upper left", frameon=False)
    return figure


def _risk_coverage(report: Report) -> Figure:
    figure, axes = _axes(8, 4.2)
    styles = _styles(report)
    for r in report.best_first:
        curve, style = report.risk_coverage.get(r.name), styles[r.name]
        if curve is not None:
            axes.plot(curve.coverage, curve.risk, label=r.name, color=style.color, linestyle=style.linestyle, linewidth=style.linewidth)
            if len(curve.coverage) == 1:  # one confidence for all: a line, not a point
                axes.axhline(curve.risk[0], color=style.color, linestyle=style.linestyle, linewidth=style.linewidth)
    axes.set(
        xlim=(0, 1.02), ylim=(0, 1.02), xlabel="coverage: share of answers kept, surest first", ylabel="risk: share of those that is wrong"
    )
    axes.set_title("Risk and coverage")
    axes.grid(color="#e6e6e6")
    _legend(axes)
    return figure


def _confusion(confusion: Confusion) -> Figure:
    size = max(3.6, 0.6 * len(confusion.labels) + 1.5)
    figure, axes = _axes(size, size)
    counts = confusion.counts
    axes.imshow(counts / counts.sum(axis=1, keepdims=True).clip(1), cmap="Blues", vmin=0, vmax=1)
    places = range(len(confusion.labels))
    axes.set_xticks(places, confusion.labels, rotation=45, ha="right")
    axes.set_yticks(places, confusion.labels)
    axes.set(xlabel="predicted", ylabel="true", title="Confusion")
    for i in places:
        for j in places:
            dark = counts[i, j] > counts[i].sum() / 2
            axes.text(j, i, str(counts[i, j]), ha="center", va="center", color="white" if dark else "black")
    return figure


def png(figure: Figure) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    # Without the software's version, equal numbers give equal files.
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return out.getvalue()
