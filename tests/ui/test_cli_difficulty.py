from __future__ import annotations

import json

import pytest

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
