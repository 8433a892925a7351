"""How LangGraph tells its callbacks of a graph's runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.errors import GraphBubbleUp

_NODE = "graph:step:"


def is_node(tags: Sequence[str] | None) -> bool:
    """Whether a run is a node, and not an edge or the inside of a node."""
    return any(tag.startswith(_NODE) for tag in tags or ())


def inside(metadata: Mapping[str, Any] | None) -> str:
    """The expert whose node it is; empty for the nodes of the whole graph."""
    return str((metadata or {}).get("checkpoint_ns", "")).partition(":")[0]


def was_left(error: BaseException) -> bool:
    """Whether a run ended because its caller left or is asked back, which is no failure."""
    return isinstance(error, GraphBubbleUp | GeneratorExit)
