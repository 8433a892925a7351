"""Every way in which a provider misbehaves, against real sockets: the error's class and text, retries, deadline, keys."""

import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest
import wire
from langchain_core.messages import AIMessageChunk, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import SecretStr

from core import errors as e
from core.settings import Settings
from llms.call import Reply, stream
from llms.fake import ScriptedModel
from llms.faults import as_model_error
from llms.registry import load_model

ROOT = Path(__file__).resolve().parents[2]
KEY = "topsecret-0123456789"
SPECS = {"openai": "openai:gpt-4o-mini", "deepseek": "deepseek:deepseek-chat", "google_genai": "google_genai:gemini-2.5-flash"}
QUESTION = [HumanMessage("Why do we sleep?")]
hosted = pytest.mark.parametrize("provider", SPECS)


class Run:
    """One call, driven to its end."""

    def __init__(self, provider: str, url: str, home: Path, *, deadline_s: float = 5, retries: int = 0) -> None:
        settings = Settings(
            home=home, keys={provider: SecretStr(KEY)}, base_urls={provider: url}, model_deadline_s=deadline_s, model_retries=retries
        )
        model = load_model(SPECS[provider], settings, None)
        self.pieces: list[str] = []
        self.reply: Reply | None = None
        self.error: Exception | None = None
        started = time.monotonic()
        generator = stream(model, SPECS[provider], "inferior", QUESTION, settings=settings)
        try:
            while True:
                self.pieces.append(next(generator))
        except StopIteration as end:
            self.reply = end.value
        except e.ModelError as error:
            self.error = error
        self.seconds = time.monotonic() - started


FAULTS = {
    "429": (e.RateLimitedError, "had too many requests (429)"),
    "402": (e.RejectedRequestError, "refused the request (402): Insufficient balance"),
    "500": (e.ModelUnavailableError, "is not available (500)"),
    "503": (e.ModelUnavailableError, "is not available (503)"),
    "401": (e.AuthenticationFailedError, "refused the key (401)"),
    "404": (e.RejectedRequestError, "refused the request (404): The model does not exist"),
    "400": (e.RejectedRequestError, "refused the request (400)"),
    "408": (e.ModelTimeoutError, "took too long (408)"),
    "409": (e.ModelUnavailableError, "is not available (409)"),
    "422": (e.RejectedRequestError, "refused the request (422)"),
    "key echoed": (e.AuthenticationFailedError, "refused the key (401): Incorrect API key: [key]. Also [key] and [key]."),
    "garbage": (e.GarbledAnswerError, "sent something that is no answer"),
    "garbage event": (e.GarbledAnswerError, "sent something that is no answer"),
    "cut": (e.TruncatedAnswerError, "broke off its answer"),
    "no finish": (e.TruncatedAnswerError, "broke off its answer"),
    "safety": (e.BlockedAnswerError, "withheld its answer"),
    "empty": (e.BlockedAnswerError, "sent an empty message"),
}


@hosted
@pytest.mark.parametrize("behaviour", FAULTS)
def test_each_fault_is_one_readable_line_without_a_key(provider, behaviour, tmp_path):
    with wire.serve(provider, behaviour) as server:
        run = Run(provider, server.url, tmp_path)
    kind, words = FAULTS[behaviour]
    assert type(run.error) is kind
    text = str(run.error)
    assert text.startswith(f"{SPECS[provider]} {words}")
    assert text.endswith("or choose another model.")
    assert "\n" not in text
    shown = "".join(traceback.format_exception(run.error))
    assert not [secret for secret in (KEY, "sk-abc", "AIza") if secret in shown]


@hosted
def test_a_refused_connection(provider, tmp_path):
    run = Run(provider, f"http://127.0.0.1:{wire.closed_port()}/v1", tmp_path)
    assert type(run.error) is e.ModelUnavailableError
    assert "Check the connection and the base URL" in str(run.error)


def test_an_empty_account_is_no_passing_rate_limit(tmp_path):
    with wire.serve("openai", "quota", "ok") as server:
        run = Run("openai", server.url, tmp_path, retries=2)
    assert type(run.error) is e.RejectedRequestError
    assert len(server.bodies) == 1


def test_gemini_refuses_a_wrong_key_with_400(tmp_path):
    with wire.serve("google_genai", "bad key 400") as server:
        run = Run("google_genai", server.url, tmp_path)
    assert type(run.error) is e.AuthenticationFailedError
    assert "Check GOOGLE_API_KEY in .env" in str(run.error)


