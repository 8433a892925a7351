from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import InputError
from graph.difficulty import DifficultyRouter
from training.difficulty import cross_validate, fit, read_rows, save

HARD = "Calculate {} * 17 + 4 and divide by 12."


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def scored(tmp_path):
    easy = [{"prompt": f"Who drinks tea {n}?", "weak_score": 1, "strong_score": 1, "shop": n % 10} for n in range(60)]
    hard = [{"prompt": HARD.format(n), "weak_score": 0, "strong_score": 1, "shop": n % 10} for n in range(40)]
    return lines(tmp_path / "scored.jsonl", easy + hard)


def test_rows_of_scores_of_both_scales_and_of_labels(tmp_path):
    one = lines(tmp_path / "one.jsonl", [{"prompt": "a", "weak_score": 0, "strong_score": 1}])
    ten = lines(tmp_path / "ten.jsonl", [{"prompt": "b", "weak_score": 1, "strong_score": 5.5}])
    labels = [{"prompt": "c", "label": "ROUTE_TO_SUPERIOR", "score": 1}, {"prompt": "d", "label": "ROUTE_TO_INFERIOR"}]
    rows = read_rows([one, ten, lines(tmp_path / "labels.jsonl", labels)])
    assert [(r.prompt, r.weak_score, r.strong_score) for r in rows] == [("a", 0, 1), ("b", 0, 0.5), ("c", 0, 1), ("d", 1, 1)]


def test_labels_stay_together_by_question_or_by_the_column_that_is_named(tmp_path):
    rows = [{"ask": "a", "to": "ROUTE_TO_INFERIOR", "question_id": "7", "shop": 1}, {"ask": "b", "to": "ROUTE_TO_SUPERIOR", "shop": 2}]
    path, maps = lines(tmp_path / "labels.jsonl", rows), {"prompt": "ask", "label": "to"}
    assert [r.together for r in read_rows([path], None, maps)] == ['"7"', ""]
    assert [r.together for r in read_rows([path], "shop", maps)] == ["1", "2"]
    with pytest.raises(InputError, match="--group names the column 'nosuch', which this line lacks"):
        read_rows([path], "nosuch", maps)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"prompt": "b", "weak_score": 0}, 'line 2: expected {"prompt","weak_score","strong_score"}; \'strong_score\' is missing.'),
        ({"prompt": "b", "weak_score": 0, "strong_score": 20}, ": expected all scores in [0, 1], or all from 1 to 10; got 0 to 20."),
    ],
)
def test_scores_that_cannot_be_used(tmp_path, row, line):
    path = lines(tmp_path / "bad.jsonl", [{"prompt": "a", "weak_score": 0, "strong_score": 1}, row])
    with pytest.raises(InputError) as info:
        read_rows([path])
    assert line in str(info.value)
    assert str(info.value).startswith(str(path))


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"prompt": "a", "label": "HARD"}, "the label is 'HARD', neither ROUTE_TO_INFERIOR nor ROUTE_TO_SUPERIOR"),
        ({"label": "ROUTE_TO_INFERIOR"}, "'prompt' is missing"),
    ],
)
def test_a_label_that_cannot_be_used(tmp_path, row, line):
    path = lines(tmp_path / "bad.jsonl", [row])
    with pytest.raises(InputError) as info:
        read_rows([path])
    assert str(info.value).startswith(f'{path}, line 1: expected {{"prompt","label"}}; {line}')


def test_cross_validation_beside_the_baselines(scored, encoder):
    done = []
    found = cross_validate(
        read_rows([scored], "shop"), scored, ["length", "logistic"], lambda kind: DifficultyRouter(kind, encoder), lambda: done.append(1)
    )
    assert list(found) == ["random", "length", "logistic"]
    assert found["random"]["apgr"] == 0.5
    # All of the gain with the first 40% of the calls would be 1 - 0.4 / 2; a little less, as the folds differ in how many they need.
    assert found["logistic"]["apgr"] == pytest.approx(0.8, abs=0.05)
    assert found["logistic"]["cpt50"] == pytest.approx(0.2, abs=0.03)
    assert found["logistic"]["auroc"] == 1.0
    assert len(done) == 10


@pytest.mark.parametrize(
    ("needed", "line"),
    [
        ([0, 0, 0], "none of the 3 need it: there is nothing to learn."),
        ([1, 0, 0], "labels.jsonl: 1 of the 3 rows need the superior model; expected more rows that do and that do not, as 3-fold"),
    ],
)
def test_too_few_rows_to_learn_from(tmp_path, encoder, needed, line):
    rows = [{"prompt": f"p{n}", "label": "ROUTE_TO_SUPERIOR" if need else "ROUTE_TO_INFERIOR"} for n, need in enumerate(needed)]
    path = lines(tmp_path / "labels.jsonl", rows)
    with pytest.raises(InputError) as info:
        cross_validate(read_rows([path]), path, ["length"], lambda kind: DifficultyRouter(kind, encoder), lambda: None)
    assert line in str(info.value)


def test_what_is_saved_says_what_it_was_trained_on(scored, encoder, tmp_path):
    rows = read_rows([scored])
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "README.md").write_text("A card.")
    save(fit(DifficultyRouter("length", encoder), rows), tmp_path / "made", rows, [Path("x/scored.jsonl")], {"apgr": 0.66666, "ece": None})
    about = json.loads((tmp_path / "made" / "about.json").read_text())
    assert about["trained_on"] == {"files": ["scored.jsonl"], "rows": 100, "superior_better": 0.4}
    assert about["metrics"] == {"apgr": 0.6667, "ece": None}
    assert DifficultyRouter.load(tmp_path / "made", encoder).predict_proba(["x" * 3000])[0] == 0.75
    assert (tmp_path / "made" / "README.md").read_text() == "A card."
