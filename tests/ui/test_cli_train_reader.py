"""`train reader`: what is wrong with its options and files is said before anything is mined or trained."""

from __future__ import annotations

import json

import pytest


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
def test_what_cannot_be_trained_is_said_before_the_mining(switchyard, tmp_path, monkeypatch, arguments, line):
    monkeypatch.setattr("training.reader.run.of_expert", lambda *_: pytest.fail("mined"))
    (tmp_path / "file").write_text('{"text": "Tea is hot."}')
    (tmp_path / "c.jsonl").write_text('{"_id": "a", "text": "Tea is hot."}')
    (tmp_path / "q.jsonl").write_text(json.dumps({"qid": "1", "question": "Is it?", "passage_id": "a", "answers": ["hot"]}))
    result = switchyard("train", "reader", *arguments)
    assert (result.status, result.out) == (2, "")
    assert line in result.err
