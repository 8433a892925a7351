"""The way to OpenTelemetry's collector, over HTTP, set by OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_ENDPOINT and its siblings).

Spans leave in a thread of their own. When the collector is away they are dropped, with one line in the log, and no turn waits for it.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from threading import Thread
from typing import TYPE_CHECKING

from core.settings import Settings
from graph.tracing.delivery import CLOSE_S, Once

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

SERVICE = "switchyard"
_EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_COMPLAINTS = Once("the collector")


def tracer() -> Tracer:
    """Where spans are begun. Raises ImportError without the packages of the extra `tracing`."""
    return _provider()[0].get_tracer(SERVICE)


@contextmanager
def within(headers: Mapping[str, str], settings: Settings) -> Iterator[None]:
    """Turns inside belong to the trace that a request names, if any: W3C Trace Context, the headers traceparent and tracestate."""
    if not settings.otlp or not find_spec("opentelemetry"):
        yield
        return
    from opentelemetry import context, propagate

    token = context.attach(propagate.extract(headers))
    try:
        yield
    finally:
        context.detach(token)


def close() -> None:
    """Send what is left, for CLOSE_S at most; spans that end later are dropped. An application's own provider goes on."""
    if not _provider.cache_info().currsize:
        return
    provider, own = _provider()
    _provider.cache_clear()
    if own:
        # The exporter tries again and again for ten seconds, so it is left behind; the thread does not keep the process alive.
        waiting = Thread(target=provider.shutdown, name="last spans", daemon=True)
        waiting.start()
        waiting.join(CLOSE_S)


@cache
def _provider() -> tuple[TracerProvider, bool]:
    """Where spans go, and whether it was made here."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    existing = trace.get_tracer_provider()
    if isinstance(existing, TracerProvider):  # of an application that Switchyard is a part of
        return existing, False
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
    made = TracerProvider(resource=resource, shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    logging.getLogger(_EXPORTER).addFilter(_COMPLAINTS)
    atexit.register(close)
    return made, True
