"""The server against its own OpenAPI description: schemathesis makes requests from it, good and bad, and holds the replies against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings


def operations(url: str) -> list[Any]:
    """All that the description names."""
    from schemathesis import openapi

    found: Iterable[Any] = openapi.from_url(f"{url}/openapi.json").get_all_operations()
    return [operation.ok() for operation in found]


def check(operation: Any, url: str, key: str, examples: int, advance: Callable[[int], None] = lambda _: None) -> None:
    """Send so many requests. Raises what schemathesis raises for a 5xx, and for a status, type or body that is not described."""
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

    checks = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
    strategy = operation.as_strategy(generation_mode=GenerationMode.POSITIVE) | operation.as_strategy(
        generation_mode=GenerationMode.NEGATIVE
    )

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def send(case: Any) -> None:
        case.call_and_validate(base_url=url, headers={"Authorization": f"Bearer {key}"}, checks=checks, timeout=60)
        advance(1)

    send()
