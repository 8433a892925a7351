from __future__ import annotations

import json

import pytest

from core.errors import InputError
from training.prepare.findings import Finding, difference
from training.prepare.rows import Row, read_rows

HEAD = ["question", "answer", "key", "document", "split"]


def test_a_clean_row_stays_as_it_is(file):
    path = file("q.csv", HEAD, ["Why “tea”?", "So.\n\nAnd so.", "so|thus", "plant", "dev"])
    expected = Row(f"{path}:2", "Why “tea”?", "So.\n\nAnd so.", "so|thus", "plant", "dev", ("So.\n\nAnd so.",))
    assert read_rows(path, {}, 10) == ([expected], [], "")


@pytest.mark.parametrize(
    ("written", "meant", "kinds"),
    [
        ("CafÃ© crÃ¨me?", "Café crème?", ["characters"]),
        ("Itâ€™s tea?", "It’s tea?", ["characters"]),
        ("ﬁne\u200b tea\x07?", "fine tea?", ["characters"]),
        ("Tea &amp; milk &lt; &eacute;?", "Tea & milk < é?", ["entities"]),
        ("Tea &amp;amp; milk?", "Tea & milk?", ["entities"]),
        ("Is a=1&copy=2 tea?", "Is a=1&copy=2 tea?", []),
        ("  Why\u00a0 is\n it? ", "Why is it?", ["white space"]),
        (" CafÃ© &amp; tea?", "Café & tea?", ["entities", "characters", "white space"]),
    ],
)
def test_damaged_text_is_repaired_and_reported(file, written, meant, kinds):
    path = file("q.csv", HEAD[:2], [written, "So."])
    [row], findings, _ = read_rows(path, {}, 10)
    assert row.question == meant
    assert [(f.kind, f.at, f.question) for f in findings] == [(kind, f"{path}:2", meant) for kind in kinds]


def test_a_finding_shows_where_the_texts_differ(file):
    path = file("q.csv", HEAD[:2], ["Why?", "A long answer about tea that ends in a cafÃ©."])
    _, [finding], _ = read_rows(path, {}, 10)
    assert finding.detail == 'answer: "…a that ends in a cafÃ©." became "…a that ends in a café."'
    assert difference("same", "same!") == '"same" became "same!"'


def test_empty_and_over_long_rows_are_left_out(file):
    path = file("q.csv", HEAD[:2], ["Why?", " "], ["", "So."], ["Why?", "one two three four"], ["How?", "one two three"])
    rows, findings, _ = read_rows(path, {}, 3)
    assert [row.question for row in rows] == ["How?"]
    assert findings == [
        Finding("empty", f"{path}:2", "Why?", "no answer"),
        Finding("empty", f"{path}:3", "", "no question"),
        Finding("over-long", f"{path}:4", "Why?", "answer of 4 words; at most 3"),
    ]


def test_columns_are_renamed_fetched_from_inside_and_found_in_any_case(tmp_path, file):
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps({"q": "When?", "answers": {"text": ["1848", "in 1848", "1848"]}, "fold": "validation", "doc": 7}))
    [row], findings, _ = read_rows(path, {"question": "q", "answer": "answers.text", "split": "fold", "document": "doc"}, 9)
    assert row == Row(f"{path}:1", "When?", "1848", "", "7", "dev", ("1848", "in 1848"))
    assert findings == []
    [row], _, _ = read_rows(file("q.csv", [" Question", "ANSWER"], ["Why?", "So."]), {}, 9)
    assert (row.question, row.answer) == ("Why?", "So.")


def test_missing_values_are_no_text(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "Why?", "answer": NaN}\n{"question": "How?", "answer": null}\n{"question": "Who?", "answer": {"a": 1}}\n')
    rows, findings, _ = read_rows(path, {}, 9)
    assert rows == []
    assert [(f.kind, f.at, f.detail) for f in findings] == [
        ("empty", f"{path}:1", "no answer"),
        ("empty", f"{path}:2", "no answer"),
        ("broken", f"{path}:3", "expected text, got an object: name the field inside it, as in --map answer=answer.text"),
    ]


def test_bytes_and_truths_are_text(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"question": ["Où?".encode(), b"\xff?"], "answer": [True, False]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "q.parquet")
    [row], [finding], _ = read_rows(tmp_path / "q.parquet", {}, 9)
    assert (row.question, row.answer) == ("Où?", "true")
    assert (finding.kind, finding.at) == ("broken", f"{tmp_path / 'q.parquet'}:2")
    assert finding.detail == "expected text in UTF-8, got other bytes: write the column as text"


@pytest.mark.parametrize(
    ("lines", "mapping", "line"),
    [
        ([["prompt", "reply"], ["Why?", "So."]], {}, "found prompt, reply. Say which is which: --map question=THEIRS --map answer=THEIRS"),
        ([["prompt", "reply"], ["Why?", "So."]], {"question": "prompt"}, "found prompt, reply. Say which is which: --map answer=THEIRS"),
        (
            [HEAD[:2], ["Why?", "So."]],
            {"answer": "Replly"},
            "q.csv: no row has the field of --map answer=Replly; the fields are: question, answer.",
        ),
        ([HEAD[:2], ["Why?", "So."]], {"label": "x"}, "one of question, answer, key, document, split as OURS; got 'label'."),
        (
            [HEAD, ["Why?", "So.", "", "", "exam"]],
            {},
            "q.csv:2: expected the split train, training, dev, val, valid, validation, test or none",
        ),
    ],
)
def test_columns_that_cannot_be_used(file, lines, mapping, line):
    with pytest.raises(InputError) as info:
        read_rows(file("q.csv", *lines), mapping, 9)
    assert line in str(info.value)
