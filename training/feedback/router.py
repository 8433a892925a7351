"""Fit corrections of the deciding router, and compare them with what is in service: on feedback held out, and on a frozen set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.types import OUT_OF_SCOPE
from evaluation.results import Progress
from experts.examples import held_out_examples, router_examples
from graph.nodes.route import choose
from graph.routers.base import Examples, Router, ordered
from graph.routers.corrected import Corrections, moves_to
from graph.services import Services
from retrieval.encoder import Vectors
from training.feedback.corrections import Correction, borne_out
from training.feedback.gate import Comparison, compare, objections

NEAR = 20
"""So many shipped examples around each correction hold what is right there."""
RECENT = 400
"""The newest rows of feedback that judge."""
SHARPNESS = (3.0, 4.0, 6.0)
"""Of the corrections' kernel: the first, so the widest, that nothing speaks against is taken."""
CHUNK = 64
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Corrections that might go into service, the rows they learnt from, and what speaks against them. None: there is nothing to learn."""

    corrections: Corrections | None
    learnt: list[Correction]
    contradicted: int
    comparisons: list[Comparison]
    objections: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Labelled texts, the uncorrected router's probabilities of them, shape (n, labels), and their vectors, shape (n, dimensions)."""

    texts: Sequence[str]
    labels: Sequence[str]
    probabilities: Floats
    vectors: Vectors

    def where(self, label: str) -> NDArray[np.bool_]:
        """Which rows have that label, shape (n,)."""
        return np.array([one == label for one in self.labels], bool)


class Bench:
    """The router in service and the rows it is judged on: what every candidate is compared with, measured once."""

    def __init__(self, services: Services, progress: Progress) -> None:
        self.services = services
        self.kind = services.router_kind
        self.labels = ordered(services.trained.labels)
        self._progress = progress
        self._looked_up: dict[tuple[str, str], list[str]] = {}

    @cached_property
    def router(self) -> Router:
        """The uncorrected one."""
        return self.services.trained.router(self.kind)

    @cached_property
    def shipped(self) -> Examples:
        """The examples that the router has learnt from."""
        return Examples.of(*router_examples(self.services.experts, self.services.settings.experts_dir))

    @cached_property
    def shipped_vectors(self) -> Vectors:
        """Shape (examples, dimensions)."""
        return self.services.kept_encoder.encode(self.shipped.texts)

    @cached_property
    def frozen(self) -> Rows:
        """The shipped dev and test rows, which no router has learnt from; a trained one was calibrated on dev."""
        return self.rows("the frozen set", *held_out_examples(self.services.experts, self.services.settings.experts_dir, "dev", "test"))

    @cached_property
    def serving(self) -> Corrections | None:
        """The corrections in service."""
        return self.services.learnt.corrections(self.kind)

    def rows(self, what: str, texts: Sequence[str], labels: Sequence[str]) -> Rows:
        """Texts with all that is needed to judge corrections on them."""
        return Rows(texts, labels, self.probabilities(f"Routing {what}", texts), self.encode(f"Encoding {what}", texts))

    def encode(self, what: str, texts: Sequence[str]) -> Vectors:
        """Vectors of texts, shape (n, dimensions), with a bar."""
        encoder, advance = self.services.encoder, self._progress(what, len(texts))
        found = np.zeros((len(texts), encoder.dimensions), np.float32)
        for start in range(0, len(texts), CHUNK):
            found[start : start + CHUNK] = encoder.encode(texts[start : start + CHUNK])
            advance(len(texts[start : start + CHUNK]))
        return found

    def probabilities(self, what: str, texts: Sequence[str]) -> Floats:
        """Of the uncorrected router, shape (n, labels), with a bar."""
        advance, found = self._progress(what, len(texts)), np.zeros((len(texts), len(self.labels)))
        for start in range(0, len(texts), CHUNK):
            found[start : start + CHUNK] = self.router.predict_proba(texts[start : start + CHUNK])
            advance(len(texts[start : start + CHUNK]))
        return found

    def right(self, rows: Rows, corrections: Corrections | None) -> Floats:
        """1 where the application would ask the row's expert first, or decline what is out of scope, else 0; shape (n,)."""
        probabilities = rows.probabilities
        if corrections and len(probabilities):
            probabilities = corrections.corrected(probabilities, rows.vectors, corrections.votes())
        scores = [dict(zip(self.labels, map(float, p), strict=True)) for p in probabilities]
        decided = [self._decided(text, of) for text, of in zip(rows.texts, scores, strict=True)]
        return np.array([float(found == label) for found, label in zip(decided, rows.labels, strict=True)])

    def _decided(self, text: str, scores: dict[str, float]) -> str:
        """The first choice of the policy; what the documents say of a question in doubt is looked up once."""
        chosen = self.services.policy.choose(scores)
        if not chosen and scores.get(OUT_OF_SCOPE, 0.0) < self.services.policy.look_below:
            likeliest = max(self.services.experts, key=lambda name: scores[name])
            if (text, likeliest) not in self._looked_up:
                self._looked_up[text, likeliest] = choose(self.services, text, scores)
            chosen = self._looked_up[text, likeliest]
        return chosen[0] if chosen else OUT_OF_SCOPE


