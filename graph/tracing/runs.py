"""How LangGraph tells its callbacks of a graph's runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langgraph.errors import GraphBubbleUp

_NODE = "graph:step:"


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that begins: a graph, a node, or what LangGraph runs in between. around: the run that it is a part of."""

    id: UUID
    around: UUID | None
    name: str
    is_node: bool
    metadata: Mapping[str, Any]


class Watcher(BaseCallbackHandler):
    """Is told of every run of the graph, in order, from whatever thread a node runs in."""

    run_inline = True  # in order, also for a graph that is run on an event loop

    @abstractmethod
    def begun(self, run: Begun, inputs: Any) -> None:
        """A run begins."""

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: Sequence[str] | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        **_: Any,
    ) -> None:
        """LangChain's call: hand over what matters of it."""
        is_node = any(tag.startswith(_NODE) for tag in tags or ())
        self.begun(Begun(run_id, parent_run_id, name or "", is_node, metadata or {}), inputs)


def was_left(error: BaseException) -> bool:
    """Whether a run ended because its caller left or is asked back, which is no failure."""
    return isinstance(error, GraphBubbleUp | GeneratorExit)
