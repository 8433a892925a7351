"""What a turn costs in time: a routed decision, a whole answer, and the command from cold. No key, warm indexes.

Usage: python -m benchmarks.latency [--short] [--json] [--report DIR]

Beside the cold command: a process that only imports sentence-transformers. Peak memory is that of the process (its largest resident set).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measured import Measured, Row, Target, parser, run, spread, timed
from core.settings import Settings, settings
from graph.api import run as ask
from graph.memory import close
from graph.nodes.route import find_route, with_difficulty
from graph.services import Services
from graph.state import Context

QUESTIONS, COLD = 100, 7
SHORT_QUESTIONS, SHORT_COLD = 8, 1
ROUTED_MS, HELP_S, COLD_S, COLD_MB, WARM_MS = 2.0, 0.3, 1.5, 450.0, 150.0
PEER = "import sentence_transformers"
STARTER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, done.returncode]))
"""
"""Prints the seconds, the peak in KiB and the exit status of the command that it is given."""


def main() -> None:
    """Measure and print."""
    chosen = parser(__doc__).parse_args()
    run("benchmarks.latency", chosen, lambda: measure(short=chosen.short), threads=os.cpu_count() or 1)


def measure(*, short: bool) -> Measured:
    """In this process, and in processes of their own."""
    with tempfile.TemporaryDirectory() as home:
        services = Services(Settings(home=Path(home), indexes_dir=settings().indexes_dir.resolve()))
        questions = [item.question for e in services.experts.values() for item in e.questions("test")][
            : SHORT_QUESTIONS if short else QUESTIONS
        ]
        ask(questions[0], Context(), given=services)
        routed = spread(timed(lambda q: find_route(services, q), questions[1:]))
        weighed = spread(timed(lambda q: with_difficulty(services, q, find_route(services, q)), [f"{q} " for q in questions[1:]]))
        answered = spread(timed(lambda q: ask(q, Context(), given=services), questions[1:]))
        close(services)
        services.engine.dispose()
        command = [sys.executable, "-m", "ui.cli"]
        colds = range(SHORT_COLD if short else COLD)
        helped = cold("switchyard --help, cold process", [[*command, "--help"] for _ in colds], home)
        asked = cold("switchyard ask, cold process", [[*command, "ask", questions[n], "--json"] for n in colds], home)
        peer = cold("importing sentence-transformers", [[sys.executable, "-c", PEER] for _ in colds], home, baseline=True)
    rows = [
        Row("routed decision, warm", {}, routed),
        Row("and whether the superior model is needed", {}, weighed),
        Row("whole answer, warm", {}, answered),
        helped,
        asked,
        peer,
    ]
    targets = [
        Target("routed decision, warm, median, ms", routed["p50"], ROUTED_MS),
        Target("no-key answer, warm, median, ms", answered["p50"], WARM_MS),
        Target("switchyard --help, s", helped.latency_ms["p50"] / 1000, HELP_S),
        Target("switchyard ask, cold process, s", asked.latency_ms["p50"] / 1000, COLD_S),
        Target("its peak memory, MB", asked.metrics["peak MB"] or 0.0, COLD_MB),
    ]
    return Measured("latency", len(questions) - 1, rows, targets, [f"{len(colds)} cold processes of each kind."])


def cold(name: str, commands: list[list[str]], home: str, *, baseline: bool = False) -> Row:
    """Whole processes, one after the other. Raises CalledProcessError for one that fails."""
    environment = os.environ | {"SWITCHYARD_HOME": home}
    found = []
    for command in commands:
        # By way of a small process: a child's peak begins with what the process that starts it holds, and this one holds the models.
        said = subprocess.run([sys.executable, "-c", STARTER, *command], check=True, capture_output=True, text=True, env=environment)
        seconds, peak, status = json.loads(said.stdout)
        if status:
            raise subprocess.CalledProcessError(status, command)
        found.append((seconds, peak / 1024))
    seconds, peaks = zip(*found, strict=True)
    return Row(name, {"peak MB": float(np.median(peaks))}, spread(seconds), baseline)


if __name__ == "__main__":
    main()
