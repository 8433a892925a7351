"""One contract for every vector store: in memory, saved and mapped; exact and inverted."""

import numpy as np
import pytest

from retrieval import vectors as module
from retrieval.vectors import FaissStore

N, D = 400, 16


@pytest.fixture(scope="module")
def rows():
    made = np.random.default_rng(7).normal(size=(N, D)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.fixture(params=["flat", "inverted"])
def exact(request, monkeypatch):
    if request.param == "inverted":
        monkeypatch.setattr(module, "FLAT_LIMIT", 100)
    return request.param == "flat"


@pytest.fixture(params=["built", "mapped"])
def store(request, rows, exact, tmp_path):
    built = FaissStore.build(rows)
    if request.param == "built":
        return built
    built.save(tmp_path / "vectors.faiss")
    return FaissStore.load(tmp_path / "vectors.faiss")


def test_the_nearest_come_first(store, rows, exact):
    hits = 0
    for n in range(0, N, 40):
        ids, cosines = store.search(rows[n], 10)
        assert (ids[0], len(ids)) == (n, 10)
        assert (np.diff(cosines) <= 0).all()
        np.testing.assert_allclose(cosines, rows[ids] @ rows[n], atol=1e-5 if exact else 0.02)
        hits += len(set(ids) & set(np.argsort(-(rows @ rows[n]))[:10]))
    assert hits >= (100 if exact else 90)


def test_vectors_come_back_in_the_order_asked(store, rows, exact):
    ids = np.array([5, 0, N - 1, 5])
    np.testing.assert_allclose(store.vectors(ids), rows[ids], atol=1e-6 if exact else 0.02)


def test_asking_for_more_than_there_are(rows, exact, store):
    ids, cosines = store.search(rows[0], 10 * N)
    assert len(store) == N
    assert len(set(ids)) == len(ids) == len(cosines) <= N
    assert (ids >= 0).all()
    if exact:
        assert sorted(ids) == list(range(N))


def test_a_store_of_one(tmp_path):
    FaissStore.build(np.array([[0.6, 0.8]], np.float32)).save(tmp_path / "one")
    ids, cosines = FaissStore.load(tmp_path / "one").search(np.array([1, 0], np.float32), 5)
    assert (ids.tolist(), cosines.tolist()) == ([0], pytest.approx([0.6]))


@pytest.mark.parametrize("keep", [0, 3, 20, -100])
def test_a_cut_file_is_a_runtime_error(rows, tmp_path, keep):
    path = tmp_path / "vectors.faiss"
    FaissStore.build(rows).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RuntimeError):
        FaissStore.load(path)
