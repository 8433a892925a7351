"""The encoder that keeps its vectors: what is encoded, what is kept, what happens to a broken file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from retrieval import kept
from retrieval.encoder import Encoder, Vectors
from retrieval.kept import KeptEncoder

TEXTS = ["tea leaves wither", "bees dance", "a kettle sings", "honey keeps"]


class Counting:
    """An encoder that writes down what it is asked."""

    def __init__(self, encoder: Encoder) -> None:
        self.fingerprint, self.dimensions = encoder.fingerprint, encoder.dimensions
        self.asked: list[str] = []
        self._encoder = encoder

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return self._encoder.encode(texts)


@pytest.fixture
def counting(encoder: Encoder) -> Counting:
    return Counting(encoder)


def test_only_new_texts_are_encoded_whoever_asks(counting: Counting, tmp_path: Path) -> None:
    KeptEncoder(counting, tmp_path).encode(TEXTS[:2])
    KeptEncoder(counting, tmp_path).encode([*TEXTS[1:], TEXTS[3], TEXTS[0]])
    assert counting.asked == TEXTS


def test_vectors_are_the_encoders_own_in_half_precision_and_in_the_order_asked(counting: Counting, tmp_path: Path) -> None:
    KeptEncoder(counting, tmp_path).encode(TEXTS)
    asked = [TEXTS[2], TEXTS[0], TEXTS[2]]
    found = KeptEncoder(counting, tmp_path).encode(asked)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, counting.encode(asked).astype(np.float16).astype(np.float32))


def test_no_texts_are_no_rows(counting: Counting, tmp_path: Path) -> None:
    assert KeptEncoder(counting, tmp_path).encode([]).shape == (0, 64)


def test_many_texts_are_encoded_side_by_side_and_come_back_in_order(minilm: Encoder, tmp_path: Path) -> None:
    texts = [f"tea number {n}" for n in range(600)]
    found = KeptEncoder(minilm, tmp_path).encode(texts)
    for n in (0, 63, 64, 599):
        np.testing.assert_allclose(found[n], minilm.encode([texts[n]])[0], atol=1e-3)


def test_another_encoder_has_a_file_of_its_own(counting: Counting, tmp_path: Path) -> None:
    KeptEncoder(counting, tmp_path).encode(TEXTS)
    counting.fingerprint = "another"
    KeptEncoder(counting, tmp_path).encode(TEXTS)
    assert counting.asked == TEXTS * 2


@pytest.mark.parametrize("content", [b"", b"half a file", b"PK\x03\x04 half a zip"])
def test_a_broken_file_is_made_anew(counting: Counting, tmp_path: Path, content: bytes) -> None:
    KeptEncoder(counting, tmp_path).encode(TEXTS)
    (file,) = tmp_path.glob("vectors-*.npz")
    file.write_bytes(content)
    KeptEncoder(counting, tmp_path).encode(TEXTS)
    KeptEncoder(counting, tmp_path).encode(TEXTS)
    assert counting.asked == TEXTS * 2


def test_of_too_many_those_not_asked_for_go(counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 3)
    KeptEncoder(counting, tmp_path).encode(TEXTS[:2])
    KeptEncoder(counting, tmp_path).encode(TEXTS[2:])
    KeptEncoder(counting, tmp_path).encode(TEXTS[2:])
    assert counting.asked == TEXTS
    KeptEncoder(counting, tmp_path).encode(TEXTS[:1])
    assert counting.asked == [*TEXTS, TEXTS[0]]


def test_where_the_folder_cannot_be_written_nothing_is_kept(counting: Counting, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    KeptEncoder(counting, tmp_path / "file").encode(TEXTS)
    found = KeptEncoder(counting, tmp_path / "file").encode(TEXTS)
    assert counting.asked == TEXTS * 2
    np.testing.assert_allclose(found, counting.encode(TEXTS), atol=1e-3)


def test_what_was_kept_is_read_where_nothing_can_be_written(counting: Counting, tmp_path: Path) -> None:
    KeptEncoder(counting, tmp_path).encode(TEXTS[:3])
    (tmp_path / ".vectors.lock").unlink()
    (tmp_path / ".vectors.lock").mkdir()  # as little to be opened as any in a folder that may only be read, which root may write
    found = KeptEncoder(counting, tmp_path).encode(TEXTS)
    assert counting.asked == TEXTS
    np.testing.assert_allclose(found, counting.encode(TEXTS), atol=1e-3)


def test_on_a_full_disk_what_was_encoded_is_not_encoded_again(counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    found = KeptEncoder(counting, tmp_path).encode(TEXTS)
    assert counting.asked == TEXTS
    np.testing.assert_allclose(found, counting.encode(TEXTS), atol=1e-3)
