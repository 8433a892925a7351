"""Traces: the spans of a turn at a real collector, LangSmith's runs, and neither a key nor a text in either."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time

import pytest

from core.errors import IndexFault, UnknownNameError
from core.settings import ROOT, load_settings
from graph.api import events
from graph.state import Context
from graph.tracing import close
from graph.tracing.delivery import Once
from graph.tracing.langsmith import KEPT, outline
from tests.graph.collectors import taking
from tests.graph.conftest import BAD, GOOD, QUESTION
from tests.llms.wire import serve

KEY = "sk-test-0123456789abcdef"
PASSAGE_WORDS = "steep"
"""Stands in the passages, the question and the answer, and in no name."""


@pytest.fixture
def collector(monkeypatch):
    with taking() as taken:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", taken.url)
        monkeypatch.setattr("graph.tracing.collector.CLOSE_S", 60.0)  # the collector is there: on a busy machine it may take longer
        yield taken
        close()


def test_the_provider_of_an_application_is_used_and_left_open(table, monkeypatch):
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    taken, applications = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    applications.add_span_processor(SimpleSpanProcessor(taken))
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: applications)
    table([GOOD], otlp=True).ask()
    close()
    with applications.get_tracer("its own").start_as_current_span("after"):
        pass
    assert [span.name for span in taken.get_finished_spans()][-2:] == ["invoke_workflow switchyard", "after"]


def test_each_node_and_model_call_is_a_span_in_its_place(table, collector):
    answer = table([BAD, BAD], [GOOD], otlp=True).ask(thread="t1")
    close()
    assert [(span.name, span.parent) for span in collector.spans] == [
        ("prepare", "invoke_workflow switchyard"),
        ("route", "invoke_workflow switchyard"),
        ("retrieval tea", "invoke_agent tea"),
        ("chat weak", "invoke_agent tea"),
        ("invoke_agent tea", "invoke_workflow switchyard"),
        ("decide", "invoke_workflow switchyard"),
        ("retrieval tea", "invoke_agent tea"),
        ("chat weak", "invoke_agent tea"),
        ("invoke_agent tea", "invoke_workflow switchyard"),
        ("decide", "invoke_workflow switchyard"),
        ("retrieval bees", "superior"),
        ("retrieval tea", "superior"),
        ("chat strong", "superior"),
        ("superior", "invoke_workflow switchyard"),
        ("decide", "invoke_workflow switchyard"),
        ("respond", "invoke_workflow switchyard"),
        ("invoke_workflow switchyard", None),
    ]
    said = {span.name: span.attributes for span in collector.spans}
    turn = said["invoke_workflow switchyard"]
    assert turn["gen_ai.operation.name"] == "invoke_workflow"
    assert turn["gen_ai.conversation.id"] == "t1"
    assert (turn["switchyard.run_id"], turn["switchyard.outcome"], turn["switchyard.expert"]) == (answer.run_id, "escalated", ["tea"])
    assert turn["switchyard.confidence"] == answer.confidence
    assert turn["gen_ai.usage.output_tokens"] == sum(use.output_tokens for use in answer.models)
    assert said["route"]["switchyard.route.router"] == answer.route.router
    assert said["route"]["switchyard.route.scores.tea"] == answer.route.scores["tea"]
    searched = said["retrieval tea"]
    assert searched["gen_ai.data_source.id"] == "tea"
    found = [hit for hit in answer.passages if hit.passage.id in searched["switchyard.passages"]]
    assert searched["switchyard.passages"] == [hit.passage.id for hit in found]
    assert searched["switchyard.best_score"] == pytest.approx(max(hit.score for hit in found), abs=1e-4)
    assert said["superior"]["switchyard.tier"] == "superior"
    chat = said["chat strong"]
    assert (chat["gen_ai.provider.name"], chat["gen_ai.request.model"]) == ("fake", "strong")
    assert chat["gen_ai.response.finish_reasons"] == ["stop"]
    assert chat["gen_ai.usage.input_tokens"] == answer.models[-1].input_tokens
    assert chat["gen_ai.response.time_to_first_chunk"] >= 0
    assert chat["switchyard.cost_usd"] == 0.0
    assert collector.resource["service.name"] == "switchyard"
    assert not any(span.failed for span in collector.spans)


def test_no_text_goes_out(table, collector):
    table([GOOD], otlp=True, keys={"openai": KEY}).ask()
    close()
    assert collector.spans
    assert PASSAGE_WORDS not in collector.text.lower()
    assert KEY not in collector.text


def test_the_question_goes_out_when_it_is_asked_for_and_the_passages_still_do_not(table, collector):
    table([GOOD], otlp=True, trace_content=True).ask("How long does oolong brew?")
    close()
    assert collector.spans[-1].attributes["gen_ai.input.messages"] == (
        '[{"role": "user", "parts": [{"type": "text", "content": "How long does oolong brew?"}]}]'
    )
    assert PASSAGE_WORDS not in collector.text.lower()


def test_a_model_that_fails_leaves_its_type_and_not_its_words(table, collector):
    asked = table([ConnectionError(f"Authorization: Bearer {KEY} refused")], otlp=True, superior="local:reader")
    assert asked.ask().models[-1].model == "local:reader"
    with pytest.raises(UnknownNameError):
        asked.ask(expert="nobody")
    close()
    failed = [(span.name, span.attributes["error.type"]) for span in collector.spans if span.failed]
    unknown = [(name, "UnknownNameError") for name in ("prepare", "invoke_workflow switchyard")]
    assert failed == [("chat weak", "ConnectionError"), *unknown]
    assert KEY not in collector.text


def test_documents_that_cannot_be_read_fail_the_search_and_those_who_asked_for_it(table, collector, monkeypatch):
    asked = table([GOOD], otlp=True)

    def broken(services, name, *_):
        raise IndexFault("corrupt")

    monkeypatch.setattr("graph.nodes.expert.search", broken)
    with pytest.raises(IndexFault):
        asked.ask()
    close()
    failed = [(span.name, span.attributes["error.type"]) for span in collector.spans if span.failed]
    assert failed == [(name, "IndexFault") for name in ("retrieval tea", "invoke_agent tea", "invoke_workflow switchyard")]


def test_a_turn_that_its_caller_leaves_is_closed_and_has_not_failed(table, collector):
    turn = events(QUESTION, Context(), None, table([["Green ", "tea"]], otlp=True, live=True).services)
    assert next(turn)["type"] == "route"
    turn.close()
    close()
    [last] = [span for span in collector.spans if span.parent is None]
    assert (last.name, last.failed) == ("invoke_workflow switchyard", False)
    assert last.attributes["error.type"] in ("GraphDrained", "GeneratorExit")


def test_a_turn_that_waits_for_its_user_is_closed_and_has_no_answer(table, collector):
    asked = table([GOOD], otlp=True)
    asked.ask(thread="t1")
    assert list(asked.events(thread="t1", review=True))[-1]["type"] == "review"
    close()
    before, waiting = [span for span in collector.spans if span.parent is None]
    assert (before.attributes["switchyard.outcome"], "switchyard.outcome" in waiting.attributes) == ("answered", False)
    assert not any(span.failed for span in collector.spans)


def test_a_collector_that_is_away_costs_a_moment_at_the_end_and_one_line(table, monkeypatch, caplog):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        asked = table([GOOD, GOOD], otlp=True)
        assert [asked.ask().outcome, asked.ask().outcome] == ["answered", "answered"]
        started = time.monotonic()
        close()
        assert time.monotonic() - started < 8  # the exporter tries for ten seconds
    said = [record.getMessage() for record in caplog.records if record.name.startswith("opentelemetry")]
    assert len(said) == 1
    assert said[0].startswith("Traces do not reach the collector; answers are not affected.")


def test_complaints_lose_their_key_and_come_once():
    once = Once("LangSmith")
    record = logging.makeLogRecord({"msg": "Failed to ingest: %s\nAPI Key: lsv2_***ey", "args": ("401",)})
    assert once.filter(record)
    assert record.getMessage() == "Traces do not reach LangSmith; answers are not affected. Failed to ingest: 401"
    assert not once.filter(logging.makeLogRecord({"msg": "Failed again"}))


@pytest.mark.parametrize(
    ("environ", "langsmith", "otlp"),
    [
        ({}, False, False),
        ({"LANGSMITH_TRACING": "false", "LANGSMITH_API_KEY": "k"}, False, False),
        ({"LANGSMITH_TRACING": "true"}, True, False),
        ({"LANGCHAIN_TRACING_V2": "true"}, True, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, False, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, False, True),
    ],
)
def test_the_libraries_own_variables_ask_for_traces(environ, langsmith, otlp, tmp_path):
    found = load_settings(environ, tmp_path)
    assert (found.langsmith, found.otlp) == (langsmith, otlp)


def test_an_outline_keeps_shape_numbers_and_the_named_words():
    run = {
        "question": "How long?",
        "route": {"expert": ["tea", "bees"], "scores": {"tea": 0.75}, "nearest": [{"text": "green tea", "label": "tea"}]},
        "messages": [{"content": "How long?", "id": "m1"}],
        "ls_provider": "openai",
        "cost_usd": None,
        "error": f"AuthenticationError('key {KEY}')Traceback ...",
    }
    assert outline(run, KEPT) == {
        "question": "(9 characters)",
        "route": {"expert": ["tea", "bees"], "scores": {"tea": 0.75}, "nearest": [{"text": "(9 characters)", "label": "tea"}]},
        "messages": [{"content": "(9 characters)", "id": "(2 characters)"}],
        "ls_provider": "openai",
        "cost_usd": None,
        "error": "AuthenticationError",
    }
    assert outline(run, KEPT | {"question"})["question"] == "How long?"


LANGSMITH = """
from graph.api import run
from graph.state import Context

