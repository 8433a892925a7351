"""Learning from feedback: what counts, what is promoted, what is forgotten."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.feedback import ANIMALS, OPENINGS, UNSEEN_ANIMALS, Said, honest, kind_of_question, simulate, unnamed
from core.errors import IndexFault, InputError
from core.types import OUT_OF_SCOPE
from evaluation.results import silent
from graph.confidence import AFTER
from graph.learnt import confidence_identity
from graph.nodes.route import find_route
from graph.promise import broken_promise
from graph.routers.corrected import CorrectedRouter, Corrections
from graph.services import Services
from graph.versions import MANIFEST, NAME, ROUTER, packed, unpacked
from store.feedback import Feedback, all_feedback, delete_feedback, save
from store.versions import Version, add, files_of, history, serving
from tests.postgres import BOTH
from training.feedback.corrections import OWNER_VOTES, Correction, borne_out, corrections, held_out
from training.feedback.gate import Comparison, compare, objections
from training.feedback.retrain import retrain, roll_back
from training.feedback.router import Bench, candidate
from training.thresholds import Chosen, Target, new_policy, write_policy

ASKED = kind_of_question(ANIMALS)[:150]
UNSEEN = kind_of_question(UNSEEN_ANIMALS)[:40]
LABELS = ("bees", "tea", OUT_OF_SCOPE)


def said(n: int, question: str, label: str | None, owner: str | None = None, **more: object) -> Feedback:
    return replace(Feedback(f"run-{n}", owner, float(n), question, expert=label), **more)  # type: ignore[arg-type]


def teach(services: Services, rows: list[Said]) -> None:
    for n, row in enumerate(rows):
        save(services.engine, said(n, row.text, row.label, row.owner))


def test_one_person_is_heard_once_a_question_and_no_louder_than_the_cap() -> None:
    given = [said(n, f"what is thing number {n}", "tea", "ann") for n in range(40)]
    given += [said(50, "what is honey", "tea"), said(51, "What is HONEY?", "bees"), said(52, "what is wax", "bees", "bob")]
    given += [said(60, "and for wasps?", "bees"), said(61, "what stings", "wasps"), said(62, "what hums", None)]
    found, left_out = corrections(given, LABELS)
    by_owner = {owner: [row for row in found if row.owner == owner] for owner in ("ann", "bob", None)}
    assert sum(row.weight for row in by_owner["ann"]) == pytest.approx(OWNER_VOTES)
    assert [(row.label, row.weight) for row in by_owner["bob"]] == [("bees", 1.0)]
    assert [(row.text, row.label) for row in by_owner[None]] == [("What is HONEY?", "bees")]
    assert left_out == {
        "said again later by the same person": 1,
        "of a question that leans on the one before": 1,
        "of an expert that is not there": 1,
    }


def test_the_questions_that_judge_are_the_same_whoever_asks() -> None:
    assert held_out("What is honey?") == held_out("what is  HONEY")
    assert 0.1 < np.mean([held_out(text) for text in ASKED]) < 0.3


def test_a_correction_is_borne_out_by_others_not_by_its_own_person() -> None:
    near = np.eye(4, dtype=np.float32)[[0, 0, 0, 0]]
    shipped, labels = np.eye(4, dtype=np.float32)[[0, 1]], [frozenset(["tea"]), frozenset(["bees"])]

    def kept(*people: str | None, shipped_near: str = "tea") -> list[bool]:
        rows = [Correction(str(n), "x", "bees", owner) for n, owner in enumerate(people)]
        return borne_out(rows, near[: len(rows)], shipped, [frozenset([shipped_near]), labels[1]]).tolist()

    assert kept("ann", "ann", "ann") == [False] * 3
    assert kept("ann", "bob", "cleo") == [True] * 3
    assert kept(None, None, None) == [False] * 3
    assert kept(None, None, None, shipped_near=OUT_OF_SCOPE) == [True] * 3
    assert kept("ann", "ann", "ann", shipped_near=OUT_OF_SCOPE) == [False] * 3
    assert kept(None, shipped_near=OUT_OF_SCOPE) == [False]
    far = Correction("0", "x", "tea", "ann")
    assert borne_out([far], np.eye(4, dtype=np.float32)[[3]], shipped, labels).tolist() == [True]


def test_the_bootstrap_draws_people_whole() -> None:
    before, after = np.zeros(60), np.r_[np.ones(40), np.zeros(20)]
    alone = compare("x", before, after)
    crowd = compare("x", before, after, people=["ann"] * 40 + ["bob"] * 20)
    assert alone.interval and crowd.interval
    assert (alone.before, alone.after) == (0.0, pytest.approx(2 / 3))
    assert alone.interval[0] > 0.5
    assert crowd.interval == (0.0, 1.0)
    assert compare("x", np.zeros(0), np.zeros(0)) == Comparison("x", 0, None, None, None)


def test_the_gate_says_what_it_objects_to() -> None:
    better, same = Comparison("f", 50, 0.2, 0.8, (0.4, 0.8)), Comparison("frozen", 900, 0.9, 0.9, (-0.01, 0.01))
    people = ["ann", "bob", "cleo"]
    assert objections(better, people, same, []) == []
    assert objections(replace(better, interval=(0.0, 0.3)), people, same, []) == ["it is not clearly better on held-out feedback"]
    assert objections(replace(better, n=7), people, same, []) == ["only 7 held-out rows of feedback judge it; 20 are needed"]
    assert objections(better, ["ann"], same, []) == ["the held-out feedback comes from fewer than 3 people"]
    assert objections(better, [None], same, []) == []
    worse = replace(same, after=0.88, interval=(-0.03, -0.01))
    parts = [Comparison("tea", 300, 0.9, 0.885, None), Comparison("bees", 300, 0.9, 0.891, None)]
    assert objections(better, people, worse, parts) == [
        "it is clearly worse on the frozen set (-2.0 points)",
        "tea is worse by 1.5 points on the frozen set",
    ]


@pytest.mark.parametrize(("harmless", "taken"), [(3.0, 3.0), (4.0, 4.0), (6.0, 6.0), (7.0, 6.0)])
def test_the_widest_kernel_that_nothing_speaks_against_is_taken(
    tiny: Services, monkeypatch: pytest.MonkeyPatch, harmless: float, taken: float
) -> None:
    better, worse = Comparison("f", 50, 0.2, 0.8, (0.4, 0.8)), Comparison("frozen", 900, 0.9, 0.8, (-0.2, -0.05))

    def judged(bench: Bench, made: Corrections, *_: object) -> list[Comparison]:
        return [better, worse if made.sharpness < harmless else replace(worse, after=0.9, interval=(-0.01, 0.01))]

    monkeypatch.setattr("training.feedback.router._judged", judged)
    rows = [Correction(str(n), text, "bees", f"person {n % 9}") for n, text in enumerate(ASKED[:40])]
    found = candidate(Bench(tiny, silent), rows)
    assert found.corrections
    assert (found.corrections.sharpness, bool(found.objections)) == (taken, harmless > taken)


@pytest.mark.parametrize("by", [list, unnamed])
def test_noisy_corrections_teach_and_the_frozen_set_does_not_suffer(tiny: Services, by: Callable[[list[Said]], list[Said]]) -> None:
    """The short form of benchmarks/feedback.py."""
    found = simulate(tiny, by(honest(ASKED, "bees", ("tea", OUT_OF_SCOPE))), UNSEEN, "bees")
    assert found["promoted"], found["candidate"]["router"]
    assert found["kind"][1] >= found["kind"][0] + 0.25
    _, frozen, *parts = found["candidate"]["router"]["comparisons"]
    assert frozen["after"] >= frozen["before"]
    assert all(part["after"] >= part["before"] - 0.01 for part in parts)


@pytest.mark.parametrize("owner", ["mallory", None])
def test_one_persons_poison_is_not_promoted(tiny: Services, owner: str | None) -> None:
    of_bees = [opening + q.question for opening in OPENINGS for q in tiny.experts["bees"].questions("train")]
    found = simulate(tiny, [Said(text, "tea", owner) for text in of_bees], UNSEEN, "tea")
    assert (found["promoted"], found["candidate"]["router"]["learnt"]) == (False, 0)
    assert found["kind"][0] == found["kind"][1]


@BOTH
def test_what_was_promoted_decides_until_it_is_rolled_back(tiny: Services) -> None:
    question = UNSEEN[0]
    assert find_route(tiny, question).router == "similarity"
    teach(tiny, honest(ASKED, "bees", ("tea", OUT_OF_SCOPE)))
    assert retrain(tiny).promoted
    found = find_route(tiny, question)
    assert (found.router, found.expert) == ("similarity+feedback", "bees")
    assert question not in [near.text for near in found.nearest]
    fresh = Services(tiny.settings)
    assert find_route(fresh, question).scores == pytest.approx(found.scores, abs=1e-5)
    again = retrain(tiny)
    assert (again.number, again.promoted, serving(tiny.engine, NAME)[0]) == (2, False, 1)
    assert [one.promoted for one in history(tiny.engine, NAME)] == [True, False]
    assert roll_back(tiny) == 0
    assert find_route(tiny, question).router == "similarity"
    with pytest.raises(InputError, match="what ships is in service already"):
        roll_back(tiny)


def test_corrected_questions_become_utterances_and_evaluation_rows_and_leave_with_their_feedback(tiny: Services) -> None:
    rows = honest(ASKED, "bees", ("tea", OUT_OF_SCOPE))
    teach(tiny, rows)
    retrain(tiny)
    with unpacked(files_of(tiny.engine, NAME, 1)) as folder:
        files = (folder / "utterances.jsonl", folder / "evaluation.jsonl")
        learnt, judged = ([json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] for file in files)
    assert {row["label"] for row in learnt} == {"bees"}
    assert not {row["text"] for row in learnt} & {row["text"] for row in judged}
    assert len(judged) == sum(held_out(row.text) for row in rows)

    gone = [one.id for one in all_feedback(tiny.engine) if one.question in (learnt[0]["text"], judged[0]["text"])]
    before = tiny.router().predict_proba([learnt[0]["text"]])
    delete_feedback(tiny.engine, gone)
    retrain(tiny)
    with unpacked(files_of(tiny.engine, NAME, 1)) as folder:
        kept = "".join(path.read_text() for path in folder.rglob("*.json*"))
    assert not [text for text in (learnt[0]["text"], judged[0]["text"], *gone) if text in kept]
    after = tiny.router().predict_proba([learnt[0]["text"]])
    assert isinstance(tiny.router(), CorrectedRouter)
    assert 0 < np.abs(after - before).max() < 0.2

    delete_feedback(tiny.engine, [one.id for one in all_feedback(tiny.engine)])
    retrain(tiny)
    np.testing.assert_allclose(tiny.router().predict_proba(UNSEEN), tiny.similarity.predict_proba(UNSEEN), atol=2e-3)


def test_a_version_is_left_aside_when_the_router_changes(tiny: Services, capsys: pytest.CaptureFixture[str]) -> None:
    from training.router import own_data, train

    teach(tiny, honest(ASKED, "bees", ("tea", OUT_OF_SCOPE)))
    retrain(tiny)
    train(tiny, "similarity", own_data(tiny), tiny.settings.home / "routers" / "similarity", settings={"ridge": 0.5})
    capsys.readouterr()
    assert find_route(tiny, UNSEEN[0]).router == "similarity"
    assert "was fitted to another router, and is left aside. Run: switchyard feedback retrain" in capsys.readouterr().err


def test_what_was_deleted_is_forgotten_by_corrections_of_another_encoder_too(tiny: Services, tmp_path: Path) -> None:
    made = Corrections(list(LABELS), "another", ["gone"], np.eye(1, 8, dtype=np.float32), np.zeros((1, 3)), np.ones(1), 3.0)
    made.save(tmp_path / ROUTER, "base")
    add(tiny.engine, NAME, Version(1, 0, 10.0, promoted=True), packed(tmp_path))
    assert retrain(tiny).promoted is False
    with unpacked(files_of(tiny.engine, NAME, 1)) as folder:
        kept, base = Corrections.load(folder / ROUTER)
    assert (kept.ids, kept.encoder, base) == ([], "another", "base")


def test_ratings_recalibrate_the_confidence(tiny: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that look sure and are bad; the frozen set is left out of account, for it is of no such answers."""
    monkeypatch.setattr("training.feedback.confidence._calibration_error", lambda *_: Comparison("frozen set", 9, -0.1, -0.1, None))
    shipped = tiny.confidence
    made = new_policy(tiny.policy, tiny.policy, Target("max-risk", 0.1, 0.2), Chosen(0.5, "Kept."), "test", confidence_identity(shipped))
    write_policy(made, tiny.settings.home / "policy.toml")
    for n in range(150):
        signals = dict.fromkeys(AFTER, 0.5 + n % 5 / 10)
        save(tiny.engine, said(n, f"what is thing number {n}", None, rating=-1 if n % 4 else 1, features=signals))
    promising = Services(tiny.settings)
    assert broken_promise(promising) == ""
    found = retrain(promising).report
    report = found["confidence"]
    assert report["promoted"], report
    assert found["promise"] == broken_promise(promising)
    assert found["promise"].endswith("holds no longer. Run: switchyard train confidence --target max-risk=0.1 --delta 0.2")
    tiny.learnt.look_again()
    sure = dict.fromkeys(AFTER, 0.9)
    assert tiny.confidence.after.probability(sure) < shipped.after.probability(sure) - 0.1
    assert tiny.confidence == Services(tiny.settings).confidence
    roll_back(promising)
    tiny.learnt.look_again()
    assert tiny.confidence == shipped
    assert broken_promise(promising) == ""


def test_with_nothing_to_learn_nothing_changes(tiny: Services) -> None:
    made = retrain(tiny)
    assert (made.promoted, made.report["feedback"]) == (False, 0)
    assert made.report["router"]["objections"] == ["there is no correction to learn from"]
    assert history(tiny.engine, NAME) == [made]
    teach(tiny, [Said(text, "bees", None) for text in [text for text in ASKED if held_out(text)][:2]])
    assert retrain(tiny).report["router"]["objections"] == ["there is no correction to learn from; 2 are kept to judge"]
    assert not (tiny.settings.home / NAME).exists()


def test_a_broken_manifest_is_named(tiny: Services) -> None:
    path = tiny.settings.home / NAME / MANIFEST
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(IndexFault, match=r"manifest\.json cannot be read"):
        tiny.router()
