"""The Python API: `ask`, `aask` and `stream`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import RunControl
from langgraph.types import Command

from core.errors import InputError
from core.pictures import Source, open_pictures
from core.types import Answer
from graph.app import Compiled, build_graph
from graph.memory import one_turn_at_a_time, store_faults, thread_memory
from graph.review import ACCEPT, check
from graph.services import Services, services
from graph.state import Context
from graph.telling import Event, Play, Tell, heard, told, unheard
from store.engine import LONGEST_THREAD

Choose = Callable[[dict[str, Any]], str]
"""What the user makes of a `graph.review.proposal`."""


def ask(
    question: str,
    *,
    expert: str = "auto",
    model: str | None = None,
    router: str | None = None,
    escalate: bool = True,
    images: Sequence[Source] = (),
    thread: str | None = None,
    review: Choose | None = None,
) -> Answer:
    """Ask one question.

    expert: a name, or `auto` for the router's choice. model: a spec such as `openai:gpt-5-mini` instead of the inferior one, or
    `superior` to have the superior one answer at once.
    router: a kind. escalate: whether the superior model may be asked. thread: continue a conversation; None starts one.
    review: is shown the route before it runs, and says `accept`, `decline` or an expert's name; see `graph.review.proposal`.
    images: pictures that belong to the question, which may then be empty: paths, data: URLs, or the bytes of files.
    Raises InputError for a question, picture or name that cannot be used, ModelError when no model answers.
    """
    pictures = open_pictures(images, files=True)
    context = Context(expert=expert, model=model, router=router, escalate=escalate, images=pictures, review=review is not None)
    return run(question, context, thread, choose=review or accepted)


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
    images: Sequence[Source] = (),
    thread: str | None = None,
    review: bool = False,
) -> Iterator[Event]:
    """As `ask`, in events {type, data}: route, passages, draft_token, draft_rejected, token, and `answer` last, once the turn is stored.

    The `token`s together are the answer's text; draft tokens are provisional. With `review` the last event is a `review` in the answer's
    place: {question, route, choices, models, cost_usd, thread_id}. Nothing has been spent then but that, by a router, a difficulty router
    or a recommender of the kind llm, and `resume` goes on.
    """
    pictures = open_pictures(images, files=True)
    context = Context(expert=expert, model=model, router=router, escalate=escalate, images=pictures, review=review)
    return events(question, context, thread)


def resume(choice: str, *, thread: str, model: str | None = None, escalate: bool = True, images: Sequence[Source] = ()) -> Iterator[Event]:
    """Go on after a `review`: `accept`, `decline` or an expert's name. The other keywords are those of the question.

    Another question in its place gives the one that waits up. Raises InputError where none waits, or for what is no choice.
    """
    pictures = open_pictures(images, files=True)
    return resumed(choice, Context(model=model, escalate=escalate, images=pictures, review=True), thread)


def accepted(offered: dict[str, Any]) -> str:
    """Whatever the router finds."""
    return ACCEPT


def run(question: str, context: Context, thread: str | None = None, given: Services | None = None, *, choose: Choose = accepted) -> Answer:
    """`ask` with a context of one's own; `choose` has its say where that asks for a review."""
    last = turn(question, context, thread, given)(RunControl(), unheard)
    while last["type"] == "review":
        last = resumed_turn(choose(last["data"]), context, last["data"]["thread_id"], given)(RunControl(), unheard)
    return Answer.from_dict(last["data"])


def run_alone(question: str, context: Context, given: Services) -> Answer:
    """As `run`, for a question that nobody will go on from: its turn is stored, and no thread is."""
    return Answer.from_dict(lone_turn([HumanMessage(question)], context, given)(RunControl(), unheard)["data"])


def events(question: str, context: Context, thread: str | None = None, given: Services | None = None) -> Iterator[Event]:
    """`stream` with a context of one's own."""
    return told(turn(question, context, thread, given))


def resumed(choice: str, context: Context, thread: str, given: Services | None = None) -> Iterator[Event]:
    """`resume` with a context of one's own; see `events`."""
    return told(resumed_turn(choice, context, thread, given))


