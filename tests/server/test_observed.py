"""The server seen from outside: the key's id in the log and never the key, and its spans sent when it stops."""

import logging

from graph.tracing.turnlog import LOGGER
from tests.graph.collectors import taking
from tests.graph.conftest import GOOD, QUESTION
from tests.server.conftest import chat, running

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
"""Of the program that asks, as W3C Trace Context writes it."""


def test_the_line_names_the_key_and_the_spans_leave_when_the_server_stops(table, caplog, monkeypatch):
    caplog.set_level(logging.INFO, LOGGER.name)
    with taking() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with running(table([GOOD], otlp=True).services) as server:
            key = server.key("ann")
            client = server.asking(key)
            client.headers["traceparent"] = f"00-{TRACE}-00f067aa0ba902b7-01"
            reply = chat(client, QUESTION)
        [turn] = [span for span in collector.spans if span.parent is None]
    assert reply.status_code == 200, reply.text
    run_id = reply.json()["switchyard"]["run_id"]
    [record] = [record for record in caplog.records if record.name == LOGGER.name]
    from store.keys import listed

    [stored] = listed(server.services.engine)
    assert (record.turn["key_id"], record.turn["run_id"]) == (stored.key_id, run_id)
    assert turn.attributes["switchyard.run_id"] == run_id
    assert TRACE in collector.traces
    assert key not in caplog.text and key not in collector.text
