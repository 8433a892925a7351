from __future__ import annotations

import json

import pytest

from graph.services import Services
from tests.training.test_judgements import ROWS


@pytest.fixture
def judged(tmp_path):
    path = tmp_path / "judgements.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def test_judgements_become_labels_that_can_be_edited(switchyard, judged, tmp_path):
    out = tmp_path / "labels"
    first = switchyard("data", "label", "--from-judgements", judged, "--output", str(out))
    assert first.status == 0, first.err
    assert "4 questions, of which 3 need a superior model." in first.out
    assert "Left out 1 judgement with the unknown winner 'both bad'." in first.err
    assert "Not labelled: 1 question without a game" in first.err
    assert f"Train on them: switchyard train difficulty {out / 'labels.jsonl'}" in first.out
    (out / "models.toml").write_text('superior = ["oak"]\ninferior = ["reed"]\n')
    again = switchyard("data", "label", "--from-judgements", judged, "--output", str(out))
    assert (again.status, again.out) == (2, "")
    assert f"Use them with --models {out / 'models.toml'}" in again.err
    edited = switchyard("data", "label", "--from-judgements", judged, "--output", str(out), "--models", str(out / "models.toml"))
    assert "3 questions, of which 2 need a superior model." in edited.out
    assert len((out / "labels.jsonl").read_text().splitlines()) == 3


@pytest.fixture
def scores(tmp_path):
    rows = [{"prompt": f"Who drinks tea {n}?", "weak_score": 1, "strong_score": 1} for n in range(60)]
    rows += [{"prompt": f"Calculate {n} * 17 + 4.", "weak_score": 0, "strong_score": 1} for n in range(40)]
    path = tmp_path / "scores.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_trained_router_is_used_by_the_route(switchyard, scores, tiny_settings):
    before = json.loads(switchyard("route", "Calculate 77 * 17 + 4.", "--json").out)["superior_probability"]
    result = switchyard("train", "difficulty", str(scores), "--kind", "logistic")
    assert result.status == 0, result.err
    table = [[cell.strip(" │┃") for cell in line.split("│")[1:-1]] for line in result.out.splitlines() if line.startswith("│")]
    assert [row[0] for row in table] == ["apgr", "cpt50", "cpt80", "auroc", "ece"]
    assert table[0][1] == "0.500"
    assert 0.75 < float(table[0][3]) <= 0.8
    assert f"logistic, fitted on all 100 rows: {tiny_settings.home / 'difficulty'}" in result.out
    after = json.loads(switchyard("route", "Calculate 77 * 17 + 4.", "--json").out)["superior_probability"]
    assert before < 0.6 < after
    assert f"The superior model is needed with probability {after:.2f}." in switchyard("route", "Calculate 77 * 17 + 4.").out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["none.jsonl"], "Expected a JSONL file at none.jsonl"),
        (["none.jsonl", "--kind", "magic"], "No difficulty router is called 'magic'. Known: length, logistic, xgboost, transformer, llm."),
        (["none.jsonl", "--kind", "llm"], "The kind llm asks a chat model: expected --model SPEC"),
        (["none.jsonl", "--model", "openai:x"], "--model is the chat model of the kind llm; the kind xgboost asks none."),
        (["none.jsonl", "--output", "/proc/foo"], "Cannot write to /proc: /proc is no folder"),
    ],
)
def test_what_cannot_be_trained_is_one_line(switchyard, arguments, line):
    result = switchyard("train", "difficulty", *arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"Error: {line}")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("what", [["difficulty", "none.jsonl"], ["recommender", "none.jsonl"], ["router", "--kind", "logistic"]])
def test_a_folder_of_the_users_is_not_replaced(switchyard, tmp_path, what):
    (tmp_path / "thesis.txt").write_text("x")
    result = switchyard("train", *what, "--output", str(tmp_path))
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("Error: Expected a new folder, or one that an earlier training wrote; ")
    assert (tmp_path / "thesis.txt").read_text() == "x"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["train", "router", "--kind", "logistic", "--model", "openai:x"],
            "--model is the chat model of the kind llm; the kind logistic",
        ),
        (["train", "router", "--kind", "logistic", "--output", "/proc/foo"], "Cannot write to /proc: /proc is no folder"),
        (["train", "recommender", "none.jsonl", "--output", "/proc/foo"], "Cannot write to /proc: /proc is no folder"),
    ],
)
def test_options_that_cannot_be_used_are_refused_at_once(switchyard, arguments, line):
    result = switchyard(*arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"Error: {line}")


