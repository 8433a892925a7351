"""What the benchmarks share: their options, times with their spread, the set-up they ran on, and the report.

`report.json` has the form of `switchyard eval --report`, so that the page "Evaluation" shows it, with the set-up and the targets added.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from core.errors import SwitchyardError
from ui.console import OUT, print_json, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PERCENTILES, SHOWN = (25, 50, 75, 95), (50, 95)
PACKAGES = ("numpy", "onnxruntime", "faiss-cpu", "faiss-gpu", "langgraph", "sentence-transformers", "torch")
DIGITS, WIDTH = 4, 120
SKIPPED = 3
"""The exit status of a benchmark that has nothing to run on here."""
T = TypeVar("T")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


@dataclass(frozen=True, slots=True)
class Row:
    """One side's numbers. latency_ms: percentiles of one call; baseline: what people would use instead."""

    name: str
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    baseline: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A number that was to be reached. `least`: it is to be at least `reach`, else at most."""

    what: str
    measured: float
    reach: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether it was."""
        return self.measured >= self.reach if self.least else self.measured <= self.reach


@dataclass(slots=True)
class Measured:
    """A benchmark's report. n: how many calls, texts or questions a number rests on; notes: what a reader must know beside the numbers."""

    suite: str
    n: int
    rows: list[Row]
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plots: dict[str, Figure] = field(default_factory=dict)

    def as_dict(self, setup: dict[str, Any], command: str) -> dict[str, Any]:
        """The JSON form."""
        results = [asdict(row) | {"interval": {}} for row in self.rows]
        targets = [asdict(target) | {"met": target.met} for target in self.targets]
        found = {"suite": self.suite, "n": self.n, "command": command, "results": results, "wrong": []}
        rounded: dict[str, Any] = _rounded(found | {"targets": targets, "notes": self.notes, "setup": setup})
        return rounded


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles of times, in milliseconds."""
    return {f"p{p}": float(np.percentile(seconds, p)) * 1000 for p in PERCENTILES}


def timed(call: Callable[[T], object], items: Iterable[T]) -> list[float]:
    """The seconds of one call an item."""
    times = []
    for item in items:
        start = time.perf_counter()
        call(item)
        times.append(time.perf_counter() - start)
    return times


def setup(threads: int) -> dict[str, Any]:
    """Of this machine and this moment; `threads`: as many as one side may use."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "python": platform.python_version(),
        "versions": versions,
        "date": datetime.now(UTC).date().isoformat(),
        "load_average_at_start": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    found = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    found.add_argument("--short", action="store_true", help="a few seconds' worth, to see that it runs: no numbers to quote")
    found.add_argument("--json", action="store_true", help="print one JSON document")
    found.add_argument("--report", type=Path, help="write report.json and the plots into this folder")
    return found


def run(module: str, chosen: argparse.Namespace, measure: Callable[[], Measured], *, threads: int = 1) -> None:
    """Measure, print, and write what `chosen` asks for. An error that is known becomes one line and exit status 1."""
    about = setup(threads)
    try:
        found = measure()
    except SwitchyardError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    command = " ".join(["python -m", module, *(_public(argument) for argument in sys.argv[1:])])
    report = found.as_dict(about, command)
    if chosen.json:
        print_json(report)
    else:
        _show(report)
    if chosen.report:
        chosen.report.mkdir(parents=True, exist_ok=True)
        for name, figure in found.plots.items():
            figure.savefig(chosen.report / f"{found.suite}-{name}.png", dpi=110, metadata={"Software": None})
        (chosen.report / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def data(*parts: str) -> Path:
    """A file of the folder that SWITCHYARD_DATA names; without it the benchmark ends with one line and the status SKIPPED."""
    folder = os.environ.get("SWITCHYARD_DATA")
    path = Path(folder or "", *parts)
    if not folder or not path.exists():
        say(f"Skipped: expected {'/'.join(parts)} in the folder that SWITCHYARD_DATA names. Set it to run this benchmark.")
        raise SystemExit(SKIPPED)
    return path


def axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, in the style of the evaluation's plots."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    found = figure.subplots()
    found.spines[["top", "right"]].set_visible(False)
    found.set_title(title, loc="left")
    found.set_xlabel(x)
    found.set_ylabel(y)
    found.grid(axis="y", alpha=0.3)
    return figure, found


def _public(argument: str) -> str:
    """A word of the command as others would type it: the data's folder by its name, another Python by the word, paths from here."""
    folder = os.environ.get("SWITCHYARD_DATA")
    if folder and argument.startswith(folder):
        return argument.replace(folder, "$SWITCHYARD_DATA")
    path = Path(argument)
    if path.is_absolute():
        return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name
    return argument


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


def _show(report: dict[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    about = report["setup"]
    OUT.print(
        f"{report['suite']}: {about['processor']}, {about['threads']} of {about['cores']} cores, Python {about['python']}, "
        f"load {about['load_average_at_start']}, n = {report['n']:,}",
        soft_wrap=True,
    )
    names = list(dict.fromkeys(name for row in report["results"] for name in row["metrics"]))
    shown = [f"p{p}" for p in SHOWN if any(row["latency_ms"] for row in report["results"])]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("", *names, *(f"{p} ms" for p in shown)):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=not heading)
    for row in report["results"]:
        values = [row["metrics"].get(name) for name in names] + [row["latency_ms"].get(p) for p in shown]
        table.add_row(row["name"], *("" if value is None else f"{value:,.4g}" for value in values), style="dim" if row["baseline"] else "")
    OUT.print(table, width=max(OUT.width, WIDTH))
    for target in report["targets"]:
        met, least = "reached" if target["met"] else "missed", "least" if target["least"] else "most"
        OUT.print(f"{met}: {target['what']} {target['measured']:,.4g}, to be at {least} {target['reach']:,.4g}", soft_wrap=True)
    for note in report["notes"]:
        OUT.print(note, soft_wrap=True)
