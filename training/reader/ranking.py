"""Fit the ranking of sentences on top of the reader's network.

A sentence among the passages that are read is right when it stands in the question's document and holds the key fact. The ranking is fitted
listwise (Cao et al.: Learning to Rank, 2007): the right sentences' share of a softmax over all the question's sentences. What the network
says of `train` questions cannot be used, because it knows them by heart. So a first fit on `train` does without it, and a second one on
`dev` starts from there: its penalty draws towards the first one's weights, as strongly as gives the right sentences the largest share in
cross-validation. A logistic regression on `evidence` says how likely there is a right one at all, for which every question is also
read with the passages of its document withheld, and in other experts' documents: what is found then is wrong, however good it looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.files import write_json
from core.types import Hit
from experts.discovery import Expert, Item
from graph.nodes.expert import CANDIDATES
from retrieval.encoder import Encoder
from retrieval.index import Index
from retrieval.ranking import FEATURES, RETRIEVAL, Floats, Weights, evidence, sentence_features
from retrieval.reader import Reader, Reading, Span
from retrieval.text import contains_key, sentences

FIRST_PENALTY = 0.01
PENALTIES = (0.01, 0.03, 0.1, 0.3)
TAKEN = 4
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Read:
    """A question with the passages that the search found, each read. `taken`: so many of them are quoted from."""

    item: Item
    hits: list[Hit]
    readings: list[Reading]
    taken: int
    encoder: Encoder

    def best(self, retrieval: float, *, withheld: bool = False) -> list[int]:
        """The passages that are quoted from, in order; without those of the right document when it is withheld."""
        scores = [reading.answers + retrieval * hit.score for hit, reading in zip(self.hits, self.readings, strict=True)]
        kept = [n for n, hit in enumerate(self.hits) if not (withheld and self.right(hit))]
        return sorted(kept, key=lambda n: -scores[n])[: self.taken]

    def right(self, hit: Hit) -> bool:
        """Whether the passage is of the document that answers."""
        return hit.passage.document == self.item.document


@dataclass(frozen=True, slots=True)
class Case:
    """One question's sentences: features (n, len(FEATURES)), and which of them are right; none is when the document was withheld."""

    features: Floats
    right: NDArray[np.bool_]


def read(
    expert: Expert,
    index: Index,
    encoder: Encoder,
    reader: Reader | None,
    items: Iterable[Item],
    progress: Callable[[int], None] = lambda _: None,
) -> list[Read]:
    """Search for each question and read what is found; without a reader, only split it into sentences."""
    made = []
    for item in items:
        hits = index.search(item.question, encoder.encode([item.question])[0], CANDIDATES)
        readings = reader.read(item.question, [hit.as_dict() for hit in hits]) if reader else [_unread(hit) for hit in hits]
        made.append(Read(item, hits, readings, expert.card.passages, encoder))
        progress(1)
    return made


def _unread(hit: Hit) -> Reading:
    return Reading(0.0, None, tuple(Span(text, 0.0) for text in sentences(hit.passage.text)))


def case(found: Read, retrieval: float, *, withheld: bool = False) -> Case:
    """The sentences of the passages that are quoted from."""
    places = found.best(retrieval, withheld=withheld)
    hits, readings = [found.hits[n] for n in places], [found.readings[n] for n in places]
    right = [
        found.right(hit) and contains_key(sentence.text, found.item.key)
        for hit, reading in zip(hits, readings, strict=True)
        for sentence in reading.sentences
    ]
    if not right:
        return Case(np.zeros((0, len(FEATURES))), np.zeros(0, bool))
    return Case(sentence_features(found.item.question, [hit.as_dict() for hit in hits], readings, found.encoder), np.array(right))


def fit_retrieval(rows: Sequence[Read]) -> float:
    """What the search's score should count beside the reader's: the best mean reciprocal rank of the right document."""

    def mrr(weight: float) -> float:
        ranks = [next((n for n, i in enumerate(row.best(weight), 1) if row.right(row.hits[i])), None) for row in rows]
        return float(np.mean([1 / rank if rank else 0.0 for rank in ranks]))

    return max(RETRIEVAL, key=mrr)


