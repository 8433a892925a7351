"""`switchyard train expert` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.expert import small
from tests.training.expert.provider import MODEL, serve
from training.expert import compare, hosted

QUICK = ("--epochs", "1", "--batch", "1", "--accumulate", "1", "--without", "0")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(compare, "LONGEST", 8)
    return small.make(tmp_path / "base")


def test_a_model_is_tuned_told_about_and_used(switchyard, tiny_settings, base):
    done = switchyard("train", "expert", "tea", "--base", base, *QUICK, "--use", "--json")
    assert done.status == 0, done.err
    about = json.loads(done.out)
    folder = tiny_settings.home / "models" / "tea"
    assert about == json.loads((folder / "about.json").read_text())
    assert about["recipe"]["full"] is False
    assert f"tea is answered by local:{folder} from now on" in done.err
    shown = switchyard("train", "expert", "tea", "--base", base, *QUICK)
    assert "Tuned minus base, with passages:" in shown.out
    assert f'Try it: switchyard ask --model "local:{folder}" --expert tea' in shown.err
    assert f'[expert.tea]\ninferior = "local:{folder}"' in shown.err
    answered = switchyard("ask", "--json", "--expert", "tea", "--no-escalate", "How long does green tea steep?")
    assert json.loads(answered.out)["models"][0]["model"] == f"local:{folder}"


def test_bad_usage_is_one_line(switchyard, tmp_path, base):
    for arguments, told in (
        (("--base", base, "--hosted", "acme"), "Expected --hosted openai, the only provider so far; got 'acme'."),
        (("--base", base, "--dry-run"), "expected --hosted openai beside it."),
        (("--base", base, "--search", "0"), "Expected --search of at least 1; got 0."),
        (("--base", str(tmp_path)), "has no config.json."),
        (("--base", base, "--questions", "none.csv"), "there is no file none.csv."),
    ):
        done = switchyard("train", "expert", "tea", *arguments)
        assert done.status == 2
        assert done.out == ""
        assert done.err.splitlines()[-1].endswith(told)
    assert switchyard("train", "expert", "coffee", "--base", base).err == "Error: No expert is called 'coffee'. Known: bees, tea.\n"


def questions(path: Path) -> str:
    rows = [f"How long does it steep {n}?,Green tea steeps for two minutes.,two minutes,brewing,train" for n in range(10)]
    rows += [f"Where does it grow {s}?,Darjeeling grows on slopes in the north of India.,India,plant,{s}" for s in ("dev", "test")]
    path.write_text("\n".join(["question,answer,key,document,split", *rows]) + "\n")
    return str(path)


def test_a_hosted_model_is_shown_tuned_and_used(switchyard, tiny_settings, tmp_path, monkeypatch):
    given = ("train", "expert", "tea", "--base", "gpt-4o-mini", "--hosted", "openai", "--questions", questions(tmp_path / "q.csv"))
    shown = switchyard(*given, "--without", "0", "--dry-run", "--json")
    assert shown.status == 0, shown.err
    found = json.loads(shown.out)
    assert (found["examples"], found["billed_tokens"]) == (10, 3 * found["tokens"])
    assert "Nothing was sent." in shown.err
    assert switchyard(*given).err.splitlines()[-1].startswith("Error: OPENAI_API_KEY is not set")
    monkeypatch.setattr(hosted, "POLL_S", 0.0)
    with serve() as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
        done = switchyard(*given, "--use")
    assert done.status == 0, done.err
    assert f'inferior = "openai:{MODEL}"' in (tiny_settings.home / "switchyard.toml").read_text()
