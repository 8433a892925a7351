"""Passages on disk."""

import pytest

from core.types import Passage
from retrieval.passages import PassageFile

PASSAGES = [
    Passage("a#1", "Tea", "Two minutes – “exactly”.\nNo\tmore.", "a book", "a"),
    Passage("b", "", "", "", ""),
    Passage("c#3", "茶 🍵", 'Quotes " and \\ and \u2028.', "s", "c"),
]


@pytest.fixture
def stored(tmp_path):
    PassageFile.write(tmp_path, PASSAGES)
    return PassageFile(tmp_path)


def test_they_come_back_as_they_were(stored):
    assert list(stored) == PASSAGES
    assert [stored[2], stored[0], stored[-1], stored[-3]] == [PASSAGES[2], PASSAGES[0], PASSAGES[2], PASSAGES[0]]
    assert len(stored) == 3 and PASSAGES[1] in stored


@pytest.mark.parametrize("n", [3, -4])
def test_there_is_none_beyond_the_ends(stored, n):
    with pytest.raises(IndexError):
        stored[n]


def test_a_reader_keeps_the_file_it_opened(stored, tmp_path):
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    PassageFile.write(fresh, [Passage("new", "n", "n", "n")])
    for name in ("passages.jsonl", "passages.npy"):
        (fresh / name).replace(tmp_path / name)
    assert list(stored) == PASSAGES
    assert [p.id for p in PassageFile(tmp_path)] == ["new"]
