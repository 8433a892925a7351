"""The memory of a process that answers one question after the other: flat, or growing.

Usage: python -m benchmarks.memory [--questions N] [--short] [--json] [--report DIR]

The two small experts of the tests, with the real encoder, router and reader, and a chat model that quotes at once; each question differs
from all before, and is a stored conversation of its own. Private memory (USS) after 100 questions and at ten further times, the garbage
collected before each look.
"""

from __future__ import annotations

import gc
import os
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

from benchmarks.measured import COLOURS, Measured, Row, Target, axes, parser, run
from benchmarks.overhead import SPEC, Instant
from core.settings import ROOT, Settings, settings
from graph.api import run as ask
from graph.memory import close
from graph.services import Services
from graph.state import Context
from ui.console import bars

QUESTIONS, SHORT, FIRST, LOOKS = 10_000, 600, 100, 10
EXPERTS = ROOT / "tests" / "data" / "experts"
GROWTH = 0.05
"""Of what the process has after the first hundred: the caches of vectors and readings fill up within the first thousand."""


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--questions", type=int, default=QUESTIONS)
    chosen = options.parse_args()
    if chosen.questions < FIRST:
        options.error(f"--questions: expected at least {FIRST}; got {chosen.questions}")
    run("benchmarks.memory", chosen, lambda: measure(SHORT if chosen.short else chosen.questions), threads=os.cpu_count() or 1)


def measure(n: int) -> Measured:
    """Ask `n` questions, and look at the memory on the way."""
    looks = sorted({FIRST, *(n * part // LOOKS for part in range(1, LOOKS + 1))})
    with TemporaryDirectory() as made, bars() as progress:
        folder = Path(made) / "indexes"
        folder.mkdir()
        (folder / ".encoder").symlink_to(settings().indexes_dir.resolve() / ".encoder", target_is_directory=True)
        chosen = Settings(home=Path(made) / "home", experts_dir=EXPERTS, indexes_dir=folder, inferior=SPEC, superior=SPEC)
        services = Services(chosen, load=lambda *_: Instant())
        asked = cycle([i.question for e in services.experts.values() for split in ("train", "dev", "test") for i in e.questions(split)])
        advance, found = progress("Asking", n), {}
        for number, question in enumerate(islice(asked, n), 1):
            ask(f"{question} {number}", Context(), given=services)
            advance(1)
            if number in looks:
                found[number] = private_mb()
        close(services)
        services.engine.dispose()
    rows = [Row(f"after {number:,} questions", {"private MB": mb}) for number, mb in found.items()]
    first, last = found[looks[0]], found[looks[-1]]
    target = Target(f"memory after {n:,} questions above that after {FIRST}, share", last / first - 1, GROWTH)
    figure, drawn = axes("Private memory of a process", "questions answered", "MB")
    drawn.plot(list(found), list(found.values()), "o-", color=COLOURS[0])
    drawn.set_ylim(bottom=0)
    return Measured("memory", n, rows, [target], [], {"questions": figure})


def private_mb() -> float:
    """What is this process's alone, be it in memory or swapped out: a kernel may move what rests at any time."""
    import psutil

    gc.collect()
    held = psutil.Process().memory_full_info()
    return float(held.uss + held.swap) / 1e6


if __name__ == "__main__":
    main()
