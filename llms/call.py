"""One call of a chat model: streamed, within one total deadline, retried where that can help, and its result judged."""

from __future__ import annotations

import contextvars
import random
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage

from core.errors import BlockedAnswerError, ModelError, ModelTimeoutError, TruncatedAnswerError
from core.settings import PROVIDER_KEYS, Settings
from core.text import plain
from core.types import ModelUse
from llms.faults import as_model_error
from llms.prices import cost_usd

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_FIRST_WAIT_S = 0.5
_POLL_S = 0.1
_LENGTH = {"length", "max_tokens"}
_BLOCKED = {"content_filter", "safety", "prohibited_content", "blocklist", "spii", "recitation", "image_safety"}
_CUT = {"insufficient_system_resource"}
"""DeepSeek's word for an answer that it gave up half-way."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. finish_reason: "stop", "length" (it ran into the limit), "error" (it broke off), or a provider's own word, in lower case.

    token_logprobs: natural logs, at most 0, in order; empty where the model gives none.
    """

    text: str
    use: ModelUse
    finish_reason: str
    token_logprobs: tuple[float, ...] = ()


def stream(
    model: BaseChatModel,
    spec: str,
    tier: str,
    messages: list[BaseMessage],
    *,
    settings: Settings,
    check: Callable[[], None] = lambda: None,
) -> Generator[str, None, Reply]:
    """Yield the text of the answer as it comes and return the Reply; for use with `yield from`.

    settings.model_deadline_s (seconds) holds for everything together, retries included. Retried, at most settings.model_retries
    times, is what may succeed later and failed before the first piece. `check` is called every 0.1 s of waiting: what it raises ends the
    call. Raises ModelError, with what was `spent` where something had come; bugs are raised as they are.
    """
    started = time.monotonic()
    deadline = _Deadline(spec, settings.model_deadline_s, started + settings.model_deadline_s, check)
    attempt = 0
    usage = None
    while True:
        # A try that failed with nothing to show may have been paid for all the same.
        parts = _Parts(usage=usage)
        try:
            yield from _attempt(model, spec, messages, deadline, settings, parts)
            break
        except ModelError as error:
            wait = wait_s(error, attempt)
            if parts.texts or not error.retryable or attempt >= settings.model_retries or wait >= deadline.left():
                if parts.texts or parts.usage:
                    error.spent = parts.use(spec, tier, messages, settings, started)
                raise
        attempt, usage = attempt + 1, parts.usage
        _pause(wait, deadline)
    use = parts.use(spec, tier, messages, settings, started)
    return Reply("".join(parts.texts), use, parts.finish_reason, tuple(parts.logprobs))


@dataclass(frozen=True, slots=True)
class _Deadline:
    spec: str
    total_s: float
    at: float
    check: Callable[[], None]

    def left(self) -> float:
        return self.at - time.monotonic()

    def error(self) -> ModelTimeoutError:
        return ModelTimeoutError(f"{self.spec} did not finish its answer in {self.total_s:g} s. Ask again, or choose another model.")


@dataclass(slots=True)
class _Parts:
    """What has come so far."""

    texts: list[str] = field(default_factory=list)
    usage: UsageMetadata | None = None
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str = ""

    def add(self, chunk: AIMessageChunk) -> str:
        """Take a chunk in and give its text; reasoning is no text."""
        metadata = chunk.response_metadata
        if chunk.usage_metadata:
            self.usage = add_usage(self.usage, chunk.usage_metadata)
        self.logprobs += [token["logprob"] for token in (metadata.get("logprobs") or {}).get("content") or []]
        self.finish_reason = _finish_reason(metadata) or self.finish_reason
        text = plain(str(chunk.text))
        if text:
            self.texts.append(text)
        return text

    def use(self, spec: str, tier: str, messages: Sequence[BaseMessage], settings: Settings, started: float) -> ModelUse:
        """What it took, from `started` until now."""
        tokens = self.tokens(messages)
        return ModelUse(spec, tier, *tokens, cost_usd(spec, *tokens, settings.home), (time.monotonic() - started) * 1000)

    def tokens(self, messages: Sequence[BaseMessage]) -> tuple[int, int]:
        if self.usage:
            return self.usage["input_tokens"], self.usage["output_tokens"]
        return sum(len(m.text) for m in messages) // 4, len("".join(self.texts)) // 4


