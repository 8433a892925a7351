"""The Python API: `ask`, `aask` and `stream`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import RunControl

from core.types import Answer
from graph.app import Compiled, build_graph
from graph.memory import one_turn_at_a_time, store_faults, thread_memory
from graph.services import Services, services
from graph.state import Context


def ask(
    question: str,
    *,
    expert: str = "auto",
    model: str | None = None,
    router: str | None = None,
    escalate: bool = True,
    images: Sequence[str] = (),
    thread: str | None = None,
) -> Answer:
    """Ask one question.

    expert: a name, or `auto` for the router's choice. model: a spec such as `openai:gpt-5-mini` instead of the inferior one, or
    `superior` to have the superior one answer at once.
    router: a kind. escalate: whether the superior model may be asked. thread: continue a conversation; None starts one.
    Raises InputError for a question or name that cannot be used, ModelError when no model answers.
    """
    context = Context(expert=expert, model=model, router=router, escalate=escalate, images=images)
    return run(question, context, thread)


async def aask(question: str, **keywords: Any) -> Answer:
    """As `ask`, without blocking the event loop."""
    return await asyncio.to_thread(ask, question, **keywords)


def stream(
    question: str,
    *,
    expert: str = "auto",
    model: str | None = None,
    router: str | None = None,
    escalate: bool = True,
    images: Sequence[str] = (),
    thread: str | None = None,
) -> Iterator[dict[str, Any]]:
    """As `ask`, in events {type, data}: route, passages, draft_token, draft_rejected, token, and `answer` last, once the turn is stored.

    The `token`s together are the answer's text; draft tokens are provisional.
    """
    return events(question, Context(expert=expert, model=model, router=router, escalate=escalate, images=images), thread)


def run(question: str, context: Context, thread: str | None = None, given: Services | None = None) -> Answer:
    """`ask` with a context of one's own."""
    *_, last = events(question, context, thread, given)
    return Answer.from_dict(last["data"])


def run_alone(question: str, context: Context, given: Services) -> Answer:
    """As `run`, for a question that nobody will go on from: its turn is stored, and no thread is."""
    *_, last = events_alone([HumanMessage(question)], context, given)
    return Answer.from_dict(last["data"])


def events_alone(
    messages: Sequence[AnyMessage], context: Context, given: Services, control: RunControl | None = None
) -> Iterator[dict[str, Any]]:
    """As `events`, for a whole conversation that its caller keeps: its turn is stored, and no thread is."""
    answer = yield from _played(without_memory(given), messages, None, context, control or RunControl())
    yield {"type": "answer", "data": answer}


def events(
    question: str, context: Context, thread: str | None = None, given: Services | None = None, control: RunControl | None = None
) -> Iterator[dict[str, Any]]:
    """`stream` with a context of one's own. `control.request_drain` ends it from another thread: GraphDrained is raised."""
    shared = given or services()
    graph = compiled(shared)
    name = thread or uuid.uuid4().hex
    config: RunnableConfig = {"configurable": {"thread_id": name}}
    with store_faults(), one_turn_at_a_time(shared, name), _kept_when_answered(graph, config):
        answer = yield from _played(graph, [HumanMessage(question)], config, context, control or RunControl())
    yield {"type": "answer", "data": answer}


def _played(
    graph: Compiled, messages: Sequence[AnyMessage], config: RunnableConfig | None, context: Context, control: RunControl
) -> Generator[dict[str, Any], None, dict[str, Any]]:
    """Yield what happens, and return the answer object once the graph has come to its end."""
    answer: dict[str, Any] = {}
    # durability "exit" writes one checkpoint, when the turn is over: the answer is handed over only after it.
    options = {"stream_mode": ["custom", "values"], "subgraphs": True} | ({"durability": "exit"} if config else {})
    run_of = graph.stream({"messages": list(messages)}, config, context=context, control=control, **options)  # type: ignore[call-overload]
    try:
        for namespace, mode, data in run_of:
            if mode == "custom":
                yield data
            elif not namespace:
                answer = data.get("answer") or answer
    finally:
        # A caller may close the stream half-way: LangGraph would wait for the model to finish.
        control.request_drain("the caller closed the stream")
        run_of.close()
    return answer


@contextmanager
def _kept_when_answered(graph: Compiled, config: RunnableConfig) -> Iterator[None]:
    """A thread whose first turn fails, or is left by its caller, is none: LangGraph would keep the bare question."""
    try:
        yield
    except BaseException:
        if "answer" not in graph.get_state(config).values:
            graph.checkpointer.delete_thread(config["configurable"]["thread_id"])  # type: ignore[union-attr]
        raise


@cache
def compiled(given: Services) -> Compiled:
    """The graph with its memory, once per services."""
    return build_graph(given, checkpointer=thread_memory(given))


@cache
def without_memory(given: Services) -> Compiled:
    """The graph for questions that stand alone, once per services."""
    return build_graph(given)


def forget(thread: str, given: Services | None = None) -> None:
    """Delete a thread: its memory and its runs."""
    from store.runs import delete_thread

    shared = given or services()
    with store_faults():
        compiled(shared).checkpointer.delete_thread(thread)  # type: ignore[union-attr]
    delete_thread(shared.engine, thread)
