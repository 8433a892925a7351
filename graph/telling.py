"""What happens during a turn, told as it happens: to whoever plays the turn in this process, or else into LangGraph's own stream.

LangGraph's stream would cost four threads a turn, and two of their hand-overs an event: the first word of an answer would wait for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import Any, TypeVar

from langgraph.config import get_stream_writer
from langgraph.runtime import RunControl

Event = dict[str, Any]
"""{type, data}; see `graph.api.stream`."""
Tell = Callable[[Event], None]
"""Called from whatever thread a node runs in, from several at once where two experts are asked."""
Play = Callable[[RunControl, Tell], Event]
"""Plays a turn in the thread that calls it, and gives its last event, `answer` or `review`, once that is stored.

The control's `request_drain` ends it from another thread: GraphDrained is raised.
"""
Result = TypeVar("Result")
_MANY = 64
"""More than can tell at once; each costs a moment when the turn ends."""
_LISTENER: ContextVar[Tell | None] = ContextVar("listener", default=None)


def tell(event: Event) -> None:
    """Say from inside a node what it does."""
    (_LISTENER.get() or get_stream_writer())(event)


def heard(listener: Tell, work: Callable[[], Result]) -> Result:
    """What the work returns; graphs that run in it tell the listener what happens.

    It runs in a context of its own: nothing has to be undone, wherever Ctrl-C finds it.
    """
    context = copy_context()
    context.run(_LISTENER.set, listener)
    return context.run(work)


def unheard(event: Event) -> None:
    """Nobody listens."""


def told(play: Play) -> Iterator[Event]:
    """The events of a turn, which is played in a thread of its own and pauses at each of them until it is asked for the next.

    Closing the iterator ends the turn, and waits until it has ended.
    """
    events: SimpleQueue[Event | BaseException | None] = SimpleQueue()
    control, asked = RunControl(), Semaphore(0)

    def put(event: Event) -> None:
        if not control.drain_requested:
            events.put(event)
            asked.acquire()

    def work() -> None:
        try:
            events.put(play(control, put))
            events.put(None)
        except BaseException as error:  # handed to the caller's thread, which raises it
            events.put(error)

    # A daemon: a model that never answers must not keep the interpreter from ending.
    thread = Thread(target=copy_context().run, args=(work,), name="turn", daemon=True)
    thread.start()
    try:
        while (event := events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event
            asked.release()
    finally:
        control.request_drain("the caller closed the stream")
        asked.release(_MANY)
        thread.join()
