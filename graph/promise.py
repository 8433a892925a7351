"""What policy.toml promises of its thresholds holds for the confidence that it was measured with, and for no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph.learnt import confidence_identity

if TYPE_CHECKING:
    from graph.confidence import Confidence
    from graph.services import Services

BROKEN = (
    "What policy.toml promises was measured with another confidence than the one in service, and holds no longer. "
    "Run: switchyard train confidence --target {}"
)


def broken_promise(services: Services, serving: Confidence | None = None) -> str:
    """Why its promise holds no longer, and what to do, in one line; empty where it holds, or nothing is promised.

    serving: the confidence in service, by default that of `services`. A policy.toml that does not say what it was measured with is taken
    for one of the confidence as it ships. Raises InputError, StoreError, IndexFault.
    """
    policy = services.policy
    if not policy.guarantee:
        return ""
    measured_with = policy.confidence or confidence_identity(services.shipped_confidence)
    return "" if measured_with == confidence_identity(serving or services.confidence) else BROKEN.format(policy.target)
