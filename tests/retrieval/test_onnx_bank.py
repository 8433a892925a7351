"""The bank of vectors in four bits."""

import numpy as np
import pytest

from core.errors import IndexFault
from retrieval.onnx_bank import OnnxBank, as_kept, write_bank


@pytest.fixture
def vectors():
    drawn = np.random.default_rng(0).normal(size=(300, 384)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_cosines_are_right_to_a_few_hundredths(vectors, tmp_path):
    write_bank(vectors, tmp_path / "bank.onnx")
    found = OnnxBank(tmp_path / "bank.onnx").cosines(vectors[:20])
    np.testing.assert_allclose(found, vectors[:20] @ vectors.T, atol=0.03)
    assert (found.argmax(axis=1) == np.arange(20)).all()


def test_a_vector_does_not_depend_on_its_neighbours(vectors, tmp_path):
    write_bank(vectors, tmp_path / "bank.onnx")
    bank = OnnxBank(tmp_path / "bank.onnx")
    np.testing.assert_array_equal(bank.cosines(vectors[:5])[3], bank.cosines(vectors[3:4])[0])


def test_it_takes_an_eighth_of_the_bytes(vectors, tmp_path):
    write_bank(vectors, tmp_path / "bank.onnx")
    assert (tmp_path / "bank.onnx").stat().st_size < 0.14 * vectors.nbytes


@pytest.mark.parametrize("dimensions", [10, 128, 130])
def test_vectors_of_any_length(tmp_path, dimensions):
    drawn = np.random.default_rng(0).normal(size=(50, dimensions)).astype(np.float32)
    vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    write_bank(vectors, tmp_path / "bank.onnx")
    np.testing.assert_allclose(OnnxBank(tmp_path / "bank.onnx").cosines(vectors[:5]), vectors[:5] @ as_kept(vectors).T, atol=0.02)


def test_who_learns_from_what_is_kept_is_served_that(vectors, tmp_path):
    write_bank(vectors, tmp_path / "bank.onnx")
    found = OnnxBank(tmp_path / "bank.onnx").cosines(vectors[:20])
    off = [float(np.abs(found - vectors[:20] @ known.T).mean()) for known in (as_kept(vectors), vectors)]
    assert off[0] < 0.2 * off[1]


def test_what_is_kept_stays_so(vectors):
    np.testing.assert_allclose(as_kept(as_kept(vectors)), as_kept(vectors), rtol=1e-6)


def test_no_vectors_have_no_cosines(vectors, tmp_path):
    write_bank(vectors, tmp_path / "bank.onnx")
    assert OnnxBank(tmp_path / "bank.onnx").cosines(vectors[:0]).shape == (0, 300)


def test_a_broken_file(tmp_path):
    (tmp_path / "bank.onnx").write_bytes(b"no bank")
    with pytest.raises(IndexFault, match=r"is corrupt"):
        OnnxBank(tmp_path / "bank.onnx")
