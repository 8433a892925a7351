import json

import numpy as np
import pytest

from core.errors import InputError
from evaluation.measured import as_measured, read_scored
from llms.prices import read_prices

GOOD = {"prompt": "What is 2 + 2?", "scores": {"a": 1, "b": 0.5}, "costs": {"a": 0.01}, "latency_ms": {"b": 120}}


def written(path, *lines):
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_scores_costs_and_times(tmp_path):
    [row], faults = read_scored([written(tmp_path / "d.jsonl", GOOD)], {})
    assert (row.scores, row.costs, row.latencies) == ({"a": 1.0, "b": 0.5}, {"a": 0.01}, {"b": 120.0})
    assert faults == []


def test_benchmarks_that_say_correct_and_have_options(tmp_path):
    line = {"question": "Which?", "options": ["this", "that"], "models": {"a": {"correct": 1, "pred": "A"}, "b": {"correct": 0}, "c": {}}}
    [row], _ = read_scored([written(tmp_path / "d.jsonl", line)], {"prompt": "question"})
    assert row.prompt == "Which?\nA. this\nB. that"
    assert row.scores == {"a": 1.0, "b": 0.0}


def test_a_line_that_cannot_be_used_stops_nothing_and_is_named(tmp_path):
    bad = [
        "{half",
        {"prompt": "x"},
        {"prompt": "", "scores": {"a": 1}},
        {"prompt": "x", "scores": {"a": 2}},
        {"prompt": "x", "scores": {"a": "?"}},
    ]
    path = written(tmp_path / "d.jsonl", GOOD, *bad, GOOD | {"costs": []}, GOOD)
    rows, faults = read_scored([path], {})
    assert len(rows) == 3  # an empty list of costs is none
    assert [fault.split(": expected")[0] for fault in faults] == [f"{path}, line {n}" for n in range(2, 7)]
    assert "the score of a is 2, not in [0, 1]" in faults[3]
    with pytest.raises(InputError, match=r"line 1: .*not valid JSON"):
        read_scored([written(tmp_path / "e.jsonl", "{half")], {})
    with pytest.raises(InputError, match="the file is empty"):
        read_scored([written(tmp_path / "f.jsonl", "")], {})


def test_costs_that_were_not_measured_are_estimated_and_the_unknown_named(tmp_path):
    prices = tmp_path / "prices.toml"
    prices.write_text('as_of = "2024-10-31"\n[b]\ninput = 1.0\noutput = 2.0\n')
    rows, _ = read_scored([written(tmp_path / "d.jsonl", GOOD | {"prompt": "x" * 400}, {"prompt": "y", "scores": {"c": 1}})], {})
    found, notes = as_measured(rows, read_prices(prices), tmp_path)
    assert found.models == ["a", "b", "c"]
    assert found.costs[0].tolist()[:2] == [0.01, pytest.approx((100 * 1.0 + 300 * 2.0) / 1e6)]
    assert np.isnan(found.costs[:, 2]).all()
    assert np.isnan(found.costs[1, :2]).all()  # no answer, no cost
    assert np.isnan(found.scores[0, 2])
    assert notes == [
        "Costs of 1 models are estimates: list prices of 2024-10-31, 4 characters a token, 300 tokens an answer.",
        "No cost is known of c. State prices: --prices FILE",
    ]


def test_specs_have_the_applications_prices(tmp_path):
    line = {"prompt": "x" * 4, "scores": {"openai:gpt-5": 1, "local:reader": 0}}
    found, _ = as_measured(read_scored([written(tmp_path / "d.jsonl", line)], {})[0], None, tmp_path)
    assert found.costs[0].tolist() == [0.0, pytest.approx((1.25 + 300 * 10.0) / 1e6)]
