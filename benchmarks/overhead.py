"""What a turn costs beside its models: LangGraph, checkpoints in SQLite, locks, the row in `runs`; and how it grows with the conversation.

Usage: python -m benchmarks.overhead [--turns N] [--short] [--json] [--report DIR]

The shipped experts, a scripted chat model that takes no time, questions of the test split. Two differences are taken of each turn's time:

graph   without what happens inside the nodes: LangGraph, streaming, the checkpoint, the lock of the thread.
turn    without the time in ONNX Runtime (encoder, routers, reader): the above, and the nodes' own work, the stored row among it.

`models left out`: the questions have been asked before, so that vectors and readings are remembered and hardly a model runs. Between its
turns six nodes that do nothing are run on LangGraph's own SQLite checkpointer. `models run`: each question is new. Ours writes one
checkpoint a turn, before the answer is handed over, with synchronous=FULL: what was acknowledged outlasts a power cut. `growth`: one
conversation of N turns; the median of its last twenty turns above that of its first twenty.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import count, cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import numpy as np
import onnxruntime
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph

import graph.app
from benchmarks.measured import COLOURS, Measured, Row, Target, axes, parser, run, spread
from core.garbage import collect_seldom
from core.settings import Settings, settings
from graph.api import run as ask
from graph.memory import close
from graph.services import Services
from graph.state import Context
from ui.console import bars

TURNS, SHORT_TURNS, THREADS, ENDS = 200, 40, 100, 20
AGAIN = 40
"""Questions that are asked again: the readings of so many are all kept."""
OVERHEAD_MS, GROWTH_MS = 5.0, 3.0
OVER_IDLE = 5.0 / 7.9
"""What those 5 ms are of the six nodes' time where both are measured on an idle machine."""
NODES = ("prepare", "route", "expert", "superior", "decline", "decide", "respond")
SPEC = "fake:instant"


class Instant(BaseChatModel):
    """Quotes the beginning of the first passage, at once."""

    @property
    def _llm_type(self) -> str:
        return "instant"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(_quote(messages)))])

    def _stream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk(content=_quote(messages), response_metadata={"finish_reason": "stop"}))


def _quote(messages: list[BaseMessage]) -> str:
    passages = messages[-1].additional_kwargs.get("passages")
    return str(passages[0]["text"]).partition(". ")[0] + "." if passages else "Yes."


