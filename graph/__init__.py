"""The LangGraph state machine. `from graph import ask, build_graph`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graph.api import aask, ask, resume, stream
    from graph.app import build_graph, make_graph

__all__ = ["aask", "ask", "build_graph", "make_graph", "resume", "stream"]


def __getattr__(name: str) -> Any:
    # Lazy, so that importing a part of the package (a router, say) does not import LangGraph.
    if name not in __all__:
        raise AttributeError(name)
    from graph import api, app

    return getattr(app if name.endswith("graph") else api, name)
