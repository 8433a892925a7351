from __future__ import annotations

import csv
import json

import pytest

HEAD = "question,answer,key,document,split\n"
RAW = """question,answer
How hot should the water be for green tea?,About 80 degrees.
how hot should the water be for green tea,About 80 degrees.
Which plant does  tea &amp; its kin come from?,From Camellia sinensis.
Who won the war of the worlds in Woking?,Microbes.
Why?,
"""


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.csv"
    path.write_text(RAW)
    return str(path)


def rows(folder):
    with (folder / "questions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_own_file_is_prepared_over_own_documents(switchyard, raw, tiny_settings, tmp_path):
    docs = tiny_settings.experts_dir / "tea" / "corpus"
    result = switchyard("data", "prepare", "raw.csv", "--corpus", str(docs), "--output", str(tmp_path / "out"), "--test", "0", "--dev", "0")
    assert result.status == 0, result.err
    assert [tuple(row.values()) for row in rows(tmp_path / "out")] == [
        ("How hot should the water be for green tea?", "About 80 degrees.", "80 degrees", "brewing", "train"),
        ("Which plant does tea & its kin come from?", "From Camellia sinensis.", "camellia sinensis", "plant", "train"),
        ("Who won the war of the worlds in Woking?", "Microbes.", "", "", "train"),
    ]
    lines = result.out.splitlines()
    assert lines[0] == "raw: 5 rows read, 3 written: 3 train, 0 dev, 0 test"
    assert [line.split()[:2] for line in lines[2:9]] == [
        ["empty", "1"], ["duplicate", "1"], ["entities", "1"], ["white", "space"], ["document", "2"], ["key", "2"], ["not", "located"],
    ]  # fmt: skip
    assert "  raw.csv:5 Who won the war of the worlds in Woking?: no document was found that holds the answer" in lines
    assert lines[-1] == f"Written to {tmp_path / 'out'}: questions.csv, places.jsonl, report.md, report.json"
    assert (tmp_path / "raw.csv").read_text() == RAW


def test_an_experts_questions_find_their_documents(own_switchyard, own_experts):
    path = own_experts.experts_dir / "tea" / "questions.csv"
    with path.open("a") as file:
        file.write("How long should green tea steep?,Two minutes.,two minutes,brewing,train\nWho?,Nobody.,nobody,lost,dev\n")
    before = path.read_bytes()
    result = own_switchyard("data", "prepare", str(path), "--json")
    assert result.status == 0, result.err
    report = json.loads(result.out)
    folder = own_experts.home / "prepared" / "tea"
    assert (report["name"], report["output"], report["read"], report["written"], report["located"]) == ("tea", str(folder), 11, 10, 9)
    assert [(f["at"], f["other"]) for f in report["findings"]["leak"]["rows"]] == [(f"{path}:11", f"{path}:3")]
    assert [f["detail"] for f in report["findings"]["not located"]["rows"]] == ["there is no document 'lost' to hold the key 'nobody'"]
    assert {k: v for k, v in json.loads((folder / "report.json").read_text()).items() if k != "name"} == {
        k: v for k, v in report.items() if k not in ("name", "output")
    }
    assert path.read_bytes() == before


def test_several_experts_are_prepared_apart(switchyard, tiny_settings, raw, tmp_path):
    files = [str(tiny_settings.experts_dir / name / "questions.csv") for name in ("bees", "tea")]
    result = switchyard("data", "prepare", *files, "--output", str(tmp_path / "out"), "--json")
    assert result.status == 0, result.err
    assert [(r["name"], r["written"], r["notes"]) for r in json.loads(result.out)] == [("bees", 9, []), ("tea", 9, [])]
    assert [len(rows(tmp_path / "out" / name)) for name in ("bees", "tea")] == [9, 9]
    mixed = switchyard("data", "prepare", *files, raw)
    assert (mixed.status, mixed.out) == (2, "")
    assert f"Expected one expert's questions beside {raw}; got 2 experts'." in mixed.err


def test_new_questions_are_checked_against_an_experts_own(switchyard, tiny_settings, raw, tmp_path):
    own = str(tiny_settings.experts_dir / "tea" / "questions.csv")
    result = switchyard("data", "prepare", own, raw, "--output", str(tmp_path / "out"))
    assert result.status == 0, result.err
    assert "tea: 14 rows read, 12 written" in result.out
    new = rows(tmp_path / "out")[9:]
    # They join what the expert asks in almost the same words.
    assert [(row["question"][:5], row["split"]) for row in new if row["document"]] == [("How h", "train"), ("Which", "dev")]


def test_without_documents_nothing_is_located(switchyard, raw, tiny_settings, tmp_path):
    result = switchyard("data", "prepare", raw)
    assert result.status == 0
    assert "No answer was located, since no documents were named: --corpus PATH." in result.err
    assert "Rows that had no split: 3. See --dev, --test and --seed." in result.err
    assert [row["document"] for row in rows(tiny_settings.home / "prepared" / "raw")] == ["", "", ""]
    (tmp_path / "keys.csv").write_text(f"{HEAD}Is tea hot?,Yes.,cold,,\n")
    found = json.loads(switchyard("data", "prepare", "keys.csv", "--json").out)["findings"]
    assert [one["detail"] for one in found["key not in answer"]["rows"]] == ['cold, and the answer is "Yes."']


def test_markup_and_control_characters_of_data_are_text(switchyard, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text(f"{HEAD}[red]Is it?[/red] \u202eno,[/],,,train\n[red]is it[/red] \u202eno,no,,,train\n")
    result = switchyard("data", "prepare", str(path))
    assert result.status == 0, result.err
    assert "[red]is it[/red]" in result.out
    assert "\u202e" not in result.out


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_half_a_surrogate_pair_is_repaired_and_reported(switchyard, tmp_path, form):
    path = tmp_path / "odd.jsonl"
    path.write_text(json.dumps({"question": "surrogate \ud83d?", "answer": "Half \udc00 of one."}))
    result = switchyard("data", "prepare", str(path), "--output", str(tmp_path / "out"), *form)
    assert result.status == 0, result.err
    assert [(row["question"], row["answer"]) for row in rows(tmp_path / "out")] == [("surrogate \ufffd?", "Half \ufffd of one.")]
    [found] = json.loads((tmp_path / "out" / "report.json").read_text())["findings"]["characters"]["rows"]
    assert found["detail"] == r'question: "surrogate \ud83d?" became "surrogate ' + '\ufffd?"'


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["none.csv"], 2, "Expected a file of questions at none.csv; it cannot be read: No such file or directory."),
        (["odd.csv"], 2, "odd.csv: expected the columns question and answer (and key, document, split where you have them); found prompt"),
        (["raw.csv", "raw.csv"], 2, "Expected each file once; one is named twice."),
        (["raw.csv", "--dev", "0.5", "--test", "0.5"], 2, "Expected --dev and --test to leave something to train on"),
        (
            ["raw.csv", "--max-words", "1"],
            2,
            "Expected at least one question with its answer; all 5 rows were left out: question of 9 words",
        ),
        (["raw.csv", "--corpus", "nowhere"], 2, "Expected documents at nowhere, a folder or a file of passages; there is nothing."),
        (["raw.csv", "--corpus", "."], 2, "odd.jsonl, line 1: expected JSON"),
        (["raw.csv", "--output", "raw.csv"], 2, "Cannot write to raw.csv"),
        (["raw.csv", "--output", "mine"], 2, "mine/questions.csv was edited, or not made here: it is not overwritten."),
        (["raw.csv", "--output", ""], 2, "Expected the name of a folder; got none. Say --output DIR, or leave it out."),
        (["raw.csv", "--map", "question"], 2, "Expected --map OURS=THEIRS"),
        (["raw.csv", "--map", "answer=a", "--map", "answer=b"], 2, "Expected --map answer=THEIRS once; got 'a' and 'b'."),
    ],
)
def test_what_cannot_be_prepared(switchyard, raw, tmp_path, arguments, status, line):
    (tmp_path / "odd.csv").write_text("prompt,reply\nWhy?,So.\n")
    (tmp_path / "odd.jsonl").write_text("{\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "questions.csv").write_text("mine")
    result = switchyard("data", "prepare", *arguments)
    assert (result.status, result.out) == (status, "")
    assert line in result.err
    assert "Traceback" not in result.err
    assert (tmp_path / "mine" / "questions.csv").read_text() == "mine"
