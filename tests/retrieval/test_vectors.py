"""One contract for every vector store: FAISS, exact and inverted, in memory and mapped, and Qdrant."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from threading import Lock

import faiss
import numpy as np
import pytest
from qdrant_client import QdrantClient

from core.types import Passage
from retrieval import vectors as module
from retrieval.index import Index, Manifest
from retrieval.lexical import Lexical
from retrieval.qdrant import connect
from retrieval.qdrant_indexes import QdrantIndexes
from retrieval.vectors import FaissStore
from tests.retrieval.qdrant_server import serve

N, D = 400, 16
KINDS = ["flat", "flat mapped", "inverted", "inverted mapped", "qdrant local", "qdrant served"]
pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")


def unit_rows(n, seed=7):
    made = np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def rows():
    return unit_rows(N)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def exact(kind, monkeypatch):
    if kind.startswith("inverted"):
        monkeypatch.setattr(module, "FLAT_LIMIT", 100)
    return not kind.startswith("inverted")


@pytest.fixture
def opened(kind, exact, tmp_path):
    """Vectors -> the store under test over them."""
    held = ExitStack()

    def open_(vectors):
        if kind == "qdrant served":
            return in_qdrant(held.enter_context(closing(connect(held.enter_context(serve()).url, None))), vectors)
        if kind == "qdrant local":
            return in_qdrant(held.enter_context(closing(QdrantClient(":memory:"))), vectors)
        built = FaissStore.build(vectors)
        if not kind.endswith("mapped"):
            return built
        built.save(tmp_path / "vectors.faiss")
        return FaissStore.load(tmp_path / "vectors.faiss")

    with held:
        yield open_


def in_qdrant(client, vectors):
    n = len(vectors)
    passages = [Passage(str(i), "", "words", "", "d") for i in range(n)]
    lexical = Lexical.build([p.text for p in passages])
    index = Index(Manifest(2, "e", "c", n, 1, 0.5, {}), passages, FaissStore.exact(vectors), np.arange(n + 1), lexical)
    indexes = QdrantIndexes(client, "e")
    indexes.save(index, "x")
    return indexes.load("x").vectors


@pytest.fixture
def store(opened, rows):
    return opened(rows)


def brute_force(rows, vector, k):
    cosines = rows @ vector
    ids = np.argsort(-cosines, kind="stable")[:k]
    return ids, cosines[ids]


def test_the_nearest_come_first_with_their_cosines(store, rows, exact):
    hits = 0
    for vector in unit_rows(20, seed=8):
        ids, cosines = store.search(vector, 10)
        expected, nearest = brute_force(rows, vector, 10)
        assert (ids.dtype, cosines.dtype, ids.shape, cosines.shape) == (np.int64, np.float32, (10,), (10,))
        assert (np.diff(cosines) <= 0).all()
        np.testing.assert_allclose(cosines, rows[ids] @ vector, atol=1e-5 if exact else 0.02)
        if exact:
            assert ids.tolist() == expected.tolist()
            np.testing.assert_allclose(cosines, nearest, atol=1e-5)
        hits += len(set(ids) & set(expected))
    assert hits >= (200 if exact else 180)


def test_a_stored_vector_is_its_own_nearest(store, rows):
    assert [store.search(rows[n], 1)[0].tolist() for n in (0, 7, N - 1)] == [[0], [7], [N - 1]]


def test_cosines_and_vectors_come_in_the_order_asked(store, rows, exact):
    ids, vector = np.array([5, 0, N - 1, 5]), unit_rows(1, seed=9)[0]
    near = 1e-6 if exact else 0.02
    np.testing.assert_allclose(store.vectors(ids), rows[ids], atol=near)
    np.testing.assert_allclose(store.cosines(ids, vector), rows[ids] @ vector, atol=near)
    assert store.vectors(ids[:0]).shape == (0, D)
    assert store.cosines(ids[:0], vector).shape == (0,)


def test_every_vector_comes_back(store, rows, exact):
    np.testing.assert_allclose(store.vectors(np.arange(N)), rows, atol=1e-6 if exact else 0.02)
    assert len(store) == N


def test_asking_for_more_than_there_are(store, rows, exact):
    ids, cosines = store.search(rows[0], 10 * N)
    assert len(set(ids)) == len(ids) == len(cosines) <= N
    assert (ids >= 0).all()
    if exact:
        assert sorted(ids) == list(range(N))


@pytest.mark.parametrize("kind", ["flat", "flat mapped", "qdrant local", "qdrant served"], indirect=True)
def test_a_store_of_one(opened):
    ids, cosines = opened(np.array([[0.6, 0.8]], np.float32)).search(np.array([1, 0], np.float32), 5)
    assert (ids.tolist(), cosines.tolist()) == ([0], pytest.approx([0.6]))


@pytest.mark.parametrize("shape", [(0,), (D - 1,), (D + 1,), (1, D)])
def test_a_question_of_another_shape_is_refused(store, shape):
    wrong = np.zeros(shape, np.float32)
    for call in (lambda: store.search(wrong, 3), lambda: store.cosines(np.array([1]), wrong)):
        with pytest.raises(ValueError, match=rf"^Expected one vector of shape \({D},\); got \("):
            call()


def test_threads_that_search_at_once_find_what_one_finds(store):
    questions = unit_rows(40, seed=10)
    alone = [store.search(q, 5)[0].tolist() for q in questions]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda q: store.search(q, 5)[0].tolist(), questions))
    assert together == alone


def test_a_saved_store_finds_the_same(store, rows, tmp_path):
    store.save(tmp_path / "saved")
    reopened = FaissStore.load(tmp_path / "saved")
    for vector in unit_rows(5, seed=11):
        assert reopened.search(vector, 10)[0].tolist() == store.search(vector, 10)[0].tolist()
    ids = np.array([3, 1, 2])
    np.testing.assert_allclose(reopened.vectors(ids), store.vectors(ids), atol=1e-6)


@pytest.mark.parametrize("crowd", [0, 150])
def test_a_search_looks_at_as_many_vectors_where_they_crowd_as_where_they_do_not(rows, monkeypatch, crowd):
    monkeypatch.setattr(module, "FLAT_LIMIT", 100)
    monkeypatch.setattr(module, "PROBED", 6)
    near_one = rows[0] + unit_rows(crowd, seed=12) / 20
    store = FaissStore.build(np.concatenate([rows[crowd:], near_one / np.linalg.norm(near_one, axis=1, keepdims=True)]))
    looked_at = []
    for vector in [*rows[:3], *unit_rows(20, seed=13)]:
        faiss.cvar.indexIVF_stats.reset()
        store.search(vector, 5)
        looked_at.append(faiss.cvar.indexIVF_stats.ndis)
    assert looked_at == [6 * N // 40] * 23


def test_above_the_limit_an_exact_store_stays_exact(rows, monkeypatch):
    monkeypatch.setattr(module, "FLAT_LIMIT", 100)
    assert FaissStore.exact(rows).vectors(np.arange(N)).tobytes() == rows.tobytes()


@pytest.mark.parametrize("keep", [0, 3, 20, -100])
def test_a_cut_file_is_a_runtime_error(rows, tmp_path, keep):
    path = tmp_path / "vectors.faiss"
    FaissStore.build(rows).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RuntimeError):
        FaissStore.load(path)


class OnGpu:
    """An index of a GPU: a second thread that uses the GPU meanwhile gets nonsense from the real one, a fault from this."""

    used = Lock()

    def __init__(self, index):
        self._index = index

    def search(self, vectors, k):
        assert self.used.acquire(blocking=False), "two threads at once"
        try:
            time.sleep(0.001)
            return self._index.search(vectors, k)
        finally:
            self.used.release()


def test_one_thread_at_a_time_searches_on_a_gpu_whose_memory_all_indexes_share(rows, monkeypatch):
    made, copied = [], []

    def copy(resources, device, index):
        copied.append((resources, device))
        return OnGpu(index)

    module._gpu_resources.cache_clear()
    monkeypatch.setattr(module, "gpu", lambda: "H200")
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    monkeypatch.setattr(faiss, "StandardGpuResources", lambda: made.append(len(made)) or made[-1], raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", copy, raising=False)
    stores = [FaissStore.exact(rows), FaissStore.exact(rows[:100])]
    questions = unit_rows(40, seed=14)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: stores[n % 2].search(questions[n], 5)[0].tolist(), range(40)))
    assert found == [brute_force(rows if n % 2 == 0 else rows[:100], questions[n], 5)[0].tolist() for n in range(40)]
    assert made == [0]
    assert set(copied) == {(0, 0)}
    module._gpu_resources.cache_clear()
