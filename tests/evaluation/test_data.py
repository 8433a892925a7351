import json

import pytest

from core.errors import InputError
from core.types import Passage
from evaluation.data import Labelled, Query, parse_map, read_corpus, read_labelled, read_queries


def written(path, *rows):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def test_labelled_rows_with_groups_and_renamed_fields(tmp_path):
    rows = [
        {"text": "hello", "intent": "greet", "difficulty": "near", "group": 3},
        "",
        {"text": "bye", "intent": "leave", "difficulty": None},
    ]
    path = written(tmp_path / "t.jsonl", *rows)
    assert read_labelled(path, {"label": "intent"}) == [Labelled("hello", "greet", ["near", "3"]), Labelled("bye", "leave")]


def test_a_corpus_is_kept_whole_and_may_lack_titles(tmp_path):
    path = written(tmp_path / "c.jsonl", {"_id": 7, "text": "One. Two."}, {"_id": "b", "title": "B", "text": "Three."})
    assert read_corpus(path, {}) == [Passage("7", "", "One. Two.", "c.jsonl", "7"), Passage("b", "B", "Three.", "c.jsonl", "b")]


def test_lines_of_one_question_are_one_question(tmp_path):
    rows = [{"id": "q", "question": "Why?", "passage_id": p, "answers": [p.upper()]} for p in ("a", "b")]
    path = written(tmp_path / "q.jsonl", *rows)
    found = read_queries(path, {"qid": "id"}, {"a", "b"}, with_answers=True)
    assert found == [Query("q", "Why?", frozenset({"a", "b"}), ["A", "B"])]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"text": "a"', 'line 2: expected {"text","label"}; the line is not valid JSON'),
        ("[1]", 'line 2: expected {"text","label"}; the line is no JSON object.'),
        ('{"text": "a"}', 'line 2: expected {"text","label"}; \'label\' is missing. Rename a field: --map label=THEIRS'),
        ('{"text": " ", "label": "x"}', 'line 2: expected {"text","label"}; \'text\' is no text'),
        ('{"text": ["a"], "label": "x"}', 'line 2: expected {"text","label"}; \'text\' is no text'),
        ('{"text": "a", "label": true}', 'line 2: expected {"text","label"}; \'label\' is no text'),
    ],
)
def test_a_bad_line_is_named(tmp_path, row, message):
    path = written(tmp_path / "t.jsonl", {"text": "good", "label": "x"}, row)
    with pytest.raises(InputError) as error:
        read_labelled(path, {})
    assert str(error.value).startswith(f"{path}, {message}")
    assert "\n" not in str(error.value)


def test_faults_between_files_are_named(tmp_path):
    corpus = written(tmp_path / "c.jsonl", {"_id": "a", "text": "x"}, {"_id": "a", "text": "y"})
    with pytest.raises(InputError, match=r"c\.jsonl, line 2: .*the id 'a' occurs twice"):
        read_corpus(corpus, {})
    queries = written(tmp_path / "q.jsonl", {"qid": "1", "question": "Why?", "passage_id": "z"})
    with pytest.raises(InputError, match=r"q\.jsonl, line 1: .*the corpus has no passage 'z'"):
        read_queries(queries, {}, {"a"})
    with pytest.raises(InputError, match=r"q\.jsonl, line 1: .*'answers' is missing"):
        read_queries(queries, {}, {"z"}, with_answers=True)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_labelled(tmp_path / "none.jsonl", {})
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(InputError, match="the file is empty"):
        read_labelled(tmp_path / "empty.jsonl", {})
    (tmp_path / "latin.jsonl").write_bytes('{"text": "caf\xe9"}'.encode("latin-1"))
    with pytest.raises(InputError, match="expected JSONL in UTF-8"):
        read_labelled(tmp_path / "latin.jsonl", {})


def test_map_options():
    assert parse_map(["label=intent", "text=utterance"]) == {"label": "intent", "text": "utterance"}
    for wrong in ("label", "=intent", "label="):
        with pytest.raises(InputError, match="Expected --map OURS=THEIRS"):
            parse_map([wrong])
