from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InputError
from core.files import check_replaceable, check_writable, write_json, write_whole


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_json(path, {"ä": [1]})
    assert path.read_text(encoding="utf-8") == '{\n "ä": [\n  1\n ]\n}\n'
    write_whole(path, "two")
    assert path.read_text() == "two" and list(path.parent.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "a"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")
    assert path.read_text() == "old"


@pytest.mark.parametrize("about", [None, "{}", "[]", "x", "[" * 100_000])
def test_a_folder_of_other_files_is_not_ours_to_replace(tmp_path, about):
    check_replaceable(tmp_path / "none", "ours")
    check_replaceable(tmp_path, "ours")
    (tmp_path / "thesis.txt").write_text("x")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "about.json").write_text('{"ours": 1}')
    check_replaceable(tmp_path / "ours", "ours")
    if about is not None:
        (tmp_path / "about.json").write_text(about)
    for path in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(InputError, match=r"^Expected a new folder, .+ holds something else\. Choose another --output\.$"):
            check_replaceable(path, "ours")


def test_a_file_of_the_users_in_our_folder_is_not_replaced(tmp_path):
    for name, text in (("about.json", '{"checksums": {"a.npy": ""}}'), ("README.md", "A card."), ("a.npy", "")):
        (tmp_path / name).write_text(text)
    check_replaceable(tmp_path, "checksums")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds something else: notes\.txt\. Choose another --output\.$"):
        check_replaceable(tmp_path, "checksums")


def test_a_folder_that_cannot_be_written_is_found_by_trying(tmp_path):
    check_writable(tmp_path / "new" / "deeper")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(
        InputError, match=r"^Cannot write to /proc/foo: /proc is no folder that you may write to\. Choose another: --output"
    ):
        check_writable(Path("/proc/foo"))
