"""What LangSmith may see of a run. LangChain traces to it by itself once LANGSMITH_TRACING is true; here its client learns to keep quiet.

Without this it would get all inputs and outputs: questions, the documents' text, and whatever an exception says. Whoever wants that sets
LANGSMITH_HIDE_INPUTS or LANGSMITH_HIDE_OUTPUTS to false, LangSmith's own variables.
"""

from __future__ import annotations

import atexit
import logging
from functools import cache
from typing import TYPE_CHECKING, Any

from graph.tracing.delivery import CLOSE_S, Once

if TYPE_CHECKING:
    from langsmith import Client

KEPT = {
    *("expert", "experts", "label", "router", "outcome", "model", "tier", "kind", "finish_reason", "safety", "attempt", "node"),
    *("model_name", "model_provider", "run_id", "thread_id", "run_attempt", "key_id"),
}
"""Names of fields whose words say how a turn went, and nothing of what it was about. Of all other text only the length goes out."""
_PREFIXES = ("ls_", "lc_", "langgraph_")


@cache
def guard(*, question: bool) -> Client:
    """LangSmith's client of this process, which LangChain's tracer takes. question: whether the question's text may go out."""
    from langsmith.run_trees import get_cached_client
    from langsmith.utils import get_env_var

    hidden = {name: get_env_var(name) for name in ("HIDE_INPUTS", "HIDE_OUTPUTS")}
    kept = KEPT | {"question"} if question else KEPT

    def anonymised(run_part: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = outline(run_part, kept)
        return found

    quiet = {"hide_inputs": True, "hide_outputs": hidden["HIDE_OUTPUTS"] == "true", "anonymizer": anonymised}
    made = get_cached_client(**({} if "false" in hidden.values() else quiet))
    logging.getLogger("langsmith.client").addFilter(Once("LangSmith"))
    atexit.register(made.close, CLOSE_S)
    return made


def outline(value: Any, kept: set[str], name: str = "") -> Any:
    """The shape of a JSON value, its numbers, and its text where the field's name is one of `kept`. Of an error, its type."""
    if isinstance(value, dict):
        return {key: outline(inner, kept, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [outline(inner, kept, name) for inner in value]
    if not isinstance(value, str) or name in kept or name.startswith(_PREFIXES):
        return value
    return value.partition("(")[0] if name == "error" else f"({len(value):,} characters)"
