from __future__ import annotations

import csv
import errno
import json
import os

import pytest

from core.errors import InputError
from core.settings import settings
from core.types import Passage
from tests.training.prepare.conftest import row
from training.prepare.findings import Finding
from training.prepare.places import Place
from training.prepare.recipe import Prepared
from training.prepare.report import as_markdown, check_folder, write

PLACE = Place(Passage("tea#1", "Tea", "Tea is hot.", "", "tea"), "Tea is hot.", "key")
HOT, COLD = row("a.csv:2", "Is tea, hot?", "Yes.", "yes", "tea", "train"), row("a.csv:4", "Is it cold?", "No.", split="test")
LEAK = Finding("leak", "a.csv:3", "Is tea *hot*?", 'in train, and in test "[Is] it?"', "a.csv:4")


def prepared(*rows, findings=(LEAK,)):
    return Prepared(list(rows), [PLACE if r is HOT else None for r in rows], list(findings), 3, ["A note."])


def test_four_files_say_what_was_made(tmp_path):
    written = write(prepared(HOT, COLD), tmp_path / "out", "switchyard data prepare a.csv")
    assert sorted(path.name for path in written) == sorted(path.name for path in (tmp_path / "out").iterdir())
    with (tmp_path / "out" / "questions.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["question", "answer", "key", "document", "split"],
            ["Is tea, hot?", "Yes.", "yes", "tea", "train"],
            ["Is it cold?", "No.", "", "", "test"],
        ]
    assert [json.loads(line) for line in (tmp_path / "out" / "places.jsonl").read_text().splitlines()] == [
        {"qid": "a.csv:2", "question": "Is tea, hot?", "passage_id": "tea#1", "answers": ["Yes."], "sentence": "Tea is hot.", "by": "key",
         "split": "train"}
    ]  # fmt: skip
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["read"], report["written"], report["located"]) == (3, 2, 1)
    assert report["splits"] == {"train": 1, "dev": 0, "test": 1}
    assert report["rows"] == ["a.csv:2", "a.csv:4"]
    assert report["findings"]["leak"]["done"] == "left out"
    assert report["findings"]["leak"]["rows"] == [
        {"kind": "leak", "at": "a.csv:3", "question": "Is tea *hot*?", "detail": 'in train, and in test "[Is] it?"', "other": "a.csv:4"}
    ]
    assert report["findings"]["empty"]["rows"] == []


def test_the_page_shows_foreign_text_as_text():
    page = as_markdown(prepared(HOT, COLD, findings=[LEAK] * 7), "switchyard data prepare a.csv")
    assert "3 rows read, 2 written: 1 train, 0 dev, 1 test." in page
    assert "| leak | 7 | left out |" in page
    assert page.count('- a.csv:3 Is tea \\*hot\\*?: in train, and in test "\\[Is\\] it?" (see a.csv:4)') == 5
    assert "- and 2 more" in page
    assert "## Leak: 7 left out\n\nA row of a split that is held out asks the same.\n" in page
    assert "\nA note.\n" in page


def test_an_earlier_run_is_replaced_and_an_edited_one_is_not(tmp_path):
    write(prepared(HOT, COLD), tmp_path, "")
    write(prepared(HOT), tmp_path, "")
    assert json.loads((tmp_path / "report.json").read_text())["rows"] == ["a.csv:2"]
    with (tmp_path / "questions.csv").open("a") as file:
        file.write("Mine?,Yes.,,,train\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"questions\.csv was edited, or not made here: it is not overwritten"):
        write(prepared(HOT), tmp_path, "")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["questions.csv", "places.jsonl", "report.md", "report.json"])
def test_no_file_of_the_users_is_replaced(tmp_path, name):
    write(prepared(HOT), tmp_path / "edited", "")
    for folder in (tmp_path / "edited", tmp_path / "new"):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text('{"mine": 1}')
        before = {path: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(InputError, match=r"was edited, or not made here: it is not overwritten\. Choose another folder: --output DIR$"):
            check_folder(folder)
        with pytest.raises(InputError, match="was edited, or not made here"):
            write(prepared(COLD), folder, "")
        assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match=r"Cannot write to .*in: .*out is no folder that you may write to\. Choose another: --output DIR"):
        check_folder(tmp_path / "out" / "in")


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    write(prepared(HOT, COLD), tmp_path, "")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    real, written = os.fsync, []

    def full(number):
        written.append(number)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(number)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"No space left on device\. Choose another folder"):
        write(prepared(HOT), tmp_path, "")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_named_after_a_file_is_not_that_of_another_file_of_the_name(tmp_path, monkeypatch):
    monkeypatch.setenv("SWITCHYARD_HOME", str(tmp_path / "home"))
    folder = settings().home / "prepared" / "t"
    write(prepared(row("a/t.csv:2", "Why?"), row("more.csv:2", "How?")), folder, "")
    write(prepared(row("a/t.csv:2", "Why?")), folder, "")
    with pytest.raises(InputError, match=r"^.+prepared.t holds the questions of a/t\.csv: it is not overwritten\. Choose another folder"):
        write(prepared(row("b/t.csv:2", "Why?")), folder, "")
    for at in ("a/t.csv:2", "b/t.csv:2"):
        write(prepared(row(at, "Why?")), tmp_path / "named", "")