def _attempt(
    model: BaseChatModel, spec: str, messages: list[BaseMessage], deadline: _Deadline, settings: Settings, parts: _Parts
) -> Generator[str, None, None]:
    """One request. It runs in a thread of its own, since a library that waits for a byte cannot be interrupted."""
    items: SimpleQueue[AIMessageChunk | BaseException | None] = SimpleQueue()
    abandoned = threading.Event()

    def work() -> None:
        try:
            # The spec is what traces call the request.
            for chunk in model.stream(messages, {"run_name": spec}):
                if abandoned.is_set():
                    return
                if deadline.left() <= 0:
                    raise deadline.error()
                items.put(chunk)
            items.put(None)
        except BaseException as error:  # handed to the caller's thread, which raises it
            items.put(error)

    _start(work, name=f"model {spec}")
    try:
        while (item := _next(items, deadline)) is not None:
            if isinstance(item, BaseException):
                raise as_model_error(item, spec, settings.keys.values()) from None  # the library's own text may hold a key
            if text := parts.add(item):
                yield text
    finally:
        abandoned.set()
    _judge(parts, spec)


def _start(work: Callable[[], None], name: str) -> None:
    # The copied context carries LangGraph's callbacks: without it traces would not see the call.
    context = contextvars.copy_context()
    # A daemon: a provider that never answers must not keep the interpreter from ending.
    threading.Thread(target=context.run, args=(work,), name=name, daemon=True).start()


def _next(items: SimpleQueue[Any], deadline: _Deadline) -> AIMessageChunk | BaseException | None:
    while True:
        deadline.check()
        left = deadline.left()
        try:
            # Not below 0: what came in time is still handed over to a caller who reads late.
            item: AIMessageChunk | BaseException | None = items.get(timeout=max(0.0, min(left, _POLL_S)))
            return item
        except Empty:
            if left <= 0:
                raise deadline.error() from None


def _pause(wait_s: float, deadline: _Deadline) -> None:
    until = time.monotonic() + wait_s
    while (left := until - time.monotonic()) > 0:
        deadline.check()
        time.sleep(min(left, _POLL_S))


def _judge(parts: _Parts, spec: str) -> None:
    """Raise when what came is no whole answer, though the library took it for one."""
    reason = parts.finish_reason
    if reason in _BLOCKED:
        raise BlockedAnswerError(f"{spec} withheld its answer ({reason}). Put the question in other words, or choose another model.")
    if reason in _CUT or (not reason and spec.partition(":")[0] in PROVIDER_KEYS):
        raise TruncatedAnswerError(f"{spec} broke off its answer before the end. Ask again, or choose another model.")
    if not "".join(parts.texts).strip():
        raise BlockedAnswerError(f"{spec} sent an empty message ({reason or 'stop'}). Ask in other words, or choose another model.")
    parts.finish_reason = reason or "stop"


def _finish_reason(metadata: dict[str, Any]) -> str:
    # Gemini reports a blocked prompt beside the message, with no finish reason.
    if blocked := (metadata.get("prompt_feedback") or {}).get("block_reason"):
        return "safety" if blocked else ""
    reason = str(metadata.get("finish_reason") or "").lower()
    return "length" if reason in _LENGTH else reason


def wait_s(error: ModelError, attempt: int) -> float:
    """Seconds to wait before the next try after try number `attempt`, from 0: what the provider asked for, else ever longer."""
    if error.retry_after_s is not None:
        return error.retry_after_s
    # Jitter, so that many callers that failed together do not come back together.
    return _FIRST_WAIT_S * float(2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, protects nothing
