"""What routers said of labelled texts, and how right it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.types import OUT_OF_SCOPE
from evaluation.data import Labelled
from evaluation.metrics import Floats, Ints, Rows, auroc, ece, macro_f1, recall_when_keeping, reliability
from evaluation.results import Confusion, Measure, Report, Result, average, result
from retrieval.text import terms

CONFUSION_LABELS = 12
_OBVIOUS = {
    "sleep": """
        sleep sleeping sleeps slept asleep sleepy sleepless sleepwalk sleepwalking sleeper oversleep nap naps napping bed bedtime night
        nights nightly overnight tonight midnight dream dreams dreaming dreamt nightmare nightmares insomnia insomniac snore snores
        snoring apnea apnoea rem nrem melatonin circadian narcolepsy narcoleptic drowsy drowsiness tired tiredness pillow mattress doze
        dozing snooze wake wakes waking woke awake awakening yawn yawning cpap hypnagogic parasomnia polysomnography
    """,
    "car": """
        car cars auto automobile automobiles automotive vehicle vehicles drive drives driving driver drove engine engines motor motors
        tyre tyres tire tires brake brakes braking oil petrol gasoline gas diesel fuel gear gears gearbox clutch transmission exhaust
        wheel wheels steering windscreen windshield bonnet hood bumper airbag airbags seatbelt dashboard headlight headlights radiator
        battery spark plug plugs carburettor carburetor hybrid turbo mileage mpg ford toyota honda bmw mercedes benz volkswagen porsche
        tesla ferrari chevrolet chrysler volvo fiat nissan mechanic garage horsepower sedan suv
    """,
}


def no_obvious_words(text: str, expert: str) -> bool:
    """Whether an utterance has none of the words that give the expert's domain away. Raises KeyError for an expert without a list."""
    return not set(terms(text)) & set(terms(_OBVIOUS[expert]))


@dataclass(frozen=True, slots=True)
class Routed:
    """What a router said: a distribution a row over `labels`, the label decided on (its number), and the time it took.

    unfamiliar: the higher, the less a text looks like anything learnt; the score of being out of scope for a router that has not learnt
    that label. size_mb: of the saved router, in megabytes.
    """

    name: str
    labels: list[str]
    probabilities: Floats
    decided: Ints
    seconds: list[float]
    unfamiliar: Floats = field(default_factory=lambda: np.zeros(0))
    size_mb: float | None = None
    baseline: bool = False


def judge(rows: Sequence[Labelled], said: Sequence[Routed], command: str, notes: Sequence[str] = ()) -> Report:
    """Compare what routers (all over the same labels) said of `rows` with the rows' labels. The wrong items are those of the best one."""
    labels = said[0].labels
    truth = np.array([labels.index(r.label) for r in rows])
    best = max(said, key=lambda s: (not s.baseline, float((s.decided == truth).mean())))
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (truth, best.decided), 1)
    return Report(
        "routing",
        len(rows),
        command,
        ["accuracy", "macro_f1", "in_scope_accuracy", "oos_auroc"],
        [_result(s, rows, truth) for s in said],
        _wrong(best, rows, truth),
        reliability=reliability(*_calibrated(best, truth)),
        confusion=Confusion(labels, counts) if len(labels) <= CONFUSION_LABELS else None,
        notes=list(notes),
    )


def _result(said: Routed, rows: Sequence[Labelled], truth: Ints) -> Result:
    right = said.decided == truth
    out = np.array([r.label == OUT_OF_SCOPE for r in rows])
    scores = _out_of_scope_scores(said)
    unobvious = np.array([r.label in _OBVIOUS and no_obvious_words(r.text, r.label) for r in rows])
    measures = {
        "accuracy": average(right),
        "macro_f1": Measure(len(rows), lambda at: macro_f1(truth[at], said.decided[at])),
        "in_scope_accuracy": average(right[~out]),
    }
    measures |= {f"recall.{label}": average(right[truth == n]) for n, label in enumerate(said.labels) if (truth == n).any()}
    for value in sorted({g for r in rows for g in r.groups} - set(said.labels)):
        measures[f"recall.{value}"] = average(right[[value in r.groups for r in rows]])
    if unobvious.any():
        measures["recall.no_obvious_words"] = average(right[unobvious])
    if out.any():

        def apart(at: Rows) -> tuple[Floats, Floats]:
            return scores[at][out[at]], scores[at][~out[at]]

        measures["oos_auroc"] = Measure(len(rows), lambda at: auroc(*apart(at)))
        measures["oos_recall@95"] = Measure(len(rows), lambda at: recall_when_keeping(*apart(at)))
    # Resampling rows makes calibration look worse than it is, so ece has no bootstrap interval.
    plain: dict[str, float | None] = {"ece": ece(*_calibrated(said, truth))}
    if unobvious.any():
        plain["n.no_obvious_words"] = float(unobvious.sum())
    if said.size_mb is not None:
        plain["size_mb"] = said.size_mb
    return result(said.name, measures, plain=plain, seconds=said.seconds, baseline=said.baseline)


def _calibrated(said: Routed, truth: Ints) -> tuple[Floats, NDArray[np.bool_]]:
    """The probability of the most probable label, and whether it is right: calibration is the router's, the decision the policy's."""
    return said.probabilities.max(axis=1), said.probabilities.argmax(axis=1) == truth


def _out_of_scope_scores(said: Routed) -> Floats:
    """The probability of out_of_scope; for a router that has not learnt it, how unfamiliar a text is, or at least how unsure it is."""
    if OUT_OF_SCOPE in said.labels and (column := said.probabilities[:, said.labels.index(OUT_OF_SCOPE)]).any():
        return column
    unsure: Floats = 1 - said.probabilities.max(axis=1)
    return said.unfamiliar if len(said.unfamiliar) else unsure


def _wrong(said: Routed, rows: Sequence[Labelled], truth: Ints) -> list[dict[str, object]]:
    confidence = said.probabilities[np.arange(len(said.decided)), said.decided]
    return [
        {
            "text": rows[n].text,
            "label": rows[n].label,
            "predicted": said.labels[said.decided[n]],
            "confidence": round(float(confidence[n]), 4),
        }
        for n in np.flatnonzero(said.decided != truth).tolist()
    ]
