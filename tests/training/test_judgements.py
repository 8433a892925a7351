from __future__ import annotations

import csv
import json
import tomllib

import pytest

from core.errors import InputError
from graph.difficulty import ROUTE_TO_INFERIOR, ROUTE_TO_SUPERIOR
from training.judgement_files import READERS, WRITTEN, check_unedited, messages, read_judgements, write_labels
from training.judgements import Models, WinRate, questions, read_models, split_models, win_rates

FIRST, SECOND = "Plan a tea party.", "Now for {} guests."


def row(question, a, b, winner, turn=1):
    said = [{"role": "user", "content": FIRST}, {"role": "assistant", "content": "So: ..."}]
    said += [{"role": "user", "content": SECOND.format(question)}, {"role": "assistant", "content": "Then ..."}]
    return {
        "question_id": question, "model_a": a, "model_b": b, "winner": winner, "judge": "me", "conversation_a": said,
        "conversation_b": said, "turn": turn,
    }  # fmt: skip


ROWS = [
    row(1, "oak", "reed", "model_a"),
    row(1, "reed", "oak", "model_b"),
    row(1, "oak", "reed", "tie"),
    row(1, "oak", "reed", "model_a", turn=2),
    row(2, "oak", "reed", "model_b"),
    row(2, "reed", "oak", "tie (inconsistent)"),
    row(3, "oak", "elm", "model_a"),
    row(3, "elm", "reed", "model_a"),
    row(4, "oak", "elm", "tie"),
    row(5, "oak", "reed", "both bad"),
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "judgements.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in ROWS))
    return path


def test_wins_ties_and_unknown_winners_are_counted(file):
    found, unknown = read_judgements(file)
    assert unknown == {"both bad": 1}
    assert win_rates(found) == [WinRate("oak", 8, 4, 3), WinRate("elm", 3, 1, 1), WinRate("reed", 7, 1, 2)]
    assert WinRate("oak", 8, 4, 3).rate == 5.5 / 8
    assert WinRate("oak", 100, 40, 20).interval == pytest.approx((0.404, 0.596), abs=0.001)
    assert WinRate("oak", 3, 3, 0).interval[1] == 1.0


def test_questions_are_ranked_by_the_superior_models_share(file):
    found, _ = read_judgements(file)
    models = split_models(win_rates(found))
    assert models == Models(["oak", "elm"], ["reed"])
    ranked = questions(found, models)
    assert [(q.id, q.turn, q.games, q.score) for q in ranked] == [
        ("1", 2, 1, 1.0),
        ("3", 1, 1, 1.0),
        ("1", 1, 3, 2.5 / 3),
        ("2", 1, 2, 0.25),
    ]
    assert [q.label for q in ranked] == [ROUTE_TO_SUPERIOR] * 3 + [ROUTE_TO_INFERIOR]
    assert ranked[0].prompt == f"{FIRST}\n\n{SECOND.format(1)}"
    assert ranked[2].prompt == FIRST


def test_the_edited_lists_decide(file, tmp_path):
    found, _ = read_judgements(file)
    edited = tmp_path / "models.toml"
    edited.write_text('superior = ["oak"]\ninferior = ["elm"]\n')
    ranked = questions(found, read_models(edited, ["oak", "elm", "reed"]))
    assert [(q.id, q.score) for q in ranked] == [("3", 1.0), ("4", 0.5)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("superior = [", "expected readable TOML"),
        ('superior = ["oak"]', "expected two lists of names"),
        ('superior = ["oak"]\ninferior = []', "neither of them empty"),
        ('superior = ["oak"]\ninferior = ["oak"]', "'oak' stands in both lists"),
        ('superior = ["oak"]\ninferior = ["fir"]', "nobody judged a model 'fir'. Known: oak, reed."),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, text, line):
    path = tmp_path / "models.toml"
    path.write_text(text)
    with pytest.raises(InputError) as info:
        read_models(path, ["reed", "oak"])
    assert line in str(info.value)


def test_every_form_of_file_reads_alike(file, tmp_path):
    expected = read_judgements(file)
    (tmp_path / "j.json").write_text(json.dumps(ROWS))
    for name, write in (("json.csv", json.dumps), ("python.csv", repr)):
        with (tmp_path / name).open("w", newline="") as out:
            writer = csv.DictWriter(out, list(ROWS[0]))
            writer.writeheader()
            writer.writerows(r | {c: write(r[c]) for c in ("conversation_a", "conversation_b")} for r in ROWS)
    for name in ("j.json", "json.csv", "python.csv"):
        assert read_judgements(tmp_path / name) == expected


def test_conversations_as_pandas_writes_them_are_told(tmp_path):
    with (tmp_path / "pandas.csv").open("w", newline="") as out:
        writer = csv.DictWriter(out, list(ROWS[0]))
        writer.writeheader()
        writer.writerow(ROWS[0] | {"conversation_a": "[{'content': 'a', 'role': 'user'}\n {'content': 'b', 'role': 'assistant'}]"})
    with pytest.raises(InputError, match=r"a list of role and content\. pandas .+: use the Parquet or JSONL file\.$"):
        read_judgements(tmp_path / "pandas.csv")


def test_parquet_reads_alike(file, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "j.parquet")
    assert read_judgements(tmp_path / "j.parquet") == read_judgements(file)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="expected a Parquet file"):
        read_judgements(tmp_path / "bad.parquet")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"winner": None},
            "row 1: expected the columns question_id, model_a, model_b, winner, conversation_a and turn; winner is missing.",
        ),
        ({"turn": "x"}, "row 1: expected a turn (1, 2 ...) and a conversation_a, a list of role and content."),
        ({"turn": 3}, "row 1: the conversation has 2 user messages; expected one for turn 3."),
        ({"conversation_a": ["hello"]}, "row 1: expected a turn (1, 2 ...) and a conversation_a"),
        ({"conversation_a": "-" * 100_000 + "1"}, "row 1: expected a turn (1, 2 ...) and a conversation_a"),
        ({"turn": float("inf")}, "row 1: expected a turn (1, 2 ...) and a conversation_a"),
        ({"conversation_a": [{"role": "user", "content": None}]}, "row 1: expected a turn (1, 2 ...) and a conversation_a"),
        ({"conversation_a": [{"role": "user", "content": "\ud83d"}]}, "row 1: expected text in UTF-8, without lone surrogates."),
        ({"question_id": "\ud83d"}, "row 1: expected text in UTF-8, without lone surrogates."),
        ({"model_b": "oak"}, "row 1: expected two models; 'oak' is compared with itself."),
        ({"winner": "nobody"}, "and a winner among model_a, model_b, tie, tie (inconsistent); got none."),
    ],
)
def test_rows_that_cannot_be_used(tmp_path, change, line):
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(ROWS[0] | change))
    with pytest.raises(InputError) as info:
        read_judgements(path)
    assert line in str(info.value)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("j.txt", b"", f"that ends in {', '.join(READERS)}."),
        ("j.jsonl", b"{", "row 1: expected a JSON object"),
        ("j.jsonl", b"[" * 100_000, "row 1: expected a JSON object; nested too deeply."),
        ("j.json", b"[" * 100_000, "expected one JSON list of rows; nested too deeply."),
        ("j.json", b"{}", "expected one JSON list of objects"),
        ("j.csv", b"a,b\n1,2\n", "row 1: expected the columns"),
        ("j.jsonl", b"\xff", "expected text in UTF-8"),
        ("none.jsonl", None, "it cannot be read"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, content, line):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as info:
        read_judgements(tmp_path / name)
    assert line in str(info.value)


