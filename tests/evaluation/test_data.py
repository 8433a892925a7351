import json

import pytest

from core.errors import InputError
from core.types import Passage
from evaluation.data import Judged, Labelled, Pair, Query, parse_map, read_corpus, read_judged, read_labelled, read_pairs, read_queries


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
        ("[" * 100_000, 'line 2: expected {"text","label"}; the line is not valid JSON: nested too deeply.'),
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
    with pytest.raises(InputError, match=r"q\.jsonl, line 1: .*'answers' is missing\. Rename a field: --map answers=THEIRS"):
        read_queries(queries, {}, {"z"}, with_answers=True)
    with pytest.raises(InputError, match=r"'answers' is missing\. Mend the line, or name the field so in the file\."):
        read_queries(queries, None, {"z"}, with_answers=True)
    for answers in ([], [""]):
        written(tmp_path / "q.jsonl", {"qid": "1", "question": "Why?", "passage_id": "z", "answers": answers})
        with pytest.raises(InputError, match=r"q\.jsonl, line 1: .*'answers' is no list of texts"):
            read_queries(queries, {}, {"z"}, with_answers=True)
    written(tmp_path / "q.jsonl", *({"qid": "1", "question": question, "passage_id": "z"} for question in ("Why?", "How?")))
    with pytest.raises(InputError, match=r"q\.jsonl, line 2: .*the qid '1' is that of another question too: 'Why\?'\. Give each its own\."):
        read_queries(queries, {}, {"z"})


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_labelled(tmp_path / "none.jsonl", {})
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(InputError, match="the file is empty"):
        read_labelled(tmp_path / "empty.jsonl", {})
    (tmp_path / "latin.jsonl").write_bytes('{"text": "caf\xe9"}'.encode("latin-1"))
    with pytest.raises(InputError, match="expected JSONL in UTF-8"):
        read_labelled(tmp_path / "latin.jsonl", {})


def test_scores_of_two_models(tmp_path):
    rows = [
        {"prompt": "a", "weak_score": "0.5", "strong_score": 1, "weak_response": "", "group": "g", "subject": 7},
        {"prompt": "b", "weak_score": False, "strong_score": True, "subject": "x"},
    ]
    found = read_pairs(written(tmp_path / "p.jsonl", *rows), {}, "subject")
    assert found == [Pair("a", 0.5, 1.0, "", ["g"], "7"), Pair("b", 0.0, 1.0, None, [], '"x"')]


def test_fields_are_fetched_from_inside_by_path(tmp_path):
    outputs = {"gpt-3.5": {"answer": " No.", "pred": "1", "logprobs": [-1, -0.5]}}
    rows = [{"question": "a?", "outputs": outputs}, {"question": "b?", "outputs": {"gpt-3.5": {"answer": "", "pred": "0", "logprobs": []}}}]
    names = {"prompt": "question", "response": "answer", "correct": "pred", "token_logprobs": "logprobs"}
    mapping = {ours: theirs if ours == "prompt" else f"outputs.gpt-3.5.{theirs}" for ours, theirs in names.items()}
    found = read_judged(written(tmp_path / "j.jsonl", *rows), mapping)
    assert found == [Judged("a?", " No.", True, [-1.0, -0.5]), Judged("b?", "", False, None)]


def test_a_field_whose_name_holds_a_full_stop_comes_before_a_path(tmp_path):
    path = written(tmp_path / "t.jsonl", {"a.b": "whole", "a": {"b": "inside"}, "label": "x"})
    assert [row.text for row in read_labelled(path, {"text": "a.b"})] == ["whole"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weak_score": None}, "'weak_score' is missing. Rename a field: --map weak_score=THEIRS"),
        ({"weak_score": "high"}, "'weak_score' is no number"),
        ({"weak_score": float("nan")}, "'weak_score' is no number"),
        ({"strong_score": [1]}, "'strong_score' is no number"),
        ({"weak_response": 3}, "'weak_response' is no text"),
        ({"prompt": " "}, "'prompt' is no text"),
        ({"subject": None}, "--group names the column 'subject', which this line lacks."),
    ],
)
def test_a_bad_pair_is_named(tmp_path, change, message):
    good = {"prompt": "a", "weak_score": 0, "strong_score": 1, "subject": "x"}
    path = written(tmp_path / "p.jsonl", good, good | change)
    with pytest.raises(InputError) as error:
        read_pairs(path, {}, "subject")
    assert str(error.value).startswith(f'{path}, line 2: expected {{"prompt","weak_score","strong_score"}}; {message}')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"correct": "maybe"}, "'correct' is neither true nor false (nor 1 nor 0)"),
        ({"correct": 0.5}, "'correct' is neither true nor false (nor 1 nor 0)"),
        ({"correct": None}, "'correct' is missing"),
        ({"response": None}, "'response' is missing"),
        ({"token_logprobs": [0.1, "x"]}, "'token_logprobs' is no list of numbers"),
        ({"token_logprobs": -1}, "'token_logprobs' is no list of numbers"),
    ],
)
def test_a_bad_judged_response_is_named(tmp_path, change, message):
    good = {"prompt": "a", "response": "b", "correct": "True"}
    path = written(tmp_path / "j.jsonl", good, good | change)
    with pytest.raises(InputError) as error:
        read_judged(path, {})
    assert f'line 2: expected {{"prompt","response","correct"}}; {message}' in str(error.value)


def test_map_options():
    assert parse_map(["label=intent", "text=utterance"]) == {"label": "intent", "text": "utterance"}
    for wrong in ("label", "=intent", "label="):
        with pytest.raises(InputError, match="Expected --map OURS=THEIRS"):
            parse_map([wrong])


def test_half_a_character_is_no_text(tmp_path):
    half = "\ud83d"
    for read, row, name in (
        (read_labelled, {"text": half, "label": "a"}, "text"),
        (read_labelled, {"text": "a", "label": "a", "group": half}, "group"),
        (read_judged, {"prompt": "a", "response": half, "correct": 1}, "response"),
    ):
        with pytest.raises(InputError, match=rf"h\.jsonl, line 1: .+; '{name}' is no text in UTF-8\."):
            read(written(tmp_path / "h.jsonl", row), {})
    row = {"qid": "q", "question": "Why?", "passage_id": "a", "answers": ["b", half]}
    with pytest.raises(InputError, match="'answers' is no text in UTF-8"):
        read_queries(written(tmp_path / "h.jsonl", row), {}, {"a"}, with_answers=True)


def test_a_mapped_name_takes_the_place_of_ours(tmp_path):
    path = written(tmp_path / "t.jsonl", {"text": "a", "label": "ours", "intent": " theirs "}, {"text": "b", "label": "ours"})
    with pytest.raises(InputError, match=r"t\.jsonl, line 2: .+; 'label' is missing"):
        read_labelled(path, {"label": "intent"})
    with pytest.raises(InputError, match=r"t\.jsonl: no row has the field of --map label=intend; the fields are: text, label, intent\.$"):
        read_labelled(path, {"label": "intend"})
    # What is mapped for another file of the command is no matter here, and a label is read without the white space around it.
    one = written(tmp_path / "o.jsonl", {"text": "a ", "label": " greet "})
    assert read_labelled(one, {"question": "ask"}) == [Labelled("a ", "greet")]
