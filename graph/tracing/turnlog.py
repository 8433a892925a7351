"""One line in the log for each turn: who was asked, how it ended, how sure, for how much, and where the time went. No question, no answer.

As text it is logfmt (`name=value`, https://brandur.org/logfmt), with SWITCHYARD_LOG=json one JSON object a line. Control characters, line
breaks and quotes in a value are escaped either way, so that nobody can write a line of their own.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from graph.tracing.runs import Begun, Watcher, was_left

LOGGER = logging.getLogger("switchyard.turns")
_PLAIN = re.compile(r"[\w.:/@+,-]+", re.ASCII)


def wanted() -> bool:
    """Whether anybody reads the lines."""
    return LOGGER.isEnabledFor(logging.INFO)


def set_up(form: Literal["text", "json", "off"] | None) -> None:
    """Write the project's log to stderr in this form; leave logging as it is for None. A second call changes nothing."""
    root = logging.getLogger("switchyard")
    if form is None or root.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if form == "json" else Text())
    root.addHandler(handler)
    root.propagate = False
    LOGGER.setLevel(logging.INFO if form != "off" else logging.CRITICAL)


class TurnLog(Watcher):
    """Writes the line when a turn ends. A turn whose caller leaves has the outcome `left`, one that waits for its user `interrupted`."""

    @property
    def ignore_chat_model(self) -> bool:
        """Model calls are in the answer."""
        return True

    def __init__(self) -> None:
        self._turns: dict[UUID, _Turn] = {}

    def begun(self, run: Begun, inputs: Any) -> None:
        """Start the clock of a turn, or of a node."""
        turn = self._turns.get(run.around) if run.around else None
        if turn is None:
            turn = self._turns[run.id] = _Turn(run.id, run.metadata)
        else:
            self._turns[run.id] = turn
            if run.is_node:
                turn.begin(run.id, run.name)

    def on_retriever_start(
        self,
        serialized: dict[str, Any],
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Start the clock of a search; it is named by the node that searches."""
        if turn := self._turns.get(parent_run_id) if parent_run_id else None:
            self._turns[run_id] = turn
            turn.begin(run_id, f"{(metadata or {}).get('langgraph_node')}.retrieve")

    def on_retriever_end(self, documents: Any, *, run_id: UUID, **_: Any) -> None:
        """Stop the clock."""
        self._end(run_id, {})

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """As on_retriever_end."""
        self._end(run_id, {})

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: Any) -> None:
        """Stop the clock, and write the line at the end of the turn."""
        turn = self._turns.get(run_id)
        if turn and run_id != turn.run_id and isinstance(outputs, dict):
            # Of the node that made it: the whole graph's output may hold the answer of the thread's last turn.
            turn.answer = outputs.get("answer") or turn.answer
        answer = turn.answer if turn else None
        self._end(run_id, _outcome(answer) if answer else {"outcome": "interrupted"})

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """As on_chain_end, for a turn without an answer. The error's text stays out: it may hold the question."""
        self._end(run_id, {"outcome": "left"} if was_left(error) else {"outcome": "failed", "error": type(error).__name__})

    def _end(self, run_id: UUID, said: Mapping[str, Any]) -> None:
        turn = self._turns.pop(run_id, None)
        if turn is None:
            return
        turn.end(run_id)
        if run_id == turn.run_id:
            for other in [other for other, each in list(self._turns.items()) if each is turn]:
                del self._turns[other]
            fields = turn.fields(said)
            LOGGER.info("turn %s", logfmt(fields), extra={"turn": fields})


class _Turn:
    """A turn that goes on, and the time of its nodes so far in milliseconds."""

    def __init__(self, run_id: UUID, metadata: Mapping[str, Any]) -> None:
        self.run_id = run_id
        self.answer: Mapping[str, Any] | None = None
        self._metadata, self._started = metadata, time.perf_counter()
        self._open: dict[UUID, tuple[str, float]] = {}
        self._parts: dict[str, float] = {}

    def begin(self, node: UUID, name: str) -> None:
        """A node starts."""
        self._open[node] = name, time.perf_counter()

    def end(self, node: UUID) -> None:
        """A node is done. A second attempt adds to the first one's time."""
        if node in self._open:
            name, started = self._open.pop(node)
            self._parts[name] = self._parts.get(name, 0.0) + (time.perf_counter() - started) * 1000

    def fields(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """What the line says, in its order."""
        who = {name: self._metadata.get(name) for name in ("thread_id", "key_id")}
        times = {"latency_ms": round((time.perf_counter() - self._started) * 1000, 1)}
        return {**who, **said, **times, "parts_ms": {name: round(ms, 1) for name, ms in self._parts.items()}}


def _outcome(answer: Mapping[str, Any]) -> dict[str, Any]:
    uses = answer["models"]
    return {
        **{name: answer[name] for name in ("run_id", "thread_id", "expert", "outcome", "confidence")},
        "models": [use["model"] for use in uses],
        "input_tokens": sum(use["input_tokens"] for use in uses),
        "output_tokens": sum(use["output_tokens"] for use in uses),
        "cost_usd": answer["cost_usd"],
    }


def logfmt(fields: Mapping[str, Any], prefix: str = "") -> str:
    """`name=value` pairs; what is None is left out, lists are joined by commas, and fields of a field have its name before theirs."""
    pairs = []
    for name, value in fields.items():
        if isinstance(value, Mapping):
            pairs += [logfmt(value, f"{prefix}{name}.")] if value else []
        elif value is not None and value != []:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            pairs.append(f"{_quoted(prefix + name)}={_quoted(text)}")
    return " ".join(pairs)


def _quoted(text: str) -> str:
    # JSON's escapes in ASCII: no line break of any alphabet is left.
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


class Text(logging.Formatter):
    """Time, level and message; of other messages than a turn's, control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        message = record.getMessage() if hasattr(record, "turn") else _quoted_words(record.getMessage())
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{_when(record)} {record.levelname.lower()} {message}{trace}"


class Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        turn = getattr(record, "turn", None)
        said = {"event": "turn", **turn} if turn is not None else {"event": "message", "message": record.getMessage()}
        trace = {"traceback": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps({"time": _when(record), "level": record.levelname.lower(), **said, **trace})


def _quoted_words(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1] if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text) else text


def _when(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
