"""The wiring, which reads as its drawing.

START -> prepare -> route [-> review] -+-> <expert> ... -+-> decide -> respond -> END
                                       +-> superior -----+     |
                                       +-> decline -> respond  +-> <expert> (retrieve again) | superior
                                       +-> clarify -> respond
"""

from __future__ import annotations

import asyncio
from functools import partial

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from graph.nodes.clarify import clarify
from graph.nodes.decide import after_decide, decide
from graph.nodes.decline import decline
from graph.nodes.expert import expert
from graph.nodes.prepare import prepare
from graph.nodes.respond import respond
from graph.nodes.review import review
from graph.nodes.route import after_review, after_route, route
from graph.nodes.superior import superior
from graph.services import Services, services
from graph.state import Context, Input, Output, State

Compiled = CompiledStateGraph[State, Context, Input, Output]


def build_graph(given: Services | None = None, *, checkpointer: BaseCheckpointSaver[str] | bool | None = None) -> Compiled:
    """A compiled graph, ready to invoke. Touches no network and needs no key; `checkpointer` remembers threads (see graph/memory.py)."""
    shared = given or services()
    builder = StateGraph(State, context_schema=Context, input_schema=Input, output_schema=Output)
    experts = list(shared.experts)
    builder.add_node("prepare", partial(prepare, shared))
    builder.add_node("route", partial(route, shared))
    for name in experts:
        builder.add_node(name, partial(expert, shared, name))
        builder.add_edge(name, "decide")
    builder.add_node("review", partial(review, shared))
    builder.add_node("superior", partial(superior, shared))
    builder.add_node("decline", partial(decline, shared))
    builder.add_node("clarify", partial(clarify, shared))
    builder.add_node("decide", partial(decide, shared))
    builder.add_node("respond", partial(respond, shared))
    builder.add_edge(START, "prepare")
    builder.add_edge("prepare", "route")
    builder.add_conditional_edges("route", partial(after_route, shared), [*experts, "superior", "decline", "review", "clarify"])
    builder.add_conditional_edges("review", partial(after_review, shared), [*experts, "superior", "decline"])
    builder.add_edge("superior", "decide")
    builder.add_conditional_edges("decide", partial(after_decide, shared), [*experts, "superior", "respond"])
    builder.add_edge("decline", "respond")
    builder.add_edge("clarify", "respond")
    builder.add_edge("respond", END)
    compiled = builder.compile(checkpointer=checkpointer, name="switchyard")
    return compiled.with_config(callbacks=shared.watchers) if shared.watchers else compiled


async def make_graph() -> Compiled:
    """For `langgraph.json`: the LangGraph server brings its own checkpointer, and its event loop must not wait for files to be read."""
    return await asyncio.to_thread(build_graph)