def test_fields_of_other_names_are_learnt_from(switchyard, scores, tmp_path):
    scores.write_text(scores.read_text().replace("weak_score", "weak"))
    result = switchyard("train", "difficulty", str(scores), "--kind", "length", "--map", "weak_score=weak")
    assert result.status == 0, result.err


@pytest.mark.parametrize(
    ("command", "calls"),
    [
        ("train difficulty scores.jsonl --kind llm --model openai:gpt-5-nano", 100),
        # Few rows are cross-validated ten times, each time with other examples to show.
        ("eval escalation scores.jsonl --router llm", 1_000),
        ("eval escalation scores.jsonl --train scores.jsonl --router length,llm", 100),
        ("eval routing texts.jsonl --router llm", 20),
        ("train router --kind llm --data texts.jsonl --test texts.jsonl --output x --model openai:gpt-5-nano", 20),
    ],
)
def test_calls_of_a_chat_model_are_agreed_to_first(switchyard, scores, tmp_path, monkeypatch, command, calls):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWITCHYARD_INFERIOR", "openai:gpt-5-nano")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": f"text {n}", "label": f"l{n % 2}"}) + "\n" for n in range(20)))
    result = switchyard(*command.split())
    assert (result.status, result.out) == (2, "")
    asked, refused = result.err.splitlines()[-2:]
    assert asked.startswith(f"openai:gpt-5-nano is asked {calls:,} times; together about $0.")
    assert refused == "Error: Nobody is there to agree to the cost. Pass --yes."


@pytest.mark.parametrize(("readable", "status"), [(70, 0), (0, 2)])
def test_replies_that_cannot_be_read_are_told(switchyard, scores, tiny_settings, monkeypatch, readable, status):
    asked = []

    def ask(services, spec, messages):
        asked.append(spec)
        return '{"ROUTE_TO_SUPERIOR": 0.5, "ROUTE_TO_INFERIOR": 0.5}' if len(asked) <= readable else "no idea"

    monkeypatch.setattr(Services, "ask", ask)
    result = switchyard("train", "difficulty", str(scores), "--kind", "llm", "--model", "openai:gpt-5-nano", "--yes")
    assert (result.status, len(asked)) == (status, 100)
    some, none = "30 of 100 replies stated no probabilities.", "None of the 100 replies of openai:gpt-5-nano stated probabilities."
    assert (some if readable else none) in result.err
    assert (tiny_settings.home / "difficulty").exists() == bool(readable)


def test_an_llm_router_tells_what_it_could_not_read(switchyard, tiny_settings, monkeypatch):
    asked = []

    def ask(services, spec, messages):
        asked.append(messages[-1].text)
        return '{"tea": 0.9, "bees": 0.1}' if len(asked) > 1 else "no idea"

    monkeypatch.setattr(Services, "ask", ask)
    result = switchyard("train", "router", "--kind", "llm", "--model", "openai:gpt-5-nano", "--yes")
    assert result.status == 0, result.err
    about = json.loads((tiny_settings.home / "routers" / "llm" / "about.json").read_text())
    assert f"1 of {about['asked']} replies stated no probabilities." in result.err
    assert len(asked) == len(set(asked))  # though what it measures needs probabilities and familiarity
    monkeypatch.setattr(Services, "ask", lambda services, spec, messages: "no idea")
    again = switchyard("train", "router", "--kind", "llm", "--model", "openai:gpt-5-nano", "--yes")
    assert again.status == 2
    assert "replies of openai:gpt-5-nano stated probabilities" in again.err
    assert json.loads((tiny_settings.home / "routers" / "llm" / "about.json").read_text()) == about


def test_scores_of_another_scale_are_refused_before_anything_is_fitted(switchyard, tmp_path):
    path = tmp_path / "odd.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"p {n}", "weak_score": n % 2, "strong_score": 100}) + "\n" for n in range(20)))
    result = switchyard("eval", "escalation", str(path))
    assert (result.status, result.out) == (2, "")
    assert result.err == "Error: Expected all scores in [0, 1], or all from 1 to 10; got 0 to 100.\n"
