from __future__ import annotations

import pytest

from core.files import write_json, write_whole


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