def candidate(bench: Bench, rows: Sequence[Correction]) -> Candidate:
    """Learn from those rows that do not judge and are borne out, and compare. `rows`: oldest first."""
    judging = [row for row in rows if row.judges][-RECENT:]
    offered = [row for row in rows if not row.judges]
    if bench.services.lone:
        return Candidate(None, [], 0, [], ["there is only one expert, and nothing to route"])
    if not offered:
        to_judge = f"; {len(judging)} {'is' if len(judging) == 1 else 'are'} kept to judge" if judging else ""
        return Candidate(None, [], 0, [], [f"there is no correction to learn from{to_judge}"])
    vectors = bench.encode("Encoding the corrections", [row.text for row in offered])
    own = [frozenset(labels) for labels in bench.shipped.own]
    kept = np.flatnonzero(borne_out(offered, vectors, bench.shipped_vectors, own))
    learnt = [offered[n] for n in kept]
    if not learnt:
        return Candidate(None, [], len(offered), [], ["no correction is borne out by the examples and corrections near it"])
    made, people = fit(bench, learnt, vectors[kept]), [row.owner for row in judging]
    asked = bench.rows("held-out feedback", [row.text for row in judging], [row.label for row in judging])
    before = bench.right(asked, bench.serving), bench.right(bench.frozen, bench.serving)
    for sharpness in SHARPNESS:
        made = replace(made, sharpness=sharpness)
        found = _judged(bench, made, asked, before, judging)
        objected = objections(found[0], people, found[1], found[2:])
        if not objected:
            break
    return Candidate(made, learnt, len(offered) - len(learnt), found, objected)


def fit(bench: Bench, rows: Sequence[Correction], vectors: Vectors) -> Corrections:
    """Corrections of `rows`, whose vectors have the shape (n, dimensions), and of the shipped examples near them."""
    around = np.unique(np.argsort(-(vectors @ bench.shipped_vectors.T), axis=1)[:, :NEAR])
    said = [bench.labels.index(row.label) for row in rows]
    moves = moves_to(said, bench.probabilities("Routing the corrections", [row.text for row in rows]))
    return Corrections(
        bench.labels,
        bench.services.encoder.fingerprint,
        [row.id for row in rows] + [""] * len(around),
        np.concatenate([vectors, bench.shipped_vectors[around]]),
        np.concatenate([moves, np.zeros((len(around), len(bench.labels)))]),
        np.array([row.weight for row in rows] + [1.0] * len(around)),
        SHARPNESS[0],
    )


def _judged(bench: Bench, made: Corrections, asked: Rows, before: tuple[Floats, Floats], judging: Sequence[Correction]) -> list[Comparison]:
    """On held-out feedback (`asked`, which `judging` said), on the frozen set, and on each label's rows of it.

    before: what is right of either set with the corrections in service.
    """
    of_feedback, of_frozen = before
    weights = np.array([row.weight for row in judging])
    found = [compare("held-out feedback", of_feedback, bench.right(asked, made), weights, [row.owner for row in judging])]
    after = bench.right(bench.frozen, made)
    found.append(compare("frozen set", of_frozen, after))
    return found + [compare(label, of_frozen[at], after[at]) for label in bench.labels for at in [bench.frozen.where(label)]]
