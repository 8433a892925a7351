"""The int8 bank of vectors."""

import numpy as np
import pytest

from core.errors import IndexFault
from retrieval.onnx_bank import OnnxBank, as_kept, write_bank


@pytest.fixture
def vectors():
    drawn = np.random.default_rng(0).normal(size=(300, 64)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_cosines_are_right_to_a_few_thousandths(vectors, tmp_path):
    write_bank(vectors, tmp_path / "bank.onnx")
    found = OnnxBank(tmp_path / "bank.onnx").cosines(vectors[:20])
    np.testing.assert_allclose(found, vectors[:20] @ vectors.T, atol=0.01)
    assert (found.argmax(axis=1) == np.arange(20)).all()


def test_a_vector_does_not_depend_on_its_neighbours(vectors, tmp_path):
    write_bank(vectors, tmp_path / "bank.onnx")
    bank = OnnxBank(tmp_path / "bank.onnx")
    np.testing.assert_array_equal(bank.cosines(vectors[:5])[3], bank.cosines(vectors[3:4])[0])


def test_it_takes_a_quarter_of_the_bytes(vectors, tmp_path):
    write_bank(vectors, tmp_path / "bank.onnx")
    assert (tmp_path / "bank.onnx").stat().st_size < 0.35 * vectors.nbytes


def test_who_learns_from_what_is_kept_is_served_nearer_to_it(vectors, tmp_path):
    write_bank(vectors, tmp_path / "bank.onnx")
    found = OnnxBank(tmp_path / "bank.onnx").cosines(vectors[:20])
    off = [float(np.abs(found - vectors[:20] @ known.T).mean()) for known in (as_kept(vectors), vectors)]
    assert off[0] < 0.8 * off[1]


def test_no_vectors_have_no_cosines(vectors, tmp_path):
    write_bank(vectors, tmp_path / "bank.onnx")
    assert OnnxBank(tmp_path / "bank.onnx").cosines(vectors[:0]).shape == (0, 300)


def test_a_broken_file(tmp_path):
    (tmp_path / "bank.onnx").write_bytes(b"no bank")
    with pytest.raises(IndexFault, match=r"is corrupt"):
        OnnxBank(tmp_path / "bank.onnx")
