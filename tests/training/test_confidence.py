"""The confidence is fitted on cases: what it weighs, what it is calibrated for, and what the command writes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from core.errors import InputError
from core.settings import Settings
from core.types import NO_ANSWER, ModelUse, Tier
from evaluation.cases import ALTERED, KINDS, SHIFT, Case, cases
from graph.confidence import AFTER, BEFORE, Confidence
from graph.services import Services
from llms.fake import ScriptedModel
from training.confidence import SHARES, calibration, fit, measure, shares, threshold_table, write

USE = ModelUse("fake:weak", "inferior", 1000, 20, 0.0, 1.0)
P_RIGHT = {"own": 0.9, "withheld": 0.2, "wrong-expert": 0.0}


def drawn(n: int, seed: int, **extra: float) -> list[Case]:
    """`n` questions in three ways. `extra`: signals with their weight on what is right; all others tell only the wrong expert."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(n):
        for kind in KINDS:
            noise = {name: float(rng.random()) for name in extra}
            p = np.clip(P_RIGHT[kind] + sum(weight * (noise[name] - 0.5) for name, weight in extra.items()), 0, 1)
            parts = {name: float(rng.normal(kind == "wrong-expert", 0.5)) for name in AFTER} | noise
            rows.append(Case(kind, "tea", f"question {number}", "", parts, bool(rng.random() < p), USE))
    return rows


def test_the_fit_is_calibrated_for_its_mixture() -> None:
    found, rows = fit(drawn(600, 0)), drawn(1500, 1)
    p = {kind: np.mean([found.after.probability(row.parts) for row in rows if row.kind == kind]) for kind in KINDS}
    # A withheld document cannot be told by these signals; it counts a tenth of one that is there.
    assert p["own"] == pytest.approx((0.9 + 0.1 * 0.2) / 1.1, abs=0.04)
    assert p["withheld"] == pytest.approx(p["own"], abs=0.02)
    assert p["wrong-expert"] < 0.05
    numbers = measure(found, rows)
    assert numbers["after_ece"] < numbers["after_ece_all"] - 0.1


def test_an_extra_signal_is_weighed_where_it_helps() -> None:
    found = fit(drawn(300, 0, hedging=-0.8, length=0.0))
    assert set(found.before.weights) == set(BEFORE)
    assert set(found.after.weights) == {*AFTER, "hedging"}
    assert found.after.weights["hedging"] < 0
    assert found.after.neutral["hedging"] == pytest.approx(0.5, abs=0.05)


def test_an_extra_signal_that_some_cases_lack_is_not_weighed() -> None:
    rows = drawn(100, 0, hedging=-0.8)
    del rows[0].parts["hedging"]
    assert set(fit(rows).after.weights) == set(AFTER)


def test_a_missing_extra_signal_is_neutral() -> None:
    rows = drawn(300, 0, hedging=-0.8)
    model = fit(rows).after
    parts = {name: value for name, value in rows[0].parts.items() if name != "hedging"}
    assert model.probability(parts) == model.probability({**parts, "hedging": model.neutral["hedging"]})
    assert model.probability({**parts, "hedging": 1.0}) < model.probability(parts)


@pytest.mark.parametrize("right", [True, False])
def test_answers_that_are_all_alike_fit_nothing(right: bool) -> None:
    rows = [replace(row, right=right) for row in drawn(5, 0)]
    with pytest.raises(InputError, match=rf"Expected right and wrong answers .* all {'right' if right else 'wrong'}\."):
        fit(rows)
    with pytest.raises(InputError, match="12 of them are all"):  # the first question is held out
        fit([replace(row, right=right != (row.question == "question 0")) for row in rows])


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    rows = drawn(100, 0, hedging=-0.8)
    found = fit(rows)
    write(found, shares(found, rows), {"after_ece": 0.04321}, "somewhere", tmp_path / "confidence" / "weights.json")
    assert Confidence.read(tmp_path / "confidence" / "weights.json") == found
    about = json.loads((tmp_path / "confidence" / "weights.json").read_text(encoding="utf-8"))
    assert about["numbers"] == {"after_ece": 0.0432}
    assert len(about["shares"]) == len(SHARES)
    own = np.array([found.after.probability(row.parts) for row in rows if row.kind == "own"])
    assert [(own >= p).mean() for p in about["shares"]] == pytest.approx(SHARES, abs=0.011)


