from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path

import pytest

from core.errors import InputError
from core.files import check_replaceable, check_unedited, check_writable, checksums, manifests, write_files, write_json, write_whole


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
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_several_files_are_written_all_or_none_and_the_manifest_last(tmp_path, monkeypatch):
    write_files(tmp_path, {"a": b"old", "manifest.json": b"{}"})

    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr("os.fsync", full)
        write_files(tmp_path, {"a": b"new", "manifest.json": b"[1]"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old", "manifest.json": b"{}"}
    real = Path.replace

    def stop(self, target):
        if target.name == "manifest.json":
            raise KeyboardInterrupt
        return real(self, target)

    made = {"a": b"new"}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", stop)
        write_files(tmp_path, {**made, "manifest.json": json.dumps({"sha256": checksums(made)}).encode()})
    assert (tmp_path / "a").read_bytes() == b"new"
    assert manifests(tmp_path / "manifest.json") == [{}, {"sha256": {"a": hashlib.sha256(b"new").hexdigest()}}]
    check_unedited(tmp_path, ["a"], "manifest.json")


@pytest.mark.parametrize("text", ["[]", "{", '{"sha256": "x"}', "[" * 100_000])
def test_a_file_that_its_manifest_does_not_know_is_not_overwritten(tmp_path, text):
    check_unedited(tmp_path / "none", ["a"], "m.json")
    made = {"a": b"ours"}
    write_files(tmp_path, {**made, "m.json": json.dumps({"sha256": checksums(made)}).encode()})
    check_unedited(tmp_path, ["a", "b"], "m.json")
    for name, content in (("a", "edited"), ("b", "mine"), ("m.json", text)):
        kept = (tmp_path / name).read_bytes() if (tmp_path / name).exists() else None
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=r"/(a|b|m\.json) was edited, or not made here: it is not overwritten\. Choose another"):
            check_unedited(tmp_path, ["a", "b"], "m.json")
        (tmp_path / name).unlink() if kept is None else (tmp_path / name).write_bytes(kept)
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="b was edited, or not made here"):
        check_unedited(tmp_path, ["a", "b"], "m.json")


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
    check_replaceable(tmp_path, "checksums", ours=["*"])


def test_files_are_ours_by_list_or_by_pattern_in_folders_below_too(tmp_path):
    write_json(tmp_path / "about.json", {"expert": "tea", "files": ["about.json", "report/a.png"]})
    (tmp_path / "report").mkdir()
    for name in ("model-1.bin", "model-2.bin", "report/a.png"):
        (tmp_path / name).touch()
    check_replaceable(tmp_path, "expert", ours=["model-*.bin"])
    for name in ("notes", "README.md", "report/b.png", "report/c.png"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"something else: README\.md, notes, report/b\.png and 1 more\. Choose another"):
        check_replaceable(tmp_path, "expert", ours=["model-*.bin"])


def test_a_folder_that_cannot_be_written_is_found_by_trying(tmp_path):
    check_writable(tmp_path / "new" / "deeper")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(
        InputError, match=r"^Cannot write to /proc/foo: /proc is no folder that you may write to\. Choose another: --output"
    ):
        check_writable(Path("/proc/foo"))
    with pytest.raises(InputError, match=r"Choose another: SWITCHYARD_HOME=DIR$"):
        check_writable(Path("/proc/foo"), "SWITCHYARD_HOME=DIR")