for _ in range(2):
    print(run("How long does green tea steep?", Context(escalate=False)).run_id)
"""


def python(code, settings, **environ):
    """Run it over the tiny experts in a process of its own, as these libraries keep what they read for the life of one."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("LANGSMITH", "LANGCHAIN", "OTEL"))}
    places = {"SWITCHYARD_HOME": settings.home, "SWITCHYARD_EXPERTS": settings.experts_dir, "SWITCHYARD_INDEXES": settings.indexes_dir}
    env = own | {"PYTHONPATH": str(ROOT)} | {name: str(path) for name, path in places.items()} | environ
    return subprocess.run([sys.executable, "-c", code], env=env, cwd=settings.home.parent, capture_output=True, text=True, timeout=120)


def test_langsmith_gets_the_shape_of_a_run_and_none_of_its_words(tiny, tiny_settings):
    models = {"SWITCHYARD_INFERIOR": "openai:gpt-5-mini", "SWITCHYARD_MODEL_RETRIES": "0", "OPENAI_API_KEY": KEY}
    with taking() as langsmith, serve("openai", "ok", "key echoed") as openai:
        asked = {"LANGSMITH_TRACING": "true", "LANGSMITH_ENDPOINT": langsmith.url, "LANGSMITH_API_KEY": KEY}
        done = python(LANGSMITH, tiny_settings, **models, **asked, OPENAI_BASE_URL=openai.url)
    assert done.returncode == 0, done.stderr
    names = {run["name"] for run in langsmith.runs if "name" in run}
    nodes = {"switchyard", "prepare", "route", "tea", "decide", "respond"}
    assert nodes | {"openai:gpt-5-mini", "local:reader"} <= names
    assert all(run_id in langsmith.text for run_id in done.stdout.split())
    assert '"outcome":"answered"' in langsmith.text
    assert "AuthenticationError" in langsmith.text
    assert "Incorrect API key" not in langsmith.text
    assert "Sleep is good" not in langsmith.text
    assert PASSAGE_WORDS not in langsmith.text.lower()
    assert KEY not in langsmith.text


def test_without_being_asked_for_nothing_of_it_is_loaded_or_begun(tiny, tiny_settings):
    code = """
import sys, threading
from graph import ask, build_graph
build_graph()
print([name for name in ("graph.tracing.spans", "opentelemetry.exporter") if name in sys.modules])
ask("How long does green tea steep?")
from langsmith import run_trees
print(run_trees._CLIENT, [t.name for t in threading.enumerate() if "racing" in t.name or "Otel" in t.name])
"""
    done = python(code, tiny_settings)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["[]", "None []"]), done.stderr


def test_the_command_sends_its_spans_and_writes_its_line_before_it_ends(tiny, tiny_settings):
    with taking() as collector:
        code = "import sys; from ui.cli import main; sys.exit(main(['ask', 'How long does green tea steep?', '--json']))"
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "mine", "SWITCHYARD_LOG": "json"}
        done = python(code, tiny_settings, **environ)
    assert done.returncode == 0, done.stderr
    assert collector.spans[-1].name == "invoke_workflow switchyard"
    assert collector.resource["service.name"] == "mine"
    [line] = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    answer = json.loads(done.stdout)
    assert (line["event"], line["run_id"], line["outcome"]) == ("turn", answer["run_id"], answer["outcome"])
