"""What can be seen of a turn from outside: OpenTelemetry's spans, LangSmith's runs, and a line in the log. All of it is off by default.

They hang on the graph as LangChain callbacks, so whoever runs it is seen: the command, the chat, the server, a LangGraph server.
No key and no document's text goes out; the question's text only with `settings.trace_content`.
"""

from __future__ import annotations

import sys

from langchain_core.callbacks import BaseCallbackHandler

from core.settings import Settings
from graph.tracing import collector, turnlog
from graph.tracing.langsmith import guard

MISSING = "Traces are asked for (OTEL_EXPORTER_OTLP_ENDPOINT), but their packages are missing. Run: pip install 'switchyard[tracing]'"


def watchers(settings: Settings) -> list[BaseCallbackHandler]:
    """What watches the graph's runs, as the settings ask for it."""
    found: list[BaseCallbackHandler] = []
    if turnlog.wanted():
        found.append(turnlog.TurnLog())
    if settings.langsmith:
        guard(question=settings.trace_content)  # LangChain itself adds the tracer
    if settings.otlp:
        try:
            tracer = collector.tracer()
        except ImportError:
            print(MISSING, file=sys.stderr)
        else:
            from graph.tracing.spans import Spans

            found.append(Spans(tracer, settings))
    return found


def close() -> None:
    """Send what has not been sent to OpenTelemetry's collector. Waits a moment at most; LangSmith's client ends with the process."""
    collector.close()
