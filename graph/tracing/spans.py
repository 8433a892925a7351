"""A span for each turn, node and model call, with the numbers of the decision.

Names and attributes are those of OpenTelemetry's semantic conventions for generative AI (as in opentelemetry-semantic-conventions 0.66b2;
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ and gen-ai-agent-spans/), where they have one: `invoke_workflow` for the
turn, `invoke_agent` for an expert, `retrieval`, and `chat` for a model call. What they do not know begins with `switchyard.`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

from core.settings import Settings
from graph.tracing.attributes import Attributes, of_model_call, of_node, of_search, of_turn
from graph.tracing.runs import Begun, Watcher, was_left

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

PROVIDERS = {"google_genai": "gcp.gemini"}
"""The conventions' names of providers, where ours are others."""


@dataclass(slots=True)
class _Open:
    """A run that goes on. span: its own, or that of the run around it; turn: the run that it is a part of; answer: of a turn.

    spec: of a model; waiting: for its first piece.
    """

    span: Span
    turn: UUID
    own: bool
    started: float
    spec: str = ""
    waiting: bool = True
    answer: Mapping[str, Any] | None = None


class Spans(Watcher):
    """Begins and ends the spans."""

    def __init__(self, tracer: Tracer, settings: Settings) -> None:
        self._tracer, self._settings = tracer, settings
        self._open: dict[UUID, _Open] = {}

    def begun(self, run: Begun, inputs: Any) -> None:
        """A turn or a node begins. What LangGraph runs in between (edges, the inside of a node) has no span of its own."""
        around = self._open.get(run.around) if run.around else None
        if around is None:
            title, attributes = self._turn(run, inputs)
        elif run.is_node:
            title, attributes = _node(run)
        else:
            self._open[run.id] = _Open(around.span, around.turn, own=False, started=0.0)
            return
        self._begin(title, attributes, run.id, around)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        **_: Any,
    ) -> None:
        """A model is asked; `llms.call` names the run by the model's spec."""
        known = metadata or {}
        provider, _colon, model = (name or f"{known.get('ls_provider', '')}:{known.get('ls_model_name', '')}").partition(":")
        attributes: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": PROVIDERS.get(provider, provider),
            "gen_ai.request.model": model,
        }
        around = self._open.get(parent_run_id) if parent_run_id else None
        kind = SpanKind.INTERNAL if provider == "local" else SpanKind.CLIENT
        self._begin(f"chat {model}", attributes, run_id, around, kind, f"{provider}:{model}")

    def on_llm_new_token(self, token: str | list[str | dict[str, Any]], *, run_id: UUID, **_: Any) -> None:
        """The first piece of an answer tells how long the model took to begin."""
        run = self._open.get(run_id)
        if run and run.waiting:
            run.waiting = False
            run.span.set_attribute("gen_ai.response.time_to_first_chunk", time.monotonic() - run.started)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """A model has answered."""
        if run := self._open.get(run_id):
            self._end(run_id, of_model_call(response, run.spec, self._settings.home))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """A model did not answer."""
        self._end(run_id, {}, error)

    def on_retriever_start(
        self, serialized: dict[str, Any], query: str, *, run_id: UUID, parent_run_id: UUID | None = None, name: str = "", **_: Any
    ) -> None:
        """An expert's passages are searched; see `graph.nodes.expert.watched_search`."""
        around = self._open.get(parent_run_id) if parent_run_id else None
        self._begin(f"retrieval {name}", {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": name}, run_id, around)

    def on_retriever_end(self, documents: Sequence[Document], *, run_id: UUID, **_: Any) -> None:
        """The search is done."""
        self._end(run_id, of_search(documents))

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """The expert's documents cannot be read."""
        self._end(run_id, {}, error)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: Any) -> None:
        """A turn or a node is done."""
        run = self._open.get(run_id)
        said: Attributes = {}
        if run and run.turn == run_id:
            said = of_turn(run.answer) if run.answer else {}
        elif run and run.own and isinstance(outputs, dict):
            said = of_node(outputs)
            if (turn := self._open.get(run.turn)) and outputs.get("answer"):
                # Of the node that made it: the whole graph's output may hold the answer of the thread's last turn.
                turn.answer = outputs["answer"]
        self._end(run_id, said)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """A turn or a node failed, or its caller left."""
        self._end(run_id, {}, error)

    def _turn(self, run: Begun, inputs: Any) -> tuple[str, Attributes]:
        attributes: Attributes = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": run.name}
        if thread := run.metadata.get("thread_id"):
            attributes["gen_ai.conversation.id"] = str(thread)
        messages = inputs.get("messages") if isinstance(inputs, dict) else None
        if self._settings.trace_content and messages and isinstance(messages[-1], BaseMessage):
            asked = {"role": "user", "parts": [{"type": "text", "content": messages[-1].text}]}
            attributes["gen_ai.input.messages"] = json.dumps([asked], ensure_ascii=False)
        return f"invoke_workflow {run.name}", attributes

    def _begin(
        self, title: str, attributes: Attributes, run_id: UUID, around: _Open | None, kind: SpanKind = SpanKind.INTERNAL, spec: str = ""
    ) -> None:
        context = set_span_in_context(around.span) if around else None
        span = self._tracer.start_span(title, context, kind, attributes)
        self._open[run_id] = _Open(span, around.turn if around else run_id, own=True, started=time.monotonic(), spec=spec)

    def _end(self, run_id: UUID, attributes: Attributes, error: BaseException | None = None) -> None:
        run = self._open.pop(run_id, None)
        if run is None or not run.own:
            return
        if run.turn == run_id:
            # A model that was left to itself ends after the turn, if ever.
            for left in [other for other, each in list(self._open.items()) if each.turn == run_id]:
                self._end(left, {}, GeneratorExit())
        run.span.set_attributes(attributes)
        if error is not None:
            # The type and not the message: a library's own may hold a key.
            run.span.set_attribute("error.type", type(error).__name__)
            if not was_left(error):
                run.span.set_status(Status(StatusCode.ERROR))
        run.span.end()


def _node(run: Begun) -> tuple[str, Attributes]:
    """An expert is an agent; the others are called by their names."""
    if "__pregel_push" in run.metadata.get("langgraph_triggers", ()):
        return f"invoke_agent {run.name}", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": run.name}
    return run.name, {}
