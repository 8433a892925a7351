from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.prepare.conftest import row
from training.prepare.duplicates import Pair
from training.prepare.splits import assign

SHARES = {"train": 0.65, "dev": 0.15, "test": 0.2}


def rows(*splits):
    return [row(f"a:{n}", f"Question {n}?", split=split) for n, split in enumerate(splits)]


def pair(first, second):
    return Pair(first, second, 0.95, True)


def test_what_is_held_out_stays_and_what_leaks_into_it_goes():
    kept, findings = assign(rows("train", "test", "dev", "train"), [pair(0, 1), pair(1, 2)], SHARES, 0)
    assert [(r.at, r.split) for r in kept] == [("a:1", "test"), ("a:3", "train")]
    assert [(f.kind, f.at, f.detail, f.other) for f in findings] == [
        ("leak", "a:0", 'in train, and in test "Question 1?"', "a:1"),
        ("leak", "a:2", 'in dev, and in test "Question 1?"', "a:1"),
    ]


def test_what_went_for_the_sake_of_test_leaks_into_dev_no_more():
    kept, findings = assign(rows("train", "dev", "test"), [pair(0, 1), pair(1, 2)], SHARES, 0)
    assert [r.at for r in kept] == ["a:0", "a:2"]
    assert [f.at for f in findings] == ["a:1"]


def test_a_row_without_a_split_joins_its_near_duplicates():
    kept, findings = assign(rows("", "dev", "", "train", ""), [pair(0, 1), pair(0, 2)], {"train": 1.0}, 0)
    assert [r.split for r in kept] == ["dev", "dev", "dev", "train", "train"]
    assert findings == []


def test_a_row_between_two_splits_has_no_place():
    kept, findings = assign(rows("train", "", "test"), [pair(0, 1), pair(1, 2)], SHARES, 0)
    assert [r.at for r in kept] == ["a:0", "a:2"]
    assert [(f.kind, f.at, f.detail) for f in findings] == [("leak", "a:1", "near-duplicate of rows of test and train")]


def test_shares_hold_and_the_seed_decides():
    many = rows(*[""] * 100)
    first, again, other = (assign(many, [], SHARES, seed)[0] for seed in (1, 1, 2))
    assert Counter(r.split for r in first) == {"train": 65, "dev": 15, "test": 20}
    assert first == again
    assert first != other


@given(
    st.lists(st.sampled_from(["", "train", "dev", "test"]), min_size=1, max_size=12),
    st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=14),
    st.integers(0, 3),
)
def test_no_pair_is_ever_parted(splits, links, seed):
    pairs = [pair(a, b) for a, b in sorted(links) if a < b < len(splits)]
    kept, findings = assign(rows(*splits), pairs, SHARES, seed)
    where = {int(r.at[2:]): r.split for r in kept}
    assert all(where[p.first] == where[p.second] for p in pairs if p.first in where and p.second in where)
    assert {r.at for r in kept} | {f.at for f in findings} == {f"a:{n}" for n in range(len(splits))}
    assert all(where[n] == split for n, split in enumerate(splits) if split and n in where)
    assert all(n in where for n, split in enumerate(splits) if split == "test")


def test_nothing_at_all():
    assert assign([], [], SHARES, 0) == ([], [])
    assert pytest.approx(1) == sum(SHARES.values())