def test_models_that_are_all_alike(tmp_path):
    with pytest.raises(InputError, match="they all win half of their games"):
        split_models([WinRate("oak", 2, 1, 0), WinRate("reed", 2, 1, 0)])
    with pytest.raises(InputError, match="there is nothing to label"):
        questions([], Models(["oak"], ["reed"]))


def test_what_is_written(file, tmp_path):
    found, _ = read_judgements(file)
    rates, out = win_rates(found), tmp_path / "out"
    models = split_models(rates)
    ranked = questions(found, models)
    names = [path.name for path in write_labels(out, rates, models, ranked)]
    assert sorted(names) == sorted(path.name for path in out.iterdir()) == sorted(WRITTEN)
    assert (out / "win_rates.csv").read_text().splitlines()[:2] == [
        "model,games,wins,ties,win_rate,low,high", "oak,8,4,3,0.6875,0.3558,0.8976"
    ]  # fmt: skip
    assert tomllib.loads((out / "models.toml").read_text()) == {"superior": ["oak", "elm"], "inferior": ["reed"]}
    labels = [json.loads(line) for line in (out / "labels.jsonl").read_text().splitlines()]
    assert labels[-1] == {"prompt": FIRST, "label": ROUTE_TO_INFERIOR, "score": 0.25, "question_id": "2"}
    with (out / "difficulty.csv").open(newline="") as table:
        assert [(r["rank"], r["question_id"], r["score"]) for r in csv.DictReader(table)][2] == ("3", "1", "0.8333")
    assert (out / "difficulty.png").read_bytes().startswith(b"\x89PNG")
    check_unedited(out, models)
    with pytest.raises(InputError, match="holds other lists of models"):
        check_unedited(out, Models(["oak"], ["reed"]))
    check_unedited(out, Models(["oak"], ["reed"]), given=True)


def test_a_folder_that_cannot_hold_them_all_keeps_what_it_held(file, tmp_path):
    found, _ = read_judgements(file)
    rates = win_rates(found)
    models = split_models(rates)
    (tmp_path / ".difficulty.png.new").mkdir()
    with pytest.raises(InputError, match=r"^Expected a folder to write to; .+ cannot be written: "):
        write_labels(tmp_path, rates, models, questions(found, models))
    assert [name for name in WRITTEN if (tmp_path / name).exists()] == []


def test_labels_of_somebody_else_are_not_replaced(tmp_path):
    (tmp_path / "labels.jsonl").write_text("mine")
    for given in (True, False):
        with pytest.raises(InputError, match=r"holds a labels\.jsonl that was not written here\. Choose another --output\.$"):
            check_unedited(tmp_path, Models(["oak"], ["reed"]), given=given)


@pytest.mark.parametrize("cell", ['[ {"content": null}, {"role": "user", "content": "x"}]', "[{'role': 'user', 'content': 'x'}]"])
def test_a_cell_is_json_or_else_a_list_as_python_writes_it(cell):
    assert messages(cell)[-1] == {"role": "user", "content": "x"}