class Clock:
    """The seconds during which at least one of some functions ran, in whatever threads."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._running, self._since, self._lock = 0, 0.0, Lock()

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        @wraps(function)
        def timed(*arguments: Any, **keywords: Any) -> Any:
            with self._lock:
                if not self._running:
                    self._since = time.perf_counter()
                self._running += 1
            try:
                return function(*arguments, **keywords)
            finally:
                with self._lock:
                    self._running -= 1
                    if not self._running:
                        self.seconds += time.perf_counter() - self._since

        return timed


@contextmanager
def clocks() -> Iterator[tuple[Clock, Clock]]:
    """(nodes, models): every graph that is built meanwhile has its nodes timed, every ONNX model its runs."""
    nodes, models = Clock(), Clock()
    before = {name: getattr(graph.app, name) for name in NODES}
    ran = onnxruntime.InferenceSession.run
    try:
        for name, function in before.items():
            setattr(graph.app, name, nodes.around(function))
        onnxruntime.InferenceSession.run = models.around(ran)
        yield nodes, models
    finally:
        for name, function in before.items():
            setattr(graph.app, name, function)
        onnxruntime.InferenceSession.run = ran


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--turns", type=int, default=TURNS)
    chosen = options.parse_args()
    run("benchmarks.overhead", chosen, lambda: measure(SHORT_TURNS if chosen.short else chosen.turns))


def measure(turns: int) -> Measured:
    """New conversations, one long one, and the graph of six idle nodes."""
    collect_seldom()  # as the application's processes do
    threads = min(THREADS, turns)
    with bars() as progress, TemporaryDirectory() as home:
        nothing = {how: idle_nodes(Path(home) / f"{how}.db", how) for how in ("async", "sync", "exit")}
        idle: dict[str, list[float]] = {how: [] for how in nothing}

        def beside() -> None:
            for how, runs in nothing.items():
                idle[how].append(next(runs))

        advance = progress("Asking", AGAIN + 2 * threads + turns)
        again, _ = asked(home, turns=AGAIN + threads, advance=advance, of=AGAIN, beside=beside)
        first, own = asked(home, turns=threads, advance=advance)
        long, long_own = asked(home, turns=turns, advance=advance, thread="long")
    ends = min(ENDS, turns // 2)
    growth = 1000 * float(np.median(long[-ends:]) - np.median(long[:ends]))
    rows = [
        Row("graph, new conversations, models left out", {}, spread(again[AGAIN:])),
        Row("graph, new conversations, models run", {}, spread(first)),
        Row("graph, one conversation", {"growth ms": growth}, spread(long)),
        Row("turn, new conversations, models run", {}, spread(own)),
        Row(
            "turn, one conversation",
            {"growth ms": 1000 * float(np.median(long_own[-ends:]) - np.median(long_own[:ends]))},
            spread(long_own),
        ),
        *(Row(f"six idle nodes, {how}", {}, spread(seconds[AGAIN:]), baseline=True) for how, seconds in idle.items()),
    ]
    targets = [
        Target("graph overhead of a turn, median, ms", rows[0].latency_ms["p50"], OVERHEAD_MS),
        Target("graph overhead over that of six idle nodes, async", rows[0].latency_ms["p50"] / rows[-3].latency_ms["p50"], OVER_IDLE),
        Target(f"its growth from turn 1 to turn {turns}, ms", growth, GROWTH_MS),
    ]
    figure, drawn = axes("What a turn costs beside its models", "turn of the conversation", "milliseconds, median of ten turns")
    for name, seconds, colour in (("without its models", long_own, COLOURS[1]), ("without its nodes: the graph", long, COLOURS[0])):
        each = [1000 * float(np.median(seconds[n : n + 10])) for n in range(0, turns, 10)]
        drawn.plot(range(1, turns + 1, 10), each, label=name, color=colour)
    drawn.set_ylim(bottom=0)
    drawn.legend(frameon=False)
    return Measured("overhead", 2 * threads + turns, rows, targets, [f"{turns} turns in one conversation."], {"turns": figure})


def asked(
    home: str,
    *,
    turns: int,
    advance: Callable[[int], None],
    thread: str | None = None,
    of: int | None = None,
    beside: Callable[[], None] = lambda: None,
) -> tuple[list[float], list[float]]:
    """(graph, turn): the seconds of each turn without its nodes, and without its models; each turn a conversation, or all one `thread`.

    of: so many questions are asked over and over; all by default. beside: called after each turn.
    """
    graphs, own = [], []
    with clocks() as (nodes, models):
        services = Services(
            Settings(home=Path(home), indexes_dir=settings().indexes_dir.resolve(), inferior=SPEC, superior=SPEC), load=lambda *_: Instant()
        )
        questions = [item.question for e in services.experts.values() for item in e.questions("test")][:of]
        ask(questions[0], Context(), given=services)
        for question in islice(cycle(questions), turns):
            inside, ran, start = nodes.seconds, models.seconds, time.perf_counter()
            ask(question, Context(), thread, services)
            took = time.perf_counter() - start
            graphs.append(took - (nodes.seconds - inside))
            own.append(took - (models.seconds - ran))
            beside()
            advance(1)
        close(services)
        services.engine.dispose()
    return graphs, own


def idle_nodes(path: Path, durability: Any) -> Iterator[float]:
    """The seconds of a run of six nodes that do nothing, again and again, each run a conversation of its own."""
    builder = StateGraph(MessagesState)
    names = [f"node {n}" for n in range(6)]
    for name, before in zip(names, [START, *names], strict=False):
        builder.add_node(name, lambda state: {})
        builder.add_edge(before, name)
    builder.add_edge(names[-1], END)
    with SqliteSaver.from_conn_string(str(path)) as memory:
        compiled = builder.compile(checkpointer=memory)
        for n in count():
            start = time.perf_counter()
            compiled.invoke({"messages": [HumanMessage("A question")]}, {"configurable": {"thread_id": str(n)}}, durability=durability)
            yield time.perf_counter() - start


if __name__ == "__main__":
    main()