def turn(question: str, context: Context, thread: str | None = None, given: Services | None = None) -> Play:
    """A turn of a conversation, to be played."""

    def play(control: RunControl, tell: Tell) -> Event:
        shared = given or services()
        graph = compiled(shared)
        name = thread or uuid.uuid4().hex
        config: RunnableConfig = {"configurable": {"thread_id": name}}
        if len(name) > LONGEST_THREAD:
            raise InputError(f"Expected the name of a conversation to have at most {LONGEST_THREAD} characters; this one has {len(name)}.")
        asked = {"messages": [HumanMessage(question)]}
        # Of a new conversation nobody else knows the name yet.
        alone = one_turn_at_a_time(shared, name) if thread else nullcontext()
        with store_faults(), alone:
            if thread:
                stored = thread_memory(shared).get_tuple(config)
                _check_owner(stored and stored.metadata, context)
            with _kept_when_answered(graph, config):
                return _played(graph, asked, config, context, control, tell)

    return play


def lone_turn(messages: Sequence[AnyMessage], context: Context, given: Services) -> Play:
    """As `turn`, for a whole conversation that its caller keeps: its turn is stored, and no thread is."""
    # Nobody can come back to a route where nothing is kept.
    free = replace(context, review=False)
    return lambda control, tell: _played(without_memory(given), {"messages": list(messages)}, None, free, control, tell)


def resumed_turn(choice: str, context: Context, thread: str, given: Services | None = None) -> Play:
    """The rest of a turn whose route was reviewed."""

    def play(control: RunControl, tell: Tell) -> Event:
        shared = given or services()
        graph = compiled(shared)
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        with store_faults(), one_turn_at_a_time(shared, thread):
            found = graph.get_state(config)
            _check_owner(found.metadata, context)
            if not found.interrupts:
                raise InputError("No route waits to be accepted in this conversation. Ask a question first.")
            check(found.interrupts[0].value, choice)
            try:
                return _played(graph, Command(resume=choice), config, context, control, tell)
            except BaseException:
                # Unanswered, the route waits again: what was asked, and perhaps paid for, is not lost with one answer.
                if graph.get_state(config).next:
                    _played(graph, None, graph.update_state(found.config, None, as_node="__copy__"), context, RunControl(), unheard)
                raise

    return play


def waiting(thread: str, owner: str | None = None, given: Services | None = None) -> tuple[str, dict[str, Any]] | None:
    """The owner's question whose route waits in this thread, and the data of its `review`; None where none waits. Raises StoreError."""
    shared = given or services()
    with store_faults():
        found = compiled(shared).get_state({"configurable": {"thread_id": thread}})
    if not found.interrupts or (found.metadata or {}).get("owner") != owner:
        return None
    return found.values["messages"][-1].text, {**found.interrupts[0].value, "thread_id": thread}


def _check_owner(metadata: Mapping[str, Any] | None, context: Context) -> None:
    """Raises InputError for a stored thread of somebody else. metadata: of its last turn; None where there is none yet."""
    if metadata is not None and metadata.get("owner") != context.owner:
        raise InputError("Expected a conversation of your own; this one is another owner's. Choose another name for the thread, or none.")


def _played(graph: Compiled, asked: Any, config: RunnableConfig | None, context: Context, control: RunControl, tell: Tell) -> Event:
    """Run the graph to its end in this thread, node after node."""
    # durability "exit" writes one checkpoint, when the turn is over: the answer is handed over only after it.
    options: dict[str, Any] = {"durability": "exit"} if config else {}
    who = {"owner": context.owner, "key_id": context.key_id}
    watched: RunnableConfig = {**(config or {}), "metadata": {name: value for name, value in who.items() if value}}

    def played() -> Event:
        last: Event = {}
        for values in graph.stream(asked, watched, context=context, control=control, stream_mode="values", **options):
            last = _last(values, config) or last
        return last

    return heard(tell, played)


def _last(values: dict[str, Any], config: RunnableConfig | None) -> Event | None:
    """The event that ends a turn with these values of the state, if any."""
    if waiting := values.get("__interrupt__"):
        thread = (config or {}).get("configurable", {}).get("thread_id")
        return {"type": "review", "data": {**waiting[0].value, "thread_id": thread}}
    return {"type": "answer", "data": values["answer"]} if values.get("answer") else None


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
    """Delete a thread: its memory and its runs, once a turn of it that runs is over: that would store both again. Raises StoreError."""
    from store.runs import delete_thread

    shared = given or services()
    with store_faults(), one_turn_at_a_time(shared, thread):
        # The turns first: where they cannot be deleted, the conversation still remembers them and goes on.
        delete_thread(shared.engine, thread)
        compiled(shared).checkpointer.delete_thread(thread)  # type: ignore[union-attr]
