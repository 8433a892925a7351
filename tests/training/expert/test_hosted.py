"""Tuning at a provider: the files, what is refused before it is sent, and a job that is started once and followed to its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.errors import AuthenticationFailedError, GarbledAnswerError, InputError, MissingKeyError, ModelUnavailableError, SwitchyardError
from core.settings import Settings
from graph.services import Services
from tests.training.expert.provider import MODEL, Provider, serve
from training.expert import hosted
from training.expert.hosted import HostedJob, prepare
from training.expert.provider_files import Estimate, check_file
from training.expert.recipe import Job

KEY = "sk-secret-0123456789"
Make = Callable[..., Job]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted, "POLL_S", 0.0)


@pytest.fixture
def large(job: Make) -> Job:
    """A training with as many questions as the provider asks for."""
    made = job(base="gpt-4o-mini-2024-07-18", epochs=3, without=0.0)
    rows = [replace(item, question=f"{item.question} ({n})") for n in range(3) for item in made.questions["train"]]
    return replace(made, questions={**made.questions, "train": rows})


def at(provider: Provider, folder: Path, said: list[str] | None = None) -> HostedJob:
    settings = Settings(keys={"openai": SecretStr(KEY)}, base_urls={"openai": provider.url}, model_retries=0)
    return HostedJob(settings, folder, (said if said is not None else []).append)


def test_a_job_is_uploaded_started_once_and_followed(tiny: Services, large: Job, tmp_path: Path) -> None:
    said: list[str] = []
    prepare(tiny, large, tmp_path)
    with serve() as provider:
        assert at(provider, tmp_path, said).run(large) == MODEL
    (body,) = provider.jobs
    assert body == {
        "model": "gpt-4o-mini-2024-07-18",
        "training_file": "file-1",
        "validation_file": "file-2",
        "seed": 0,
        "suffix": "tea",
        "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}},
    }
    assert [(tmp_path / name).read_text() in upload for name, upload in zip(("train.jsonl", "dev.jsonl"), provider.uploads, strict=True)]
    assert 'name="purpose"\r\n\r\nfine-tune' in provider.uploads[0].replace("Content-Type: text/plain\r\n", "")
    assert [m for m in said if m.startswith("Step")] == ["Step 0", "Step 1", "Step 2"]
    kept = json.loads((tmp_path / "job.json").read_text())
    assert kept == {
        "expert": "tea", "base": "gpt-4o-mini-2024-07-18", "train": "file-1", "dev": "file-2", "job": "ftjob-1", "model": MODEL,
        "ended": "succeeded",
    }  # fmt: skip
    assert KEY not in (tmp_path / "job.json").read_text()


def test_the_files_hold_whole_conversations(tiny: Services, large: Job, tmp_path: Path) -> None:
    estimate = prepare(tiny, large, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert [m["role"] for m in rows[0]["messages"]] == ["system", "user", "assistant"]
    assert rows[0]["messages"][2]["content"].startswith(large.questions["train"][0].answer)
    tokens = sum(sum(len(m["content"]) for m in row["messages"]) // 4 for row in rows)
    assert estimate == Estimate(12, tokens, 3)
    assert estimate.billed == 3 * tokens


def test_files_of_the_users_are_refused_before_any_passage_is_sought(
    tiny: Services, large: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("train.jsonl", "dev.jsonl", "manifest.json"):
        (tmp_path / name).write_text("{}")
        with monkeypatch.context() as patch, pytest.raises(InputError, match=rf"{name} was edited, or not made here: it is not over"):
            patch.setattr(hosted, "Maker", lambda *_: pytest.fail("sought"))
            prepare(tiny, large, tmp_path)
        assert (tmp_path / name).read_text() == "{}"
        (tmp_path / name).unlink()
    prepare(tiny, large, tmp_path)
    made = (tmp_path / "train.jsonl").read_bytes()
    prepare(tiny, large, tmp_path)
    (tmp_path / "job.json").write_text('{"expert": "tea", "base": "gpt"}')
    (tmp_path / "train.jsonl").write_bytes(made + b"{}\n")
    with pytest.raises(InputError, match=r"train\.jsonl was edited, or not made here"):
        prepare(tiny, large, tmp_path)


def test_ctrl_c_leaves_the_job_running_and_resume_follows_it(tiny: Services, large: Job, tmp_path: Path) -> None:
    prepare(tiny, large, tmp_path)
    with serve() as provider:

        def leave(message: str) -> None:
            if message == "Step 0":
                raise KeyboardInterrupt

        job = at(provider, tmp_path)
        job._say = leave
        with pytest.raises(KeyboardInterrupt):
            job.run(large)
        later = at(provider, tmp_path)
        with pytest.raises(InputError, match=r"^ftjob-1 in .* has not ended\. Follow it: the same command and --resume"):
            later.begin(resume=False)
        assert later.begin(resume=True) is False
        assert later.run(large) == MODEL
        assert len(provider.jobs) == 1
        assert len(provider.uploads) == 2
        assert at(provider, tmp_path).begin(resume=False) is True


def test_a_start_whose_answer_was_lost_is_not_paid_for_twice(tiny: Services, large: Job, tmp_path: Path) -> None:
    prepare(tiny, large, tmp_path)
    with serve("ok", "ok", "ok", "started, then lost", "ok") as provider:
        with pytest.raises(SwitchyardError):
            at(provider, tmp_path).run(large)
        assert "job" not in json.loads((tmp_path / "job.json").read_text())
        assert at(provider, tmp_path).run(large) == MODEL
        assert len(provider.jobs) == 1


def test_hiccups_while_following_are_waited_out(tiny: Services, large: Job, tmp_path: Path) -> None:
    said: list[str] = []
    prepare(tiny, large, tmp_path)
    with serve(*["ok"] * 4, "503", "garbage", "429", "empty", "ok") as provider:
        assert at(provider, tmp_path, said).run(large) == MODEL
    hiccups = [m for m in said if m.endswith("Still following.")]
    assert len(hiccups) == 4
    assert not any(KEY in m for m in said)


def test_what_does_not_pass_ends_the_following(tiny: Services, large: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted, "FAULTS", 3)
    prepare(tiny, large, tmp_path)
    with serve(*["ok"] * 4, "503") as provider:
        with pytest.raises(ModelUnavailableError, match=r"^openai:gpt-4o-mini-2024-07-18 is not available \(503\): No\. \[key\]"):
            at(provider, tmp_path).run(large)
        assert len(provider.requests) == 7
    with serve("401") as provider, pytest.raises(AuthenticationFailedError) as told:
        at(provider, tmp_path).run(large)
    assert KEY not in str(told.value)


def test_a_job_that_failed_says_why_and_may_be_begun_again(tiny: Services, large: Job, tmp_path: Path) -> None:
    prepare(tiny, large, tmp_path)
    with serve(statuses=("running", "failed")) as provider:
        with pytest.raises(SwitchyardError, match=r"^The job ftjob-1 failed: Too few rows\. Mend that, then run the command again\.$"):
            at(provider, tmp_path).run(large)
        assert at(provider, tmp_path).begin(resume=False) is True
    with serve(statuses=("cancelled",)) as provider:
        job = at(provider, tmp_path)
        job.begin(resume=False)
        with pytest.raises(SwitchyardError, match="was cancelled: no reason was given"):
            job.run(large)


def test_an_upload_that_gives_no_id_is_garbage(tiny: Services, large: Job, tmp_path: Path) -> None:
    prepare(tiny, large, tmp_path)
    for behaviour in ("empty", "garbage"):
        with serve(behaviour) as provider, pytest.raises(GarbledAnswerError):
            at(provider, tmp_path).run(large)


def test_without_a_key_nothing_is_sent(tmp_path: Path) -> None:
    with pytest.raises(MissingKeyError, match=r"^OPENAI_API_KEY is not set: put it into \.env\. To see the files without it: --dry-run$"):
        HostedJob(Settings(), tmp_path, print)


def line(*roles: str, content: str = "x") -> str:
    return json.dumps({"messages": [{"role": role, "content": content} for role in roles]}) + "\n"


GOOD = line("system", "user", "assistant")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD * 9, "expected at least 10 examples, the provider's limit; it has 9"),
        (GOOD * 9 + line("user", "system", "assistant"), "line 10: .*the assistant last; got user, system, assistant"),
        (GOOD * 9 + line("system", "user"), "line 10: .*got system, user"),
        (GOOD * 9 + line(), "line 10: .*got no message"),
        (GOOD * 9 + line("user", "assistant", content=" "), "line 10: expected text in every message; one has none"),
        (GOOD * 9 + "{}\n", "line 10: .*the line is something else"),
        (GOOD * 9 + "oops\n", "line 10: .*the line is something else"),
        (line("user", "assistant", content="x" * 200_000), "line 1: expected at most 65,536 tokens, .* about 100,000"),
    ],
)
def test_what_the_provider_would_refuse_is_refused_before(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        check_file(path, 10)
    path.write_text(GOOD * 10)
    assert check_file(path, 10) == 0
