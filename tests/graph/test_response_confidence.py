"""P(the response is acceptable) from judged responses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import IndexFault, InputError
from graph.response_confidence import ResponseConfidence
from graph.response_signals import Responded, response_signals
from retrieval.encoder import Encoder


def sums(n: int, seed: int, *, logprobs: bool = False) -> tuple[list[Responded], list[bool]]:
    """Additions, half of them wrong; `logprobs`: with tokens that tell nothing."""
    rng = np.random.default_rng(seed)
    rows, right = [], []
    for a, b in rng.integers(10, 99, (n, 2)):
        right.append(bool(rng.random() < 0.5))
        stated = a + b + (0 if right[-1] else rng.integers(1, 9))
        tokens = [-0.1, -0.2, float(-rng.random())] if logprobs else None
        rows.append(Responded(f"How much are {a} and {b} apples?", f"{a} + {b} = {stated} apples.", tokens))
    return rows, right


@pytest.fixture(scope="module")
def fitted(encoder: Encoder) -> ResponseConfidence:
    return ResponseConfidence(encoder).fit(*sums(200, 0))


def test_wrong_sums_are_told_from_right_ones_not_seen_before(fitted: ResponseConfidence) -> None:
    rows, right = sums(100, 1)
    p = fitted.predict_proba(rows)
    assert p.shape == (100,)
    assert min(p[np.array(right)]) > 0.5 > max(p[~np.array(right)])


def test_the_explanation_adds_up_and_names_the_reason(fitted: ResponseConfidence) -> None:
    row = Responded("How much are 20 and 30 apples?", "20 + 30 = 57 apples.")
    shares = fitted.explain(row)
    assert "any_wrong_step" in list(shares)[:3]
    assert shares["any_wrong_step"] < 0
    p, mean = fitted.predict_proba([row])[0], fitted.predict_proba(sums(200, 0)[0])
    assert np.log(p / (1 - p)) - sum(shares.values()) == pytest.approx(np.log(mean / (1 - mean)).mean(), abs=1e-6)


def test_a_signal_that_is_missing_is_no_zero(encoder: Encoder) -> None:
    rows, right = sums(200, 2, logprobs=True)
    fitted = ResponseConfidence(encoder).fit(rows, right)
    assert "logprob_mean" in fitted.signals
    with_tokens = fitted.explain(rows[0])
    without = fitted.explain(Responded(rows[0].prompt, rows[0].response))
    assert with_tokens["logprob_last"] != 0
    assert without["logprob_last"] == 0
    assert without["any_wrong_step"] == with_tokens["any_wrong_step"]


def test_a_signal_that_some_rows_lack_is_not_learnt(encoder: Encoder) -> None:
    rows, right = sums(40, 3, logprobs=True)
    fitted = ResponseConfidence(encoder).fit([Responded(rows[0].prompt, rows[0].response), *rows[1:]], right)
    assert fitted.signals == list(response_signals("", ""))


def test_a_saved_one_says_the_same(fitted: ResponseConfidence, encoder: Encoder, tmp_path: Path) -> None:
    fitted.save(tmp_path / "kept")
    rows, _ = sums(20, 4)
    loaded = ResponseConfidence.load(tmp_path / "kept", encoder)
    assert loaded.predict_proba(rows).tolist() == fitted.predict_proba(rows).tolist()
    assert loaded.predict_proba([]).shape == (0,)


def test_a_broken_one_is_refused(fitted: ResponseConfidence, encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(IndexFault):
        ResponseConfidence.load(tmp_path / "none", encoder)
    fitted.save(tmp_path / "kept")
    (tmp_path / "kept" / "weights.npy").write_bytes(b"")
    with pytest.raises(IndexFault):
        ResponseConfidence.load(tmp_path / "kept", encoder)


@pytest.mark.parametrize("right", [[], [True], [True, True], [False, False]])
def test_one_kind_of_answers_teaches_nothing(encoder: Encoder, right: list[bool]) -> None:
    with pytest.raises(InputError, match="right ones and wrong ones"):
        ResponseConfidence(encoder).fit(sums(len(right), 0)[0], right)
