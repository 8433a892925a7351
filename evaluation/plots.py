"""The plots of a report, as PNG."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from evaluation.results import Confusion, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from evaluation.metrics import Bin


def plots(report: Report) -> list[tuple[str, str]]:
    """(what it shows, PNG in base64) of each plot that the report has data for."""
    figures = [("Headline metrics by system", _bars(report))]
    if report.reliability:
        figures.append(("Confidence against accuracy", _reliability(report.reliability)))
    if report.confusion:
        figures.append(("True and predicted labels", _confusion(report.confusion)))
    return [(name, _png(figure)) for name, figure in figures]


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    # A Figure of one's own: pyplot would keep global state and look for a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _bars(report: Report) -> Figure:
    figure, axes = _axes(7, 3.6)
    results, width = report.best_first, 0.8 / len(report.results)
    for n, r in enumerate(results):
        values = [r.metrics.get(m) or 0.0 for m in report.headline]
        spans = [r.interval.get(m, (v, v)) for m, v in zip(report.headline, values, strict=True)]
        around = [
            [max(0.0, v - s[0]) for v, s in zip(values, spans, strict=True)],
            [max(0.0, s[1] - v) for v, s in zip(values, spans, strict=True)],
        ]
        places = [i + n * width for i in range(len(values))]
        axes.bar(places, values, width, yerr=around, label=r.name, alpha=0.5 if r.baseline else 1.0, error_kw={"elinewidth": 1})
    axes.set_xticks([i + width * (len(results) - 1) / 2 for i in range(len(report.headline))], report.headline)
    axes.set_ylim(0, 1)
    axes.set_title(f"{report.suite}, 95% intervals")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def _reliability(bins: list[Bin]) -> Figure:
    figure, axes = _axes(4, 3.6)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
    axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], marker="o")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="share that is right", title="Reliability")
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


def _png(figure: Figure) -> str:
    out = io.BytesIO()
    # Without the software's version, equal numbers give equal files.
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return base64.b64encode(out.getvalue()).decode()
