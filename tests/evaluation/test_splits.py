import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from evaluation.data import Pair
from evaluation.encoding import RememberingEncoder
from evaluation.splits import DIVISIONS, FEW, divisions, fold_numbers, folds, held_out, left_out, out_of_sample, within_folds


def rows(*texts, groups=None):
    return [Pair(text, 0, 1, together=group) for text, group in zip(texts, groups or [""] * len(texts), strict=True)]


def test_one_prompt_is_never_on_both_sides_however_it_is_written(tmp_path):
    found = folds(rows("Why?", "why", "WHY!", "a", "b", "c", "d"), tmp_path)
    assert len(found) == 5
    assert sorted(np.concatenate([split.judge for split in found]).tolist()) == list(range(7))
    assert [sorted([*split.fit, *split.judge]) for split in found] == [list(range(7))] * 5
    assert [set(split.judge) & {0, 1, 2} for split in found if set(split.judge) & {0, 1, 2}] == [{0, 1, 2}]


def test_groups_stay_together_even_over_a_shared_prompt(tmp_path):
    # x and y are linked by the prompt "same": their rows are one block, so there are two blocks and two folds.
    given = rows("a", "same", "same", "b", "c", "d", groups=["x", "x", "y", "y", "z", "z"])
    found = folds(given, tmp_path)
    assert sorted(split.judge.tolist() for split in found) == [[0, 1, 2, 3], [4, 5]]


def test_prompts_of_signs_alone_are_told_apart(tmp_path):
    assert len(folds(rows("+", "-", "*"), tmp_path)) == 3


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["", "x", "y", "z", "w"])), min_size=2, max_size=30))
def test_no_fold_ever_shares_a_prompt_or_a_group(pairs):
    given = [Pair(prompt, 0, 1, together=group) for prompt, group in pairs]
    try:
        found = folds(given, "file")
    except InputError:
        return
    for split in found:
        inside, outside = [given[i] for i in split.judge], [given[i] for i in split.fit]
        assert {r.prompt for r in inside} & {r.prompt for r in outside} == set()
        assert {r.together for r in inside} & {r.together for r in outside} <= {""}
    assert [s.judge.tolist() for s in found] == [s.judge.tolist() for s in folds(given, "file")]


def test_one_prompt_cannot_be_split(tmp_path):
    with pytest.raises(InputError, match="expected at least two different prompts"):
        folds(rows("a", "A"), tmp_path / "f.jsonl")


def test_few_rows_are_divided_several_times_and_many_once(tmp_path):
    few = divisions(rows(*(f"row {n}" for n in range(40))), tmp_path)
    assert [sorted(row for split in division for row in split.judge.tolist()) for division in few] == [list(range(40))] * DIVISIONS
    assert len({tuple(fold_numbers(division).tolist()) for division in few}) == DIVISIONS
    assert len(divisions(rows(*(f"row {n}" for n in range(FEW))), tmp_path)) == 1


def test_training_rows_that_are_judged_too_are_left_out(tmp_path):
    found = held_out(rows("a", "b"), rows("B?", "c", "d"), tmp_path)
    assert [(s.fit.tolist(), s.judge.tolist()) for s in found] == [([3, 4], [0, 1])]
    assert left_out(found, 5) == "Training rows left out because they share a prompt or a group with judged ones: 1."
    assert left_out(found[:1], 4) is None
    with pytest.raises(InputError, match="nothing is left to fit on"):
        held_out(rows("a"), rows("A"), tmp_path)


def test_shared_groups_take_turns(tmp_path):
    judged, learnt = rows("a", "b", groups=["x", "y"]), rows("c", "d", "e", groups=["x", "y", "z"])
    found = held_out(judged, learnt, tmp_path)
    assert sorted((s.judge.tolist(), s.fit.tolist()) for s in found) == [([0], [3, 4]), ([1], [2, 4])]
    assert sorted(fold_numbers(found).tolist()) == [0, 1]
    with pytest.raises(InputError, match="nothing is left to fit on"):
        held_out(judged, rows("c", groups=["x"]), tmp_path)


def test_each_row_is_predicted_by_a_fit_that_has_not_seen_it(encoder, tmp_path):
    given, done = rows(*"abcdefg"), []
    splits = folds(given, tmp_path)

    def fit(learnt):
        return lambda row: float(row in learnt.tolist())

    values, seconds = out_of_sample(splits, fit, RememberingEncoder(encoder), done.append)
    assert values.tolist() == [0.0] * 7
    assert len(seconds) == sum(done) == 7


def test_rows_are_ranked_within_their_fold():
    found = within_folds(np.array([3, 0, 2, 2]), np.array([1, 0, 1, 0]))
    assert [part.tolist() for part in found] == [[3], [0, 2, 2]]


def test_a_remembered_text_is_timed_as_if_it_were_new(encoder):
    class Slow:
        fingerprint, dimensions = encoder.fingerprint, encoder.dimensions
        asked = 0

        def encode(self, texts):
            self.asked += len(texts)
            return encoder.encode(texts)

    slow, bars = Slow(), []
    remembering = RememberingEncoder(slow, lambda what, total: bars.append((what, total)) or (lambda done: None))
    texts = [f"text {n}" for n in range(250)]
    assert (remembering.encode(texts) == encoder.encode(texts)).all()
    assert (bars, remembering.saved) == ([("Encoding", 250)], 0.0)
    assert (remembering.encode(["text 3", "text 3"]) == encoder.encode(["text 3", "text 3"])).all()
    assert slow.asked == 250
    assert remembering.saved > 0
    assert remembering.encode([]).shape == (0, encoder.dimensions)
