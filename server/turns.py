"""Turns block their thread: so many run at a time, so many wait, and whoever comes then is told to come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl

from graph.telling import Event, Tell
from server.errors import Refused
from server.metrics import Metrics

Start = Callable[[RunControl, Tell], None]
"""What a turn does in its thread; it tells its events, the last one included."""
RUNNING, WAITING = 64, 192
"""Of one process. A turn mostly waits for a model, so there may be many more than cores. Together above 200: the chats that two workers
hold need not be spread evenly."""
SILENCE_S = 15.0
"""After so long without an event, `waiting` is one, so that proxies keep the connection."""
RETRY_AFTER_S = 1.0


class Turns:
    """The turns of one process. Made, called and read on the event loop only."""

    def __init__(self, metrics: Metrics, running: int = RUNNING, waiting: int = WAITING) -> None:
        self._pool = ThreadPoolExecutor(running, thread_name_prefix="turn")
        self._metrics, self._running, self._most = metrics, running, running + waiting
        self.admitted = 0

    def play(self, start: Start) -> AsyncIterator[Event]:
        """Admit a turn and give its events. `start` runs in a thread; closing the events ends the turn.

        Raises Refused when too many are waiting; the events raise what `start` raises.
        """
        if self.admitted >= self._most:
            self._metrics.refused.inc()
            raise Refused(503, "The server is busy. Try again in a moment.", code="busy", retry_after_s=RETRY_AFTER_S)
        self._count(1)
        loop, events, control = asyncio.get_running_loop(), asyncio.Queue[Event | BaseException | None](), RunControl()

        def put(item: Event) -> None:
            with suppress(RuntimeError):  # the loop has ended, and with it whoever would read
                loop.call_soon_threadsafe(events.put_nowait, item)

        def work() -> None:
            with suppress(GraphDrained):
                if not control.drain_requested:
                    start(control, put)

        def end(error: BaseException | None) -> None:
            self._count(-1)
            events.put_nowait(error)

        def over(future: Future[None]) -> None:
            error = None if future.cancelled() else future.exception()
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(end, error)

        self._pool.submit(work).add_done_callback(over)
        return _read(events, control)

    def close(self) -> None:
        """Begin no more turns: those that wait end without an event."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _count(self, change: int) -> None:
        # At every change and not when /metrics is read: that one asks a single worker, which reads the others' gauges.
        self.admitted += change
        self._metrics.running.set(min(self.admitted, self._running))
        self._metrics.waiting.set(max(0, self.admitted - self._running))


async def _read(events: asyncio.Queue[Event | BaseException | None], control: RunControl) -> AsyncIterator[Event]:
    try:
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    item = await events.get()
            except TimeoutError:
                yield {"type": "waiting", "data": None}
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        control.request_drain("the client left")
