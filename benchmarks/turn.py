"""Where the time of a turn goes: the parts of an answer with no key, warm.

Usage: python -m benchmarks.turn [--questions N] [--short] [--json] [--report DIR]

The shipped experts and local readers, questions of the test split, each in a conversation of its own. A part's time is that during which at
least one of its functions runs; what no part claims is `the rest`: LangGraph, the policy, citations, the composing of the answer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import graph.nodes.respond
import retrieval.reader
from benchmarks.measured import COLOURS, Measured, Row, Target, axes, parser, run, spread
from benchmarks.overhead import Clock
from core.settings import Settings, settings
from graph.api import run as ask
from graph.memory import close
from graph.services import Services
from graph.state import Context
from retrieval.index import Index
from retrieval.onnx_text import OnnxText
from retrieval.reader import Reader
from ui.console import bars

QUESTIONS, SHORT = 60, 8
WARM_MS = 150.0
PARTS: dict[str, tuple[Any, str]] = {
    "encoding texts": (OnnxText, "vectors"),
    "search": (Index, "search"),
    "reading passages": (Reader, "read"),
    "ranking sentences": (retrieval.reader, "sentence_features"),
    "storing the run": (graph.nodes.respond, "record"),
}
"""Part -> where its function is found. Inside `ranking sentences` texts are encoded: that time counts as encoding."""


@contextmanager
def parts() -> Iterator[dict[str, Clock]]:
    """A clock for each part."""
    with ExitStack() as stack:
        found = {}
        for name, (place, function) in PARTS.items():
            original, found[name] = getattr(place, function), Clock()
            setattr(place, function, found[name].around(original))
            stack.callback(setattr, place, function, original)
        yield found


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--questions", type=int, default=QUESTIONS)
    chosen = options.parse_args()
    run("benchmarks.turn", chosen, lambda: measure(SHORT if chosen.short else chosen.questions), threads=os.cpu_count() or 1)


def measure(n: int) -> Measured:
    """Ask `n` questions."""
    whole: list[float] = []
    seconds: dict[str, list[float]] = {name: [] for name in (*PARTS, "saving the conversation")}
    with TemporaryDirectory() as home, parts() as clocks, bars() as progress:
        services = Services(Settings(home=Path(home), indexes_dir=settings().indexes_dir.resolve()))
        questions = [i.question for e in services.experts.values() for i in e.questions("test")]
        clocks["saving the conversation"] = _saving(services)
        ask(questions[0], Context(), given=services)
        advance = progress("Asking", n)
        for question in islice(cycle(questions[1:]), n):
            before = {name: clock.seconds for name, clock in clocks.items()}
            start = time.perf_counter()
            ask(question, Context(), given=services)
            whole.append(time.perf_counter() - start)
            for name, clock in clocks.items():
                seconds[name].append(clock.seconds - before[name])
            advance(1)
        close(services)
        services.engine.dispose()
    encoded = np.minimum(seconds["encoding texts"], seconds["ranking sentences"])
    seconds["ranking sentences"] = (np.array(seconds["ranking sentences"]) - encoded).tolist()
    seconds["the rest"] = np.maximum(0, np.array(whole) - np.sum(list(seconds.values()), axis=0)).tolist()
    each = sorted(((name, spread(took)) for name, took in seconds.items()), key=lambda part: -part[1]["p50"])
    total = spread(whole)
    rows = [Row("the whole turn", {"share": 1.0}, total)]
    rows += [Row(name, {"share": float(np.sum(seconds[name]) / np.sum(whole))}, took) for name, took in each]
    target = Target("no-key answer, warm, median, ms", total["p50"], WARM_MS)
    return Measured("turn", n, rows, [target], [], {"parts": _plot(each)})


def _saving(services: Services) -> Clock:
    """A clock around the checkpointer's write."""
    from graph.memory import thread_memory

    memory, clock = thread_memory(services), Clock()
    memory.put = clock.around(memory.put)  # type: ignore[method-assign]
    return clock


def _plot(each: list[tuple[str, dict[str, float]]]) -> Any:
    figure, drawn = axes("Where the time of a turn goes", "milliseconds, median", "")
    drawn.grid(visible=False)
    names = [name for name, _ in reversed(each)]
    drawn.barh(names, [took["p50"] for _, took in reversed(each)], color=COLOURS[0])
    return figure


if __name__ == "__main__":
    main()