def test_the_table_has_a_dash_where_there_is_no_case() -> None:
    rows = [row for row in drawn(50, 0) if row.kind != "wrong-expert"]
    table = threshold_table(fit(drawn(50, 0)), rows)
    assert list(table.columns[3].cells) == ["-"] * 9
    assert [float(cell) for cell in table.columns[1].cells] == sorted(map(float, table.columns[1].cells), reverse=True)


def test_a_question_makes_a_case_of_each_kind(tiny: Services) -> None:
    seen = []
    found = cases(tiny, ["dev"], lambda: seen.append(1))
    questions = [item.question for expert in tiny.experts.values() for item in expert.questions("dev")]
    assert [case.question for case in found if case.kind == "own"] == questions
    assert len(seen) == len(questions)
    assert {case.kind for case in found} == set(KINDS)
    asked = {(case.question, case.kind): case.expert for case in found}
    own = tiny.experts["tea"].questions("dev")[0]
    assert (asked[own.question, "own"], asked[own.question, "wrong-expert"]) == ("tea", "bees")
    right = {kind: np.mean([case.right for case in found if case.kind == kind]) for kind in KINDS}
    assert right["own"] > 0.5 > right["wrong-expert"]
    assert all(set(AFTER) <= set(case.parts) for case in found)


def test_only_the_kinds_that_are_asked_for_are_answered(tiny: Services) -> None:
    assert {case.kind for case in cases(tiny, ["dev"], kinds=["own"])} == {"own"}


def test_a_refusal_is_never_right(scripted) -> None:  # type: ignore[no-untyped-def]
    services = scripted({"fake:weak": ScriptedModel(replies=[NO_ANSWER] * 50)}, inferior="fake:weak")
    assert [case.right for case in cases(services, ["dev"], kinds=["own"])] == [False] * len(services.experts["tea"].questions("dev") * 2)


def test_the_superior_models_price_is_that_of_what_it_would_read(tiny_settings: Settings) -> None:
    changes = {"superior": "openai:gpt-4.1", "keys": {"openai": SecretStr("none")}}
    services = Services(Settings.model_validate(tiny_settings.model_dump() | changes))
    rows = cases(services, ["dev"], kinds=["own"])
    found = calibration(services, rows)
    assert found.confidence.tolist() == [services.confidence.after.probability(row.parts) for row in rows]
    assert found.inferior_usd.tolist() == [0.0] * len(rows)
    # 2 USD a million tokens in, 8 out; the passages are a few hundred tokens.
    written = np.array([row.use.output_tokens for row in rows]) * 8e-6
    assert (found.superior_usd - written > 100 * 2e-6).all()
    assert (found.superior_usd - written < 5000 * 2e-6).all()
    assert services.tiers("tea")[Tier.SUPERIOR] == "openai:gpt-4.1"


def test_an_answer_with_altered_numbers_is_wrong_and_rated_below_the_true_one(tiny: Services) -> None:
    found = cases(tiny, ["train", "dev", "test"], kinds=["own", ALTERED])
    true = {case.question: case for case in found if case.kind == "own"}
    altered = [case for case in found if case.kind == ALTERED]
    assert altered
    for case in altered:
        own = true[case.question]
        numbers, others = ([int(n) for n in re.findall(r"(?<!\[)\b\d+", one.text)] for one in (own, case))
        assert others == [n + SHIFT for n in numbers]
        assert (case.right, case.parts["answers"]) == (False, 0.0)
        assert case.parts["support"] < own.parts["support"]
    assert measure(tiny.confidence, found)["altered_auroc"] > 0.9
