import io

import numpy as np
from rich.console import Console

from training.encoder.gate import ACCURACY, MRR, Compared, as_table, numbers, refusals


def compared(metric, before, after, rows="dev questions"):
    return Compared(rows, metric, np.array(before, float), np.array(after, float))


BETTER = compared(MRR, [0.5, 0.5, 1.0, 1.0], [1.0, 0.5, 1.0, 1.0])
SAME = compared(ACCURACY, [1.0, 0.0], [0.0, 1.0], "dev utterances")


def test_adopted_when_retrieval_gains_and_routing_does_not_lose():
    assert refusals([BETTER, SAME]) == []


def test_refused_for_what_is_chance_or_worse():
    chance = compared(MRR, [0.5] * 4, [0.504] * 4)
    assert refusals([chance, SAME]) == ["retrieval gains +0.004 MRR on held-out questions, no more than chance (0.005)"]
    worse = compared(ACCURACY, [1.0, 1.0], [1.0, 0.0], "dev utterances")
    assert refusals([BETTER, worse]) == ["accuracy on dev utterances falls by 0.500"]
    other = compared(MRR, [1.0] * 4, [0.9] * 4, "the file")
    assert refusals([BETTER, other, SAME]) == ["mrr on the file falls by 0.100"]
    # Other metrics are shown, and do not decide.
    assert refusals([BETTER, compared("r@1", [1.0], [0.0]), SAME]) == []


def test_the_table_has_before_after_and_the_paired_gain():
    out = io.StringIO()
    Console(file=out, width=140).print(as_table([BETTER, SAME]))
    text = out.getvalue()
    assert "dev questions (4)" in text
    assert "0.750 [" in text
    assert "0.875 [" in text
    assert "0.125 [0.000, " in text
    assert numbers([BETTER]) == {"dev questions: mrr": {"before": 0.75, "after": 0.875}}
