"""The suite `routing`: does the right label win.

Without a file, the shipped router on the experts' own `test` utterances. With a file, the shipped router again when every label is an
expert of the application, else a router fitted on `--train` or, without it, on the other four fifths of the file. The shipped router is
judged by the policy's decision, a fitted one by its most probable label.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError, UnknownNameError
from core.types import OUT_OF_SCOPE
from evaluation.data import Labelled, Mapped, read_labelled
from evaluation.metrics import Floats, Ints, Rows, auroc, ece, macro_f1, recall_when_keeping, reliability
from evaluation.results import Confusion, Measure, Progress, Report, Result, average, result, silent
from experts.examples import held_out_examples
from graph.nodes.route import find_route
from graph.routers.similarity import SimilarityRouter
from graph.services import Services
from retrieval.encoder import Encoder, Vectors
from retrieval.text import terms

FOLDS = 5
SHIPPED = "similarity"
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
    """What a router said: a distribution a row over `labels`, the label decided on (its number), and the time it took."""

    name: str
    labels: list[str]
    probabilities: Floats
    decided: Ints
    seconds: list[float]
    baseline: bool = False


class _Remembering:
    """An encoder that keeps every vector and the time it took, so that five fits encode once and a decision is still timed as if cold."""

    def __init__(self, encoder: Encoder) -> None:
        self.fingerprint, self.dimensions = encoder.fingerprint, encoder.dimensions
        self.seconds: dict[str, float] = {}
        self._encoder = encoder
        self._kept: dict[str, Vectors] = {}

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        for text in texts:
            if text not in self._kept:
                start = time.perf_counter()
                self._kept[text] = self._encoder.encode([text])[0]
                self.seconds[text] = time.perf_counter() - start
        return np.stack([self._kept[text] for text in texts])


def evaluate(
    services: Services,
    command: str,
    *,
    test: Path | None = None,
    train: Path | None = None,
    routers: Sequence[str] = (),
    mapping: Mapped | None = None,
    progress: Progress = silent,
) -> Report:
    """Judge `routers` (the default one where none is named). Raises InputError for files or names that cannot be used."""
    kinds = list(dict.fromkeys(routers)) or [SHIPPED]
    for kind in kinds:
        if kind != SHIPPED:
            raise UnknownNameError("router", kind, [SHIPPED])
    rows = read_labelled(test, mapping or {}) if test else _own_rows(services)
    learnt = read_labelled(train, mapping or {}) if train else []
    labels = sorted({r.label for r in [*rows, *learnt]}, key=lambda label: (label == OUT_OF_SCOPE, label))
    services.encoder.encode(["The first text loads the model."])
    if not learnt and set(labels) <= {*services.experts, OUT_OF_SCOPE}:
        said = [_shipped(services, kind, rows, progress) for kind in kinds]
    elif learnt:
        said = [_fitted(services.encoder, kind, labels, learnt, rows, progress(f"Routing ({kind})", len(rows))) for kind in kinds]
    else:
        said = [_cross_validated(services.encoder, kind, labels, rows, progress(f"Routing ({kind})", len(rows))) for kind in kinds]
    majority = Counter(r.label for r in learnt or rows).most_common(1)[0][0]
    said += [_random(said[0].labels, len(rows)), _majority(said[0].labels, majority, len(rows))]
    return judge(rows, said, command)


def _own_rows(services: Services) -> list[Labelled]:
    texts, labels = held_out_examples(services.experts, services.settings.experts_dir, "test")
    if not texts:
        raise InputError(
            "Expected utterances with the split `test` in an expert's utterances.csv; found none. Or pass a file: {text, label} a line."
        )
    return [Labelled(text, label) for text, label in zip(texts, labels, strict=True)]


def _shipped(services: Services, kind: str, rows: Sequence[Labelled], progress: Progress) -> Routed:
    router = services.router(kind)
    advance, probabilities, decided, seconds = progress(f"Routing ({kind})", len(rows)), [], [], []
    for row in rows:
        start = time.perf_counter()
        found = find_route(services, row.text, kind=kind)
        seconds.append(time.perf_counter() - start)
        probabilities.append([found.scores[label] for label in router.labels])
        decided.append(router.labels.index(found.experts[0] if found.experts else OUT_OF_SCOPE))
        advance(1)
    return Routed(kind, router.labels, np.array(probabilities), np.array(decided), seconds)


def _fitted(
    encoder: Encoder, kind: str, labels: Sequence[str], learnt: Sequence[Labelled], rows: Sequence[Labelled], advance: Callable[[int], None]
) -> Routed:
    router = SimilarityRouter(encoder).fit([r.text for r in learnt], [r.label for r in learnt])
    columns, probabilities, seconds = [labels.index(label) for label in router.labels], np.zeros((len(rows), len(labels))), []
    for n, row in enumerate(rows):
        start = time.perf_counter()
        probabilities[n, columns] = router.predict_proba([row.text])[0]
        seconds.append(time.perf_counter() - start)
        advance(1)
    return Routed(kind, list(labels), probabilities, probabilities.argmax(axis=1), seconds)


def _cross_validated(
    encoder: Encoder, kind: str, labels: Sequence[str], rows: Sequence[Labelled], advance: Callable[[int], None]
) -> Routed:
    kept, fold_of = _Remembering(encoder), folds([r.label for r in rows])
    probabilities, seconds = np.zeros((len(rows), len(labels))), np.zeros(len(rows))
    for fold in sorted(set(fold_of.tolist())):
        inside, outside = np.flatnonzero(fold_of == fold).tolist(), np.flatnonzero(fold_of != fold).tolist()
        held_out = [rows[i] for i in inside]
        part = _fitted(kept, kind, labels, [rows[i] for i in outside], held_out, advance)
        probabilities[inside] = part.probabilities
        first_sight = [kept.seconds[r.text] for r in held_out]
        seconds[inside] = np.add(part.seconds, first_sight)
    return Routed(kind, list(labels), probabilities, probabilities.argmax(axis=1), seconds.tolist())


def folds(labels: Sequence[str], count: int = FOLDS) -> Ints:
    """A fold for each row, from 0, labels spread evenly; the same for the same labels."""
    order = np.random.default_rng(0).permutation(len(labels))
    by_label = sorted(order.tolist(), key=lambda i: labels[i])
    fold_of = np.empty(len(labels), np.int64)
    fold_of[by_label] = np.arange(len(labels)) % count
    return fold_of


def _random(labels: list[str], n: int) -> Routed:
    drawn = np.random.default_rng(0).dirichlet(np.ones(len(labels)), n)
    return Routed("random", labels, drawn, drawn.argmax(axis=1), [], baseline=True)


def _majority(labels: list[str], label: str, n: int) -> Routed:
    certain = np.tile(np.eye(len(labels))[labels.index(label)], (n, 1))
    return Routed("majority", labels, certain, certain.argmax(axis=1), [], baseline=True)


def judge(rows: Sequence[Labelled], said: Sequence[Routed], command: str) -> Report:
    """Compare what routers (all over the same labels) said of `rows` with the rows' labels. The wrong items are those of the best one."""
    labels = said[0].labels
    truth = np.array([labels.index(r.label) for r in rows])
    best = max((s for s in said if not s.baseline), key=lambda s: float((s.decided == truth).mean()))
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (truth, best.decided), 1)
    return Report(
        "routing",
        len(rows),
        command,
        ["accuracy", "macro_f1", "in_scope_accuracy", "oos_auroc"],
        [_result(s, rows, truth) for s in said],
        _wrong(best, rows, truth),
        reliability=reliability(_confidence(best), best.decided == truth),
        confusion=Confusion(labels, counts) if len(labels) <= CONFUSION_LABELS else None,
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
    plain: dict[str, float | None] = {"ece": ece(_confidence(said), right)}
    if unobvious.any():
        plain["n.no_obvious_words"] = float(unobvious.sum())
    return result(said.name, measures, plain=plain, seconds=said.seconds, baseline=said.baseline)


def _confidence(said: Routed) -> Floats:
    """The probability of what was decided."""
    return said.probabilities[np.arange(len(said.decided)), said.decided]


def _out_of_scope_scores(said: Routed) -> Floats:
    """The probability of out_of_scope; for a router that has not learnt it, how unsure it is."""
    if OUT_OF_SCOPE in said.labels and (column := said.probabilities[:, said.labels.index(OUT_OF_SCOPE)]).any():
        return column
    unsure: Floats = 1 - said.probabilities.max(axis=1)
    return unsure


def _wrong(said: Routed, rows: Sequence[Labelled], truth: Ints) -> list[dict[str, object]]:
    confidence = _confidence(said)
    return [
        {
            "text": rows[n].text,
            "label": rows[n].label,
            "predicted": said.labels[said.decided[n]],
            "confidence": round(float(confidence[n]), 4),
        }
        for n in np.flatnonzero(said.decided != truth).tolist()
    ]