def fit(train: Sequence[Read], dev: Sequence[Read], elsewhere: Sequence[Read] = ()) -> tuple[Weights, dict[str, float]]:
    """Weights, and {penalty, dev}. `train`: not read by the network. `elsewhere`: questions asked of documents that do not answer them.

    `dev` is the cross-validated share of questions with a right sentence among the first four.
    """
    retrieval = fit_retrieval(dev)
    first = _direction([case(row, retrieval) for row in train], FIRST_PENALTY, np.zeros(len(FEATURES)))
    own = [case(row, retrieval) for row in dev]
    tried = {penalty: _left_out(own, penalty, first) for penalty in PENALTIES}
    penalty = max(tried, key=lambda penalty: tried[penalty][0])
    slopes = _direction(own, penalty, first)
    weights = _with_evidence(slopes, [*own, *(case(row, retrieval, withheld=True) for row in (*dev, *elsewhere))], retrieval)
    return weights, {"penalty": penalty, "dev": tried[penalty][1]}


def _left_out(cases: Sequence[Case], penalty: float, prior: Floats) -> tuple[float, float]:
    """(mean log of the right sentences' share, `hit_rate`) over all cases, each judged by what was fitted on the other folds."""
    from sklearn.model_selection import KFold

    shares, hits = [], 0
    for learn, judge in KFold(FOLDS, shuffle=True, random_state=0).split(cases):
        slopes = _direction([cases[i] for i in learn], penalty, prior)
        hits += sum(_hit(slopes, cases[i]) for i in judge)
        for held in (cases[i] for i in judge if cases[i].right.any()):
            scores = held.features @ slopes
            shares.append(np.logaddexp.reduce(scores[held.right]) - np.logaddexp.reduce(scores))
    return float(np.mean(shares)), hits / len(cases)


def _direction(cases: Sequence[Case], penalty: float, prior: Floats) -> Floats:
    """A weight for each feature, shape (len(FEATURES),); the penalty is on the distance to `prior`, in standard deviations of a feature.

    The prior itself where no case has a right sentence.
    """
    from scipy.optimize import minimize

    kept = [c for c in cases if c.right.any()]
    if not kept:
        return prior
    rows, right = np.concatenate([c.features for c in kept]), np.concatenate([c.right for c in kept])
    scale = rows.std(axis=0) + 1e-9
    lengths = np.array([len(c.right) for c in kept])
    starts, scaled, wanted = np.cumsum([0, *lengths[:-1]]), (rows - rows.mean(axis=0)) / scale, prior * scale

    def loss(w: Floats) -> tuple[float, Floats]:
        z = scaled @ w
        shifted = np.exp(z - np.repeat(np.maximum.reduceat(z, starts), lengths))
        every = shifted / np.repeat(np.add.reduceat(shifted, starts), lengths)
        aim = shifted * right / np.repeat(np.add.reduceat(shifted * right, starts), lengths)
        likelihood, away = np.add.reduceat(every * right, starts), w - wanted
        return float(-np.log(likelihood + 1e-12).mean() + penalty * away @ away), scaled.T @ (every - aim) / len(kept) + 2 * penalty * away

    found: Floats = minimize(loss, wanted, jac=True, method="L-BFGS-B").x / scale
    return found


def _with_evidence(slopes: Floats, cases: Sequence[Case], retrieval: float) -> Weights:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    read = [c for c in cases if len(c.right)]
    rows, right = np.array([evidence(c.features, c.features @ slopes) for c in read]), [c.right.any() for c in read]
    scaler = StandardScaler().fit(rows)
    model = LogisticRegression().fit(scaler.transform(rows), right)
    counts = model.coef_[0] / scaler.scale_
    intercept = float(model.intercept_[0] - counts @ scaler.mean_)
    return Weights(tuple(slopes.tolist()), tuple(counts.tolist()), intercept, retrieval)


def hit_rate(weights: Weights, rows: Sequence[Read]) -> float:
    """Share of questions in [0, 1] with a right sentence among the first four."""
    slopes = np.array(weights.coefficients)
    return float(np.mean([_hit(slopes, case(row, weights.retrieval)) for row in rows])) if rows else 0.0


def _hit(slopes: Floats, of: Case) -> bool:
    return bool(of.right[np.argsort(-(of.features @ slopes), kind="stable")[:TAKEN]].any())


def write(weights: Weights, numbers: dict[str, float], data: str, path: Path) -> None:
    """Write the weights, with what they were made of."""
    about = {
        "features": FEATURES,
        "coefficients": [round(c, 6) for c in weights.coefficients],
        "evidence": [round(c, 6) for c in weights.evidence],
        "intercept": round(weights.intercept, 6),
        "retrieval": weights.retrieval,
        "numbers": {k: round(v, 4) for k, v in numbers.items()},
        "data": data,
    }
    write_json(path, about)
