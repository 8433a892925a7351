"""`train reader`: what is wrong with its options and files is said before anything is mined or trained."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from core.files import file_checksum

TOO_FEW = "Expected 5 or more different questions with the split `dev` in the experts' questions.csv; found 4. Add some."


@pytest.fixture
def enough(own_switchyard, own_experts):
    """The command over the tiny experts with as many held-out questions as the ranking needs."""
    for path in own_experts.experts_dir.glob("*/questions.csv"):
        path.write_text(path.read_text().replace(",test", ",dev"))
    return own_switchyard


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--output", "file/reader"], "file is no folder that you may write to. Choose another: --output DIR"),
        (["--ranking", "--output", "file/reader"], "Cannot write to file/reader"),
        (["--output", "."], "Expected a new folder, or one that an earlier training wrote; . holds something else."),
        (["--rate", "inf"], "Expected --rate to be a number such as 1e-4; got inf."),
        (["--start", "."], "Expected a reader in .; its model.onnx cannot be opened: "),
        (["--ranking", "--epochs", "2", "--resume"], "--ranking trains no network and takes --output only; got --epochs, --resume."),
        (["--text", "file"], 'file, line 1: expected {"_id","title","text"}; \'_id\' is missing. Mend the line, or name the field so'),
        (["--corpus", "c.jsonl", "--qrels", "none.jsonl"], "Expected a JSONL file at none.jsonl"),
        (["--corpus", "c.jsonl", "--qrels", "q.jsonl", "--dev", "none.jsonl"], "Expected a JSONL file at none.jsonl"),
    ],
)
def test_what_cannot_be_trained_is_said_before_the_mining(enough, tmp_path, monkeypatch, arguments, line):
    monkeypatch.setattr("training.reader.run.of_expert", lambda *_: pytest.fail("mined"))
    (tmp_path / "file").write_text('{"text": "Tea is hot."}')
    (tmp_path / "c.jsonl").write_text('{"_id": "a", "text": "Tea is hot."}')
    (tmp_path / "q.jsonl").write_text(json.dumps({"qid": "1", "question": "Is it?", "passage_id": "a", "answers": ["hot"]}))
    result = enough("train", "reader", *arguments)
    assert (result.status, result.out) == (2, "")
    assert line in result.err


@pytest.mark.parametrize("options", [[], ["--ranking"]])
def test_too_few_questions_for_the_ranking_are_found_before_the_training(switchyard, tmp_path, monkeypatch, options):
    monkeypatch.setattr("training.reader.run.of_expert", lambda *_: pytest.fail("mined"))
    result = switchyard("train", "reader", *options, "--output", str(tmp_path / "made"))
    assert (result.status, result.out) == (2, "")
    assert result.err == f"Error: {TOO_FEW}\n"


def test_one_document_alone_does_not_show_when_there_is_no_answer(enough, own_experts, monkeypatch, tmp_path):
    monkeypatch.setattr("training.reader.run.of_expert", lambda *_: pytest.fail("mined"))
    shutil.rmtree(own_experts.experts_dir / "bees")
    corpus = own_experts.experts_dir / "tea" / "corpus"
    first, *others = sorted(corpus.iterdir())
    for path in others:
        first.write_text(f"{first.read_text()}\n\n{path.read_text()}")
        path.unlink()
    result = enough("train", "reader", "--output", str(tmp_path / "made"))
    assert (result.status, result.out) == (2, "")
    assert "Error: Expected two documents or more: " in result.err


def test_key_facts_that_stand_in_no_document_are_found_before_the_training(enough, own_experts, tmp_path):
    for path in own_experts.experts_dir.glob("*/questions.csv"):
        path.write_text(re.sub(r"[^,]+,([^,]+,dev)", r"told nowhere,\1", path.read_text()))
    result = enough("train", "reader", "--output", str(tmp_path / "made"))
    assert (result.status, result.out) == (2, "")
    assert (
        "Error: Expected a `dev` question whose key fact stands in its document; found none. Run: switchyard expert check NAME"
        in result.err
    )


def test_the_reader_that_was_to_be_trained_further_is_kept_where_no_epoch_is_better(enough, own_experts, tmp_path):
    start, made = own_experts.artifacts_dir / "reader", tmp_path / "made"
    result = enough("train", "reader", "--start", str(start), "--rate", "0", "--epochs", "1", "--output", str(made))
    assert result.status == 0, result.err
    first, weights, second, ranking = result.out.splitlines()
    assert first.startswith(f"Held-out questions, nothing better than {start}, which is kept: r@1 ")
    assert (weights, ranking) == (f"Weights: {made}", f"Weights: {made / 'weights.json'}")
    assert second.startswith("A right sentence among the first four: penalty ")
    about = json.loads((made / "training.json").read_text())
    assert [one["epoch"] for one in about["log"]] == [0, 1, 1]
    assert about["recipe"]["start"] == file_checksum(start / "model.onnx")
    assert not (own_experts.home / "training" / "reader").exists(), "checkpoints go when the reader is whole"
