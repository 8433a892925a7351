"""What the benchmarks measure with, on small things. That each runs whole is for `make bench`."""

import json
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest

import graph.app
from benchmarks import __main__ as every
from benchmarks import first_token, growth, latency, overhead, realistic, routing, search
from benchmarks.measured import Row
from core.settings import ROOT
from retrieval.vectors import FaissStore


def test_more_vectors_are_made_of_real_ones():
    real = growth.drawn(50, 16)
    found = realistic.expand(real, 120)
    np.testing.assert_array_equal(found[:50], real)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert len(np.unique(found, axis=0)) == 120
    np.testing.assert_array_equal(realistic.expand(real, 120), found)


def test_the_exact_nearest():
    vectors, queries = growth.drawn(300, 16), growth.drawn(7, 16)
    ids, scan = search.exact(vectors, queries)
    np.testing.assert_array_equal(ids, np.argsort(-(queries @ vectors.T), axis=1)[:, : search.K])
    assert scan["p50"] > 0


def test_the_memory_of_workers(tmp_path):
    FaissStore.build(growth.drawn(20_000, 64)).save(tmp_path / "vectors.faiss")
    private, share = search.memory(tmp_path / "vectors.faiss", growth.drawn(5, 64))
    assert private < share < 20  # the file has 5 MB, which two workers share


def test_bm25_of_drawn_words_scores_the_texts_that_hold_them():
    lexical = growth.postings(1_000, np.random.default_rng(0))
    common, rare = (np.count_nonzero(lexical.scores(word)) for word in ("w0", "w40"))
    assert common > rare > 0
    assert lexical.scores("w40").max() > lexical.scores("w0").max() > 0
    both = lexical.scores("w0 w40")
    np.testing.assert_allclose(both, lexical.scores("w0") + lexical.scores("w40"), rtol=1e-5)


def test_a_search_and_a_route_of_some_size(encoder):
    assert growth.search(growth.drawn(3, 64), 200).name == "search, 200 passages"
    found = growth.route(encoder, ["one", "two"], 3)
    assert found.name == "route, 3 experts"
    assert 0 < found.latency_ms["p50"] <= found.latency_ms["p95"]


def test_idle_nodes_are_timed_again_and_again(tmp_path):
    assert all(seconds > 0 for seconds in islice(overhead.idle_nodes(tmp_path / "idle.db", "sync"), 3))


def test_every_node_of_the_graph_is_there_to_be_timed():
    before = [getattr(graph.app, name) for name in overhead.NODES]
    with overhead.clocks():
        during = [getattr(graph.app, name) for name in overhead.NODES]
    assert [function.__wrapped__ for function in during] == before
    assert [getattr(graph.app, name) for name in overhead.NODES] == before


def test_the_first_text_of_either_servers_events():
    events = [
        {"type": "route", "data": {"expert": "tea"}},
        {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
        {"choices": []},
        {"choices": [{"delta": {"content": "Two"}}]},
        {"type": "token", "data": "Three"},
    ]
    assert [first_token._text(event) for event in events] == ["", "", "", "Two", "Three"]


def test_the_targets_of_a_route():
    ours = Row("similarity", {"in-scope accuracy": 0.9}, {"p50": 1.0, "p95": 2.0})
    theirs = Row("semantic-router", {"in-scope accuracy": 0.8}, {"p50": 20.0, "p95": 40.0}, baseline=True)
    found = {target.what: target.measured for target in routing.targets([ours], theirs)}
    assert found["similarity: times as fast as semantic-router"] == 20.0
    assert found["similarity: accuracy above semantic-router's"] == pytest.approx(0.1)
    assert [target.what for target in routing.targets([ours], None)] == ["similarity: median, ms", "similarity: p95, ms"]


def test_the_peak_of_a_process_is_its_own(tmp_path):
    held = bytearray(300_000_000)
    small = latency.cold("small", [[sys.executable, "-S", "-c", "pass"]], str(tmp_path))
    large = latency.cold("large", [[sys.executable, "-S", "-c", "bytearray(100_000_000)"]], str(tmp_path))
    assert small.metrics["peak MB"] < 40 < 90 < large.metrics["peak MB"] < 150
    assert len(held) == 300_000_000
    assert small.latency_ms["p50"] > 0
    with pytest.raises(subprocess.CalledProcessError):
        latency.cold("failing", [[sys.executable, "-S", "-c", "raise SystemExit(3)"]], str(tmp_path))


def test_every_benchmark_is_run_with_all():
    helpers = {"measured", "realistic", "tables", "feedback", "ratings", "semantic_router_peer", "sentence_transformers_peer"}
    assert set(every.BENCHMARKS) == {path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py")} - helpers


def test_results_are_of_the_benchmarks_they_stand_under():
    for path in (ROOT / "benchmarks" / "results").glob("*/report.json"):
        report = json.loads(path.read_text())
        if "targets" in report:
            assert report["suite"] == path.parent.name
            assert "load_average_at_start" in report["setup"]
