"""A short errand for the inferior model beside the answer: a follow-up to rewrite, a conversation to sum up. Hosted models only."""

from __future__ import annotations

from functools import partial

from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.runtime import Runtime

from core.types import Tier
from graph.drafting import go_on
from graph.services import Services
from graph.state import AUTO, Context
from llms.call import Reply, stream
from llms.registry import parse

DEADLINE_S = 10.0
"""It must not hold up an answer: after so many seconds the rules do the work."""


def helper(services: Services, context: Context) -> str | None:
    """The model for errands: the inferior one, or the one that was named in its place; None where that is a local one."""
    named = None if context.model in (AUTO, Tier.SUPERIOR) else context.model
    spec = named or services.tiers(None)[Tier.INFERIOR]
    return None if parse(spec)[0] == "local" else spec


def errand(services: Services, spec: str, task: str, material: str, runtime: Runtime[Context]) -> Reply:
    """What the model makes of `material`, which is data to it. Asked once. Raises ModelError, InputError."""
    settings = services.settings
    quick = settings.model_copy(update={"model_deadline_s": min(DEADLINE_S, settings.model_deadline_s), "model_retries": 0})
    pieces = stream(
        services.model(spec),
        spec,
        Tier.INFERIOR,
        [SystemMessage(task), HumanMessage(material)],
        settings=quick,
        check=partial(go_on, runtime),
    )
    while True:
        try:
            next(pieces)
        except StopIteration as done:
            reply: Reply = done.value
            return reply
