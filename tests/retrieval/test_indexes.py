"""Indexes in folders of this machine. Those in Qdrant: test_qdrant.py."""

import os

import pytest

from core.errors import IndexFault
from core.types import Passage
from retrieval.index import assemble
from retrieval.indexes import FolderIndexes


@pytest.fixture
def index(encoder):
    return assemble([Passage("a#1", "", "Green tea steeps for two minutes.", "s", "a")], encoder, corpus="c")


@pytest.fixture
def indexes(tmp_path):
    return FolderIndexes(tmp_path / "indexes")


def test_an_index_is_saved_and_opened_by_its_name(indexes, index):
    assert (indexes.manifest("tea"), indexes.version("tea"), indexes.damage("tea"), indexes.fault("tea")) == (None, None, [], None)
    with pytest.raises(IndexFault, match=r"/tea holds no index\.$"):
        indexes.load("tea")
    indexes.save(index, "tea")
    assert list(indexes.load("tea").passages) == list(index.passages)
    assert (indexes.manifest("tea").corpus, indexes.manifest("bees")) == ("c", None)


def test_the_version_changes_with_every_save_and_only_then(indexes, index):
    indexes.save(index, "tea")
    first = indexes.version("tea")
    indexes.load("tea")
    assert indexes.version("tea") == first
    os.utime(indexes.root / "tea" / "manifest.json", ns=(first - 10**9, first - 10**9))  # as if it had been some time ago
    before = indexes.version("tea")
    indexes.save(index, "tea")
    assert indexes.version("tea") != before


def test_damage_names_the_files(indexes, index):
    indexes.save(index, "tea")
    (indexes.root / "tea" / "rows.npy").write_bytes(b"")
    assert indexes.damage("tea") == ["rows.npy"]


def test_a_file_in_the_place_of_a_folder_is_named(indexes):
    indexes.root.mkdir()
    (indexes.root / "tea").write_text("in the way")
    assert indexes.fault("tea") == f"{indexes.root / 'tea'}: expected a folder for the index; that is a file. Move it away."
    assert indexes.fault("bees") is None