def test_an_error_in_the_middle_of_the_stream(tmp_path):
    with wire.serve("openai", "error event") as server:
        run = Run("openai", server.url, tmp_path)
    assert type(run.error) is e.ModelUnavailableError
    assert "The server had an error" in str(run.error)


def test_a_prompt_that_gemini_blocks(tmp_path):
    with wire.serve("google_genai", "prompt blocked") as server:
        run = Run("google_genai", server.url, tmp_path)
    assert type(run.error) is e.BlockedAnswerError


@hosted
def test_the_length_limit_is_no_error(provider, tmp_path):
    with wire.serve(provider, "length") as server:
        run = Run(provider, server.url, tmp_path)
    assert (run.reply.text, run.reply.finish_reason) == ("".join(wire.PIECES), "length")


@hosted
def test_tokens_are_estimated_where_no_usage_comes(provider, tmp_path):
    with wire.serve(provider, "no usage") as server:
        run = Run(provider, server.url, tmp_path)
    assert (run.reply.use.input_tokens, run.reply.use.output_tokens) == (len("Why do we sleep?") // 4, len("".join(wire.PIECES)) // 4)


@hosted
def test_the_wait_that_the_provider_asked_for_is_kept(provider, tmp_path):
    with wire.serve(provider, "429", "ok") as server:
        run = Run(provider, server.url, tmp_path, retries=2)
    assert run.reply.text == "".join(wire.PIECES)
    assert len(server.bodies) == 2
    assert float(wire.RETRY_AFTER_S) <= run.seconds
    assert run.reply.use.latency_ms >= float(wire.RETRY_AFTER_S) * 1000


@hosted
def test_a_wait_beyond_the_deadline_is_not_begun(provider, tmp_path):
    with wire.serve(provider, "429 long wait", "ok") as server:
        run = Run(provider, server.url, tmp_path, deadline_s=29, retries=2)
    assert type(run.error) is e.RateLimitedError
    assert run.error.retry_after_s == 30
    assert len(server.bodies) == 1
    assert run.seconds < 20


@hosted
def test_a_wait_given_as_a_date(provider, tmp_path):
    with wire.serve(provider, "429 date") as server:
        run = Run(provider, server.url, tmp_path)
    assert 15 < run.error.retry_after_s <= 20


@hosted
def test_retries_are_counted_and_end(provider, tmp_path):
    with wire.serve(provider, "503") as server:
        run = Run(provider, server.url, tmp_path, retries=1)
    assert type(run.error) is e.ModelUnavailableError
    assert len(server.bodies) == 2


@hosted
@pytest.mark.parametrize("behaviour", ["401", "402", "404", "400", "safety", "empty"])
def test_what_cannot_succeed_is_not_retried(provider, behaviour, tmp_path):
    with wire.serve(provider, behaviour, "ok") as server:
        run = Run(provider, server.url, tmp_path, retries=2)
    assert type(run.error) is FAULTS[behaviour][0]
    assert len(server.bodies) == 1


@hosted
@pytest.mark.parametrize(("behaviour", "pieces"), [("cut", wire.PIECES[:1]), ("no finish", wire.PIECES)])
def test_nothing_is_retried_after_the_first_piece(provider, behaviour, pieces, tmp_path):
    with wire.serve(provider, behaviour, "ok") as server:
        run = Run(provider, server.url, tmp_path, retries=2)
    assert type(run.error) is e.TruncatedAnswerError
    assert run.pieces == pieces
    assert len(server.bodies) == 1


@hosted
def test_the_deadline_holds_before_the_first_byte(provider, tmp_path):
    with wire.serve(provider, "hang") as server:
        run = Run(provider, server.url, tmp_path, deadline_s=0.6, retries=2)
    assert type(run.error) is e.ModelTimeoutError
    assert "0.6 s" in str(run.error)
    assert 0.5 < run.seconds < 20


@hosted
def test_the_deadline_holds_for_a_slow_stream_and_its_worker_stops(provider, tmp_path):
    with wire.serve(provider, "slow") as server:
        run = Run(provider, server.url, tmp_path, deadline_s=2, retries=2)
        assert server.client_left.wait(60)
    assert type(run.error) is e.ModelTimeoutError
    assert run.pieces[:2] == wire.PIECES[:2]
    assert 1.9 < run.seconds < 8  # the whole stream takes nine
    assert len(server.bodies) == 1


@hosted
def test_the_deadline_holds_over_the_retries_together(provider, tmp_path, monkeypatch):
    drawn = iter([1.0, 1.0, 16.0])  # waits of 0.5 and 1 s; 32 s more would be too long
    monkeypatch.setattr("llms.call.random", SimpleNamespace(uniform=lambda _low, _high: next(drawn)))  # the libraries draw, too
    with wire.serve(provider, "503") as server:
        run = Run(provider, server.url, tmp_path, deadline_s=30, retries=10)
    assert type(run.error) is e.ModelUnavailableError
    assert 1.5 <= run.seconds < 30
    assert len(server.bodies) == 3


def test_a_caller_who_leaves_stops_the_worker(tmp_path):
    with wire.serve("openai", "slow") as server:
        settings = Settings(home=tmp_path, base_urls={"openai": server.url})
        generator = stream(load_model("openai:m", settings, None), "openai:m", "inferior", QUESTION, settings=settings)
        assert next(generator) == wire.PIECES[0]
        generator.close()
        assert server.client_left.wait(60)


def test_a_model_that_never_answers_does_not_keep_the_interpreter(tmp_path):
    program = """
import time
from core.settings import Settings
from llms.call import stream
from llms.fake import ScriptedModel
class Asleep(ScriptedModel):
    def _stream(self, *args, **kwargs):
        time.sleep(600)
        yield
try:
    next(stream(Asleep(replies=[]), "fake:asleep", "inferior", [], settings=Settings(model_deadline_s=0.2, model_retries=0)))
except Exception as error:
    print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.returncode) == ("ModelTimeoutError", 0)


def test_langgraph_sees_the_call(tmp_path):
    def answer(state: MessagesState) -> dict:
        pieces = stream(
            ScriptedModel(replies=[list(wire.PIECES)]), "fake:m", "inferior", state["messages"], settings=Settings(home=tmp_path)
        )
        return {"messages": [("ai", "".join(pieces))]}

    graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").add_edge("answer", END).compile()
    seen = [
        chunk for chunk, _ in graph.stream({"messages": [("user", "Why?")]}, stream_mode="messages") if isinstance(chunk, AIMessageChunk)
    ]
    assert [chunk.text for chunk in seen if chunk.text] == wire.PIECES


def test_a_fake_that_fails_once_is_retried_with_the_same_messages(tmp_path):
    model = ScriptedModel(replies=[e.ModelUnavailableError("down"), "up"])
    assert list(stream(model, "fake:m", "inferior", QUESTION, settings=Settings(home=tmp_path, model_retries=1))) == ["up"]
    assert model.history == [QUESTION, QUESTION]


def test_a_bug_stays_a_bug(tmp_path):
    with pytest.raises(AssertionError, match="no reply left"):
        list(stream(ScriptedModel(replies=[]), "fake:m", "inferior", QUESTION, settings=Settings(home=tmp_path)))
    with pytest.raises(ZeroDivisionError):
        as_model_error(ZeroDivisionError(), "openai:gpt-5")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError("slow"), e.ModelTimeoutError),
        (ConnectionResetError("reset"), e.ModelUnavailableError),
        (MemoryError(), e.ModelUnavailableError),
        (KeyError("choices"), e.GarbledAnswerError),
        (TypeError("null value for 'choices'"), e.GarbledAnswerError),
    ],
)
def test_errors_with_no_status(error, kind):
    assert type(as_model_error(error, "openai:gpt-5")) is kind


def test_a_long_message_is_cut_after_its_key_is_gone():
    text = str(as_model_error(TimeoutError("x" * 290 + " " + KEY), "openai:gpt-5", [SecretStr(KEY)]))
    assert "topsecret" not in text
    assert len(text) < 450


def test_an_error_of_ours_comes_back_as_it_is():
    error = e.BlockedAnswerError("no")
    assert as_model_error(error, "openai:gpt-5") is error


def test_what_a_try_used_that_failed_with_nothing_to_show_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("llms.call._FIRST_WAIT_S", 0.0)
    used = {"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500}
    tries = iter([("", "insufficient_system_resource"), ("Yes.", "stop")])

    def answers(*_):
        text, reason = next(tries)
        yield AIMessageChunk(content=text, usage_metadata=used, response_metadata={"finish_reason": reason})

    generator = stream(SimpleNamespace(stream=answers), SPECS["deepseek"], "inferior", QUESTION, settings=Settings(home=tmp_path))
    assert next(generator) == "Yes."
    with pytest.raises(StopIteration) as end:
        next(generator)
    assert (end.value.value.use.input_tokens, end.value.value.use.output_tokens) == (2000, 1000)
