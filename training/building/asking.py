"""Many calls of many models: each is written to the ledger before it is sent, and none is made that was answered before.

Concurrency and rate are bounded for each provider, a provider that asks for a pause gets it, and money is set aside before a call goes out.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from core.errors import (
    AuthenticationFailedError,
    BlockedAnswerError,
    MissingKeyError,
    ModelError,
    ModelTimeoutError,
    ModelUnavailableError,
    RateLimitedError,
    RejectedRequestError,
    StoreError,
)
from core.settings import Settings
from core.types import Tier
from graph.services import Services
from llms import hosted
from llms.call import Reply, stream, wait_s
from llms.registry import HOSTED, parse
from store import ledger
from training.building.budget import Budget, CapReached
from training.building.calls import Call
from training.building.pace import Lane, Lanes, Limits

_FREE = (RateLimitedError, ModelUnavailableError, RejectedRequestError, AuthenticationFailedError, MissingKeyError)
"""Refused by an error status, or never sent: providers charge nothing for these."""
_HOPELESS = (AuthenticationFailedError, MissingKeyError)
Made = TypeVar("Made")
_POLL_S = 0.1
LEAST_FREE = 32 * 2**20
"""Bytes, before a batch of calls."""
IN_A_ROW = 20
"""Calls of one model that fail one after the other before it is given up."""
NOT_MADE = "not asked: the cost reached its cap"


class Interrupted(Exception):  # noqa: N818 - says what happened, as KeyboardInterrupt does
    """Ctrl-C: what was on its way has arrived, or was given up."""


@dataclass(slots=True)
class Asker:
    """Asks within one event loop. `job`: what the cost is counted for; `advance`: called as each call ends, however it ends."""

    services: Services
    job: str
    budget: Budget
    limits: Limits = field(default_factory=Limits)
    advance: Callable[[], None] = lambda: None
    fresh: bool = False
    """Whether to ask again what was answered before this run."""
    faults: dict[str, str] = field(default_factory=dict)
    """Key of a call that failed for good -> its last fault, in this run."""
    capped: int = 0
    """Calls that were not made because the money does not reach."""
    sent: int = 0
    """Tries that went out in this run."""
    given_up: dict[str, str] = field(default_factory=dict)
    """Models that are not asked any more -> why."""
    stopping: bool = False
    abandoned: bool = False
    _asked: set[str] = field(default_factory=set)
    _ended: set[str] = field(default_factory=set)
    _lanes: Lanes = field(init=False)
    _in_a_row: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._lanes = Lanes(self.limits)

    async def ask(self, calls: Sequence[Call]) -> dict[str, ledger.Entry]:
        """The replies by the calls' keys, from the ledger where they are there; those that failed or were not made are missing.

        Raises Interrupted after `stop`, StoreError where the ledger cannot be written.
        """
        wanted = {call.key: call for call in calls}
        if self.fresh:
            ledger.drop(self.services.engine, list(wanted.keys() - self._asked))
            self._asked |= wanted.keys()
        found = ledger.answered(self.services.engine, list(wanted))
        for key in found:
            self._advance(key)
        waiting = [call for key, call in wanted.items() if key not in found]
        if waiting:
            _check_disk(self.services.settings)
        with ThreadPoolExecutor(max(1, min(len(waiting), self.limits.concurrency * len(HOSTED) + 1))) as threads:
            tasks = [asyncio.ensure_future(self._one(call, threads)) for call in waiting]
            try:
                replies = await asyncio.gather(*tasks)
            except BaseException:
                # A ledger that cannot be written, say: send nothing more, and note what still arrives if that can be.
                self.stopping = True
                await asyncio.gather(*tasks, return_exceptions=True)
                raise
        if self.stopping:
            raise Interrupted
        return found | {reply.key: reply for reply in replies if reply}

    def stop(self) -> None:
        """Start nothing more; called a second time, give up what is on its way."""
        self.abandoned, self.stopping = self.stopping, True

    def why_not(self, call: Call) -> str:
        """Why a call has no reply."""
        return self.faults.get(call.key) or self.given_up.get(call.model) or NOT_MADE

    async def _one(self, call: Call, threads: ThreadPoolExecutor) -> ledger.Entry | None:
        lane = self._lanes.of(parse(call.model)[0])
        async with lane.gate:
            try:
                return await self._tries(call, lane, threads)
            except ModelError as error:
                self._failed(call, error)
            except CapReached:
                self.capped += 1
            finally:
                if not self.stopping:
                    self._advance(call.key)
        return None

    def _advance(self, key: str) -> None:
        """A call of a later batch that is like one of an earlier batch is none of its own."""
        if key not in self._ended:
            self._ended.add(key)
            self.advance()

    async def _tries(self, call: Call, lane: Lane, threads: ThreadPoolExecutor) -> ledger.Entry | None:
        """The reply, after as many tries as the settings allow; None where the call is not to be made any more."""
        for attempt in itertools.count():
            if not self._goes_on(call) or not await self._waited(lane.turn(), call):
                return None
            try:
                return await self._try(call, threads)
            except ModelError as error:
                wait = wait_s(error, attempt)
                settings = self.services.settings
                if not error.retryable or attempt >= settings.model_retries or wait > settings.model_deadline_s:
                    raise
                if isinstance(error, RateLimitedError):
                    lane.pause(wait)
                else:
                    await self._waited(wait, call)
        return None

    def _goes_on(self, call: Call) -> bool:
        return not self.stopping and call.model not in self.given_up

    async def _waited(self, seconds: float, call: Call) -> bool:
        """Whether the call is still to be made after so long."""
        until = time.monotonic() + seconds
        while self._goes_on(call) and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _POLL_S))
        return self._goes_on(call)

    async def _try(self, call: Call, threads: ThreadPoolExecutor) -> ledger.Entry | None:
        """One request. Money is set aside and the ledger written before it goes out; None where it does not go out any more."""
        engine = self.services.engine
        most = call.most_usd(self.services.settings.home)
        await self.budget.set_aside(most)
        cost: float | None = 0.0
        try:
            if not self._goes_on(call):
                return None
            cost = most
            row, token = ledger.begin(engine, call.key, self.job, call.model, most)
            self.sent += 1
            try:
                reply = await asyncio.get_running_loop().run_in_executor(threads, self._send, call, token)
            except ModelError as error:
                free = isinstance(error, _FREE)
                cost = 0.0 if free else most
                ledger.fail(engine, row, str(error), state=ledger.FAILED if free or not error.retryable else ledger.UNKNOWN, free=free)
                raise
            use = reply.use
            text = ledger.storable(reply.text)
            entry = ledger.Entry(
                call.key, call.model, text, reply.finish_reason, use.input_tokens, use.output_tokens, use.cost_usd, use.latency_ms
            )
            cost = entry.cost_usd
            ledger.finish(engine, row, entry)
            self._in_a_row[call.model] = 0
            return entry
        finally:
            await self.budget.settle(most, cost)

    def _send(self, call: Call, token: str) -> Reply:
        """In a thread of its own: the providers' libraries wait for their sockets."""
        provider = parse(call.model)[0]
        model = self.services.model(call.model)
        if provider in HOSTED:
            model = hosted.limited(model, provider, call.max_tokens, token)
        once = self.services.settings.model_copy(update={"model_retries": 0})
        pieces = stream(model, call.model, Tier.INFERIOR, list(call.messages), settings=once, check=self._check)
        while True:
            try:
                next(pieces)
            except StopIteration as end:
                reply: Reply = end.value
                return reply

    def _check(self) -> None:
        if self.abandoned:
            raise ModelTimeoutError("Given up when the build was stopped.")

    def _failed(self, call: Call, error: ModelError) -> None:
        self.faults[call.key] = str(error)
        if isinstance(error, BlockedAnswerError):
            return  # that says something about the question, not about the model
        self._in_a_row[call.model] += 1
        if isinstance(error, _HOPELESS) or self._in_a_row[call.model] >= IN_A_ROW:
            self.given_up.setdefault(call.model, str(error))


def _check_disk(settings: Settings) -> None:
    """Raises StoreError while nothing is paid yet that could not be written down."""
    if not settings.database_url and (free := shutil.disk_usage(settings.home).free) < LEAST_FREE:
        raise StoreError(
            f"{settings.home}: expected {LEAST_FREE // 2**20} MiB of free disk for the replies, there are {free // 2**20}. Free some."
        )


def run(asker: Asker, work: Coroutine[Any, Any, Made], interrupted: Callable[[], None]) -> Made:
    """The result of work that asks. The first Ctrl-C calls `interrupted` and lets what is on its way arrive; the second one does not.

    Raises Interrupted after Ctrl-C, and what the work raises.
    """

    def on_interrupt() -> None:
        asker.stop()
        interrupted()

    async def guarded() -> Made:
        # Only the main thread hears signals, and not on every system.
        with suppress(NotImplementedError, ValueError, RuntimeError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, on_interrupt)
        return await work

    return asyncio.run(guarded())
