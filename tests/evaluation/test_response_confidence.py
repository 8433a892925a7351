"""P(the response is acceptable) from judged responses."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import InputError
from evaluation.response_confidence import ResponseConfidence
from graph.response_signals import Responded, response_signals
from retrieval.encoder import Encoder

TOKENS = [-0.1, -0.2, -0.9], [-0.3, -2.4, -0.2]


def sums(n: int, seed: int, *, logprobs: bool = False) -> tuple[list[Responded], list[bool]]:
    """Additions, half of them wrong; `logprobs`: with one of two lists of tokens, in turn."""
    rng = np.random.default_rng(seed)
    rows, right = [], []
    for i, (a, b) in enumerate(rng.integers(10, 99, (n, 2))):
        right.append(bool(rng.random() < 0.5))
        stated = a + b + (0 if right[-1] else rng.integers(1, 9))
        tokens = TOKENS[i % 2] if logprobs else None
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


def test_a_signal_that_is_missing_speaks_neither_for_nor_against(encoder: Encoder) -> None:
    rows, right = sums(200, 2, logprobs=True)
    fitted = ResponseConfidence(encoder).fit(rows, right)
    assert "logprob_mean" in fitted.signals
    p = fitted.predict_proba([Responded(rows[0].prompt, rows[0].response, tokens) for tokens in (*TOKENS, None)])
    first, second, without = np.log(p / (1 - p))
    assert abs(first - second) > 0.01
    assert without == pytest.approx((first + second) / 2)


def test_a_signal_that_some_rows_lack_is_not_learnt(encoder: Encoder) -> None:
    rows, right = sums(40, 3, logprobs=True)
    fitted = ResponseConfidence(encoder).fit([Responded(rows[0].prompt, rows[0].response), *rows[1:]], right)
    assert fitted.signals == list(response_signals("", ""))


@pytest.mark.parametrize("right", [[], [True], [True, True], [False, False]])
def test_one_kind_of_answers_teaches_nothing(encoder: Encoder, right: list[bool]) -> None:
    with pytest.raises(InputError, match="right ones and wrong ones"):
        ResponseConfidence(encoder).fit(sums(len(right), 0)[0], right)
