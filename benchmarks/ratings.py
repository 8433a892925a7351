"""What ratings do to the confidence: honest ones, one in ten of them wrong, and one person's poison, behind the gate of retraining.

Usage: python -m benchmarks.ratings [--short] [--json] [--report DIR]

The experts' `train` questions are asked through the graph, answered by local:reader, and rated: good where the key fact is in the answer.

as it ships             50 people rate them; a tenth of the ratings is turned round.
too sure, too unsure    the same of a confidence whose logits are SHIFTed, as a change of models might do.
poison                  one person rates each answer the other way round.
too unsure, and poison  the honest ratings and the poison.

Each is retrained once by `training.feedback`, and judged on the experts' `test` questions, put to their own expert and to the wrong one.
Nothing learns from those, and the gate does not see them: it looks at ratings held out and at the `dev` questions. Recalibrating keeps the
order of the answers, so the AUROC can only stay as it is. Everything is drawn with a seed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measured import Measured, Row, parser, run
from core.settings import Settings, settings
from evaluation.cases import Case, cases
from evaluation.encoding import RememberingEncoder
from evaluation.metrics import auroc, ece
from evaluation.results import Progress, silent
from experts.discovery import Expert, Item
from graph.api import run_alone
from graph.confidence import Confidence
from graph.feedback import give
from graph.learnt import Recalibration
from graph.services import Services
from graph.state import Context
from retrieval.text import contains_key
from store.feedback import Feedback, all_feedback, delete_feedback, save
from training.feedback.confidence import FROZEN_KINDS, READER
from training.feedback.retrain import retrain, roll_back
from ui.console import bars

PEOPLE, WRONG, MALLORY = 50, 0.1, "mallory"
SHIFT = 2.0
"""Of the logits: 0.5 becomes 0.88, or 0.12."""


class Shortened(Expert):
    """An expert with few questions of each split, for the short form."""

    def questions(self, *splits: str) -> list[Item]:
        """See `Expert.questions`."""
        return [item for split in splits for item in super(Shortened, self).questions(split)[: 75 if split == "train" else 15]]


def main() -> None:
    """Simulate and print."""
    chosen = parser(__doc__).parse_args()
    run("benchmarks.ratings", chosen, lambda: measure(chosen))


def measure(chosen: argparse.Namespace) -> Measured:
    """Ask, and play the scenarios one after the other."""
    with tempfile.TemporaryDirectory() as home, bars() as progress:
        own = Settings(home=Path(home), indexes_dir=settings().indexes_dir.resolve(), inferior=READER, superior=READER)
        services = Services(own)
        services.__dict__["encoder"] = RememberingEncoder(services.encoder)  # all retrainings encode the shipped examples once
        if chosen.short:
            services.__dict__["experts"] = {name: Shortened(one.folder, one.card) for name, one in services.experts.items()}
        return simulated(services, progress)


def simulated(services: Services, progress: Progress = silent) -> Measured:
    """The scenarios on the experts of `services`, which are left with no feedback and what they had."""
    honest = asked(services, progress)
    advance = progress("Answering the test questions", sum(len(expert.questions("test")) for expert in services.experts.values()))
    judging = cases(services, ["test"], lambda: advance(1), kinds=FROZEN_KINDS)
    noisy, poison = turned_round(honest, WRONG), [replace(one, owner=MALLORY) for one in turned_round(honest, 1.0)]
    shipped = services.shipped_confidence
    sure, unsure = shifted(shipped, SHIFT), shifted(shipped, -SHIFT)
    scenarios: list[tuple[str, Confidence, list[Feedback]]] = [
        ("as it ships", shipped, noisy),
        ("too sure", sure, noisy),
        ("too unsure", unsure, noisy),
        ("poison", shipped, poison),
        ("too unsure, and poison", unsure, [*noisy, *poison]),
    ]
    rows, notes = [], []
    for name, confidence, said in scenarios:
        services.__dict__["shipped_confidence"] = confidence
        row, why = played(services, name, said, judging, progress)
        rows.append(row)
        notes += why
    services.__dict__["shipped_confidence"] = shipped
    right = np.mean([one.rating == 1 for one in honest])
    about = f"{len(judging):,} answers to test questions"
    notes.append(f"{right:.1%} of the rated answers hold the key fact. ECE and AUROC: {about}.")
    return Measured("ratings", len(honest), rows, [], notes)


def asked(services: Services, progress: Progress = silent) -> list[Feedback]:
    """Every `train` question, asked and rightly rated by one of PEOPLE in turn."""
    items = [item for expert in services.experts.values() for item in expert.questions("train")]
    advance = progress("Asking", len(items))
    for n, item in enumerate(items):
        owner = f"person {n % PEOPLE}"
        answer = run_alone(item.question, Context(owner=owner, escalate=False), services)
        give(services, answer.run_id, owner=owner, rating=1 if contains_key(answer.answer, item.key) else -1)
        advance(1)
    found = all_feedback(services.engine)
    delete_feedback(services.engine, [one.id for one in found])
    return found


def turned_round(given: Sequence[Feedback], share: float) -> list[Feedback]:
    """The same with this share of the ratings, drawn by lot, the other way round."""
    drawn = np.random.default_rng(0).permutation(len(given))[: round(share * len(given))]
    wrong = set(drawn.tolist())
    return [replace(one, rating=-(one.rating or 0)) if n in wrong else one for n, one in enumerate(given)]


def shifted(shipped: Confidence, by: float) -> Confidence:
    """The confidence with its logits so much higher, before the answer and after it."""
    return Recalibration("", (1.0, by), (1.0, by), []).applied(shipped)


def played(
    services: Services, name: str, said: Sequence[Feedback], judging: Sequence[Case], progress: Progress = silent
) -> tuple[Row, list[str]]:
    """Give the feedback, retrain once, judge, and take everything back; and what the gate objected to."""
    for one in said:
        save(services.engine, one)
    before = judged(services.confidence, judging)
    made = retrain(services, progress)
    after = judged(services.confidence, judging)
    delete_feedback(services.engine, [one.id for one in said])
    if made.promoted:
        roll_back(services)
    gate: dict[str, Any] = made.report["confidence"]
    seen = {one["name"]: one for one in gate["comparisons"]}
    held_out = seen["held-out ratings"]
    metrics = {
        "ratings": float(len(said)),
        "promoted": float(gate["promoted"]),
        "held-out before": held_out["before"],
        "held-out after": held_out["after"],
        **{f"{metric} {when}": of[metric] for metric in ("ECE", "AUROC") for when, of in (("before", before), ("after", after))},
    }
    return Row(name, metrics), [f"{name}: {reason}." for reason in gate["objections"]]


def judged(confidence: Confidence, rows: Sequence[Case]) -> dict[str, float | None]:
    """ECE and AUROC of the confidence after the answer."""
    p, right = np.array([confidence.after.probability(row.parts) for row in rows]), np.array([row.right for row in rows], bool)
    return {"ECE": ece(p, right), "AUROC": auroc(p[right], p[~right])}


if __name__ == "__main__":
    main()
