"""`train recommender`, `eval recommendation`, `recommend` and `ask --model auto`, end to end over the tiny experts."""

import json

import pytest

from tests.ui.conftest import forget, point_at
from ui.cli import main

QUESTION = "How long does green tea steep?"
ROWS = [
    {
        "prompt": f"How long does green tea steep in cup {n}?" if n % 2 else f"Prove theorem {n} about primes.",
        "scores": {"local:reader": n % 2, "local:deep-reader": 0.6, "openai:gpt-5": 1 - n % 2},
        "costs": {"openai:gpt-5": 0.01},
    }
    for n in range(100)
]


@pytest.fixture
def home(monkeypatch, tiny_settings):
    point_at(monkeypatch, tiny_settings)
    monkeypatch.setenv("SWITCHYARD_HOME", str(tiny_settings.home))
    tiny_settings.home.mkdir(parents=True)
    data = tiny_settings.home / "data.jsonl"
    data.write_text("{half\n" + "\n".join(map(json.dumps, ROWS)) + "\n")
    return tiny_settings.home


def call(capsys, *words):
    forget()
    status = main(list(words))
    return status, *capsys.readouterr()


def test_train_then_recommend_then_ask(home, capsys):
    status, out, err = call(capsys, "recommend", QUESTION)
    assert status == 2
    assert "Train one on measured answers: switchyard train recommender DATA.jsonl" in err

    status, out, err = call(capsys, "train", "recommender", str(home / "data.jsonl"), "--kind", "neighbours,kernel")
    assert status == 0, err
    assert "Left out:" in err
    assert "line 1: expected" in err
    assert "fitted on all 100 rows" in out
    assert "best-single" in out
    about = json.loads((home / "recommender" / "about.json").read_text())
    assert about["trained_on"] == {"files": ["data.jsonl"], "rows": 100}
    assert about["metrics"]["quality"] == 1.0
    assert about["worth"] == 0  # no cheaper choice is as good

    status, out, err = call(capsys, "recommend", QUESTION)
    assert status == 0, err
    assert "Ask local:reader: the best expected quality." in out
    assert "Not available: openai:gpt-5. OPENAI_API_KEY is not set" in out
    assert "Nearest measured prompts" in out

    status, out, err = call(capsys, "recommend", QUESTION, "--quality-floor", "0.5", "--json")
    found = json.loads(out)
    assert (found["prompt"], found["model"], found["reason"]) == (QUESTION, "local:reader", "the cheapest with a quality of at least 0.5")
    assert [each["model"] for each in found["models"]] == ["local:reader", "local:deep-reader"]
    assert found["nearest"][0]["scores"]["local:reader"] == 1.0

    status, out, err = call(capsys, "recommend", QUESTION, "--budget", "1", "--quality-floor", "0.5")
    assert (status, err.count("\n")) == (2, 1)

    status, out, err = call(capsys, "ask", QUESTION, "--model", "auto", "--json")
    assert status == 0, err
    assert json.loads(out)["models"][0]["model"] == "local:reader"
    status, out, err = call(capsys, "ask", "Prove theorem 9 about primes.", "--expert", "tea", "--json")
    assert json.loads(out)["models"][0]["model"] == "local:deep-reader"


def test_a_kind_that_asks_needs_somebody_to_ask(home, capsys):
    status, _, err = call(capsys, "train", "recommender", str(home / "data.jsonl"), "--kind", "llm")
    assert status == 2
    assert "expected --model SPEC" in err
    assert not (home / "recommender").exists()


def test_one_that_does_not_pay_does_not_take_the_place_of_one_that_does(home, capsys):
    train = ("train", "recommender", "--kind", "neighbours")
    (home / "even.jsonl").write_text("".join(json.dumps(row | {"scores": {"a": 1, "b": 1}}) + "\n" for row in ROWS[:8]))
    status, out, err = call(capsys, *train, str(home / "even.jsonl"))  # nothing is in service yet
    assert (status, "fitted on all 8 rows" in out) == (0, True)
    assert "neighbours is not clearly better than always asking the best single model, nor as good for less." in err

    assert call(capsys, *train, str(home / "data.jsonl"))[0] == 0
    served = (home / "recommender" / "about.json").read_text()
    status, out, err = call(capsys, *train, str(home / "even.jsonl"))
    assert (status, (home / "recommender" / "about.json").read_text()) == (0, served)
    assert out.endswith(f"{home / 'recommender'} stays in service. Measure more prompts, or write the new one with: --output DIR\n")
    assert call(capsys, *train, str(home / "even.jsonl"), "--output", str(home / "mine"))[0] == 0
    assert (home / "mine" / "about.json").exists()


@pytest.mark.parametrize("command", [("train", "recommender", "--model", "openai:gpt-5-nano"), ("eval", "recommendation")])
def test_what_costs_money_is_agreed_to_first(home, capsys, monkeypatch, command):
    monkeypatch.setenv("SWITCHYARD_INFERIOR", "openai:gpt-5-nano")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    status, out, err = call(capsys, *command, str(home / "data.jsonl"), "--kind", "llm")
    assert (status, out) == (2, "")
    asked, refused = err.splitlines()[-2:]
    assert asked.startswith("openai:gpt-5-nano is asked 100 times; together about $0.0")
    assert refused == "Error: Nobody is there to agree to the cost. Pass --yes."


def test_eval_recommendation(home, capsys):
    report = home / "reports" / "mine"
    status, out, err = call(
        capsys, "eval", "recommendation", str(home / "data.jsonl"), "--kind", "kernel", "--json", "--report", str(report)
    )
    assert status == 0, err
    found = json.loads(out)
    assert (found["suite"], found["n"]) == ("recommendation", 100)
    assert [r["name"] for r in found["results"]][:2] == ["kernel", "oracle"]
    assert found["results"][0]["metrics"]["quality"] == 1.0
    assert json.loads((report / "report.json").read_text()) == found


def test_one_model_alone_is_nothing_to_choose_from(home, capsys):
    (home / "one.jsonl").write_text('{"prompt": "a", "scores": {"x": 1}}\n{"prompt": "b", "scores": {"x": 0}}\n')
    status, _, err = call(capsys, "train", "recommender", str(home / "one.jsonl"))
    assert status == 2
    assert "at least two models; got those of x alone" in err


def test_a_model_of_too_few_scores_is_named(home, capsys):
    rows = [row | {"scores": row["scores"] | ({"rare": 1} if n == 3 else {})} for n, row in enumerate(ROWS[:20])]
    (home / "rare.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, _, err = call(capsys, "train", "recommender", str(home / "rare.jsonl"), "--kind", "neighbours")
    assert status == 2
    assert "too few prompts have a score of rare: without those of one fold of the cross-validation none is left." in err
