"""What a turn costs in time: a routed decision, a whole answer, and the command from cold. No key, warm indexes.

Usage: python -m benchmarks.latency [--json]. Prints medians and 95th percentiles in milliseconds.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from core.settings import Settings
from graph.api import run
from graph.nodes.route import find_route
from graph.services import Services
from graph.state import Context

QUESTIONS = 100
COLD_RUNS = 7


def timed(call: Callable[[str], object], questions: Iterable[str]) -> tuple[float, float]:
    """(median, 95th percentile) of one call a question, in milliseconds."""
    times = []
    for question in questions:
        start = time.perf_counter()
        call(question)
        times.append((time.perf_counter() - start) * 1000)
    return float(np.median(times)), float(np.percentile(times, 95))


def cold_ask(question: str, home: str) -> None:
    """The whole process of `switchyard ask`."""
    command = [sys.executable, "-m", "ui.cli", "ask", question, "--json"]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"SWITCHYARD_HOME": home})


def cold_help(_: str) -> None:
    """The whole process of `switchyard --help`."""
    subprocess.run([sys.executable, "-m", "ui.cli", "--help"], check=True, capture_output=True)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as home:
        services = Services(Settings(home=Path(home)))
        questions = [item.question for e in services.experts.values() for item in e.questions("test")][:QUESTIONS]
        run(questions[0], Context(), given=services)
        rows = {
            "routed decision (encode and route)": timed(lambda q: find_route(services, q), questions[1:]),
            "answer, warm, whole turn": timed(lambda q: run(q, Context(), given=services), questions[1:]),
            "switchyard ask, cold process": timed(lambda q: cold_ask(q, home), questions[:COLD_RUNS]),
            "switchyard --help, cold process": timed(cold_help, questions[:COLD_RUNS]),
        }
    if "--json" in sys.argv:
        print(json.dumps({name: {"p50": p50, "p95": p95} for name, (p50, p95) in rows.items()}, indent=1))
        return
    print(f"{platform.machine()}, Python {platform.python_version()}, {QUESTIONS - 1} questions, {COLD_RUNS} cold processes")
    for name, (p50, p95) in rows.items():
        print(f"{name:40s} p50 {p50:8.1f} ms   p95 {p95:8.1f} ms")


if __name__ == "__main__":
    main()
