"""What a suite hands over: results, the wrong items, and what the plots are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import Bin, Curve, Floats, Ints, RiskCoverage, Statistic, Statistics, bootstrap, bootstrap_all, mean
from evaluation.tradeoff import Tradeoff

Progress = Callable[[str, int], Callable[[int], None]]
"""progress(what, total) gives advance(number just done)."""
DIGITS = 6


def silent(what: str, total: int) -> Callable[[int], None]:
    """No progress shown."""
    return lambda done: None


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric with the number of rows that it is over, which its interval is drawn from."""

    n: int
    of: Statistic


@dataclass(frozen=True, slots=True)
class Measures:
    """Several metrics of the same rows, worked out together."""

    n: int
    of: Statistics


def average(values: Sequence[float] | Floats | NDArray[np.bool_]) -> Measure:
    """The mean of one number a row."""
    numbers = np.asarray(values, np.float64)
    return Measure(len(numbers), lambda rows: mean(numbers[rows]))


@dataclass(frozen=True, slots=True)
class Result:
    """One system's numbers. Rates are in [0, 1]; None is what is not defined; latencies are in milliseconds."""

    name: str
    baseline: bool
    metrics: dict[str, float | None]
    interval: dict[str, tuple[float, float]]
    latency_ms: dict[str, float | None]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "name": self.name,
            "baseline": self.baseline,
            "metrics": self.metrics,
            "interval": {k: list(v) for k, v in self.interval.items()},
            "latency_ms": self.latency_ms,
        }


def result(
    name: str,
    measures: Mapping[str, Measure] | Measures,
    *,
    plain: Mapping[str, float | None] | None = None,
    seconds: Sequence[float] = (),
    baseline: bool = False,
) -> Result:
    """Compute `measures` with their 95% intervals. `plain` metrics have none. `seconds`: one latency a row, none for a baseline."""
    if isinstance(measures, Measures):
        metrics, intervals = dict(measures.of(np.arange(measures.n))), bootstrap_all(measures.of, measures.n)
    else:
        metrics = {k: m.of(np.arange(m.n)) for k, m in measures.items()}
        intervals = {k: span for k, m in measures.items() if (span := bootstrap(m.of, m.n))}
    return Result(
        name,
        baseline,
        {k: None if v is None else round(v, DIGITS) for k, v in (metrics | dict(plain or {})).items()},
        {k: (round(v[0], DIGITS), round(v[1], DIGITS)) for k, v in intervals.items() if metrics[k] is not None},
        {f"p{p}": round(float(np.percentile(seconds, p)) * 1000, 3) if len(seconds) else None for p in (50, 95)},
    )


@dataclass(frozen=True, slots=True)
class Confusion:
    """Rows by true label (first axis of `counts`) and predicted label (second)."""

    labels: list[str]
    counts: Ints


@dataclass(frozen=True, slots=True)
class Report:
    """A suite's report. `headline` names the metric that orders the results and the plot's bars; higher is better.

    `notes`: what a reader must know beside the numbers. `cost_quality`, `risk_coverage`: a curve for each system, by its name.
    `tradeoff`: of systems that choose among many models.
    """

    suite: str
    n: int
    command: str
    headline: list[str]
    results: list[Result]
    wrong: list[dict[str, Any]]
    reliability: list[Bin] = field(default_factory=list)
    confusion: Confusion | None = None
    cost_quality: dict[str, Curve] = field(default_factory=dict)
    risk_coverage: dict[str, RiskCoverage] = field(default_factory=dict)
    tradeoff: Tradeoff | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def best_first(self) -> list[Result]:
        """The results by the first headline metric."""
        first = self.headline[0]
        return sorted(self.results, key=lambda r: -(-1.0 if (value := r.metrics[first]) is None else value))

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, results best first."""
        results = [r.as_dict() for r in self.best_first]
        return {"suite": self.suite, "n": self.n, "command": self.command, "results": results, "wrong": self.wrong}
