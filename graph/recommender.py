"""Model recommendation: the likely quality, cost and latency of each measured model for a prompt.

Quality is what one of KINDS has learnt from the scores of several models on the same prompts: `neighbours` (k nearest instructions),
`kernel` (ridge regression), `logistic` and `xgboost` (a learner for each model), `llm` (a chat model that is shown the nearest measured
instructions). Cost and latency are those of the nearest measured instructions, whatever the kind. What follows from it is decided in
`graph.recommendation`; how good it is, `switchyard eval recommendation` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from core.errors import InputError, UnknownNameError
from graph.asked_scores import SHOWN, AskedScores
from graph.outcomes import Floats, Ints
from graph.prompt_features import FEATURES, prompt_features
from graph.routers.llm import Ask
from graph.routers.saved import broken, data_hash, read_router, write_router
from graph.scorers import SCORERS, Scorer, near_mean
from retrieval.encoder import Encoder

LLM = "llm"
KINDS = (*SCORERS, LLM)
SAVED_AS = "recommender"
MOST = 8_000
"""Rows that are learnt from: of more, so many drawn at random. The matrix of `kernel` grows with their square."""
LONGEST = 600
"""Characters of a measured prompt that are kept to be shown."""
_SCORER, _LEARNT = "scorer-", ("vectors", "scores", "costs", "latencies")


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What several models scored on the same prompts. scores: (n, models) in [0, 1], NaN where a model was not measured.

    costs: USD, latencies: milliseconds; of the same shape, NaN where unknown.
    """

    prompts: list[str]
    models: list[str]
    scores: Floats
    costs: Floats
    latencies: Floats

    def rows(self, chosen: Sequence[int] | Ints) -> Measured:
        """Some of the rows, in this order."""
        numbers = np.asarray(chosen, np.int64)
        values = (getattr(self, name)[numbers] for name in _LEARNT[1:])
        return Measured([self.prompts[n] for n in numbers], self.models, *values)


@dataclass(frozen=True, slots=True)
class Near:
    """A measured instruction near a prompt. `similarity`: cosine in [-1, 1]; `scores`: of the models that were measured on it."""

    prompt: str
    similarity: float
    scores: dict[str, float] = field(default_factory=dict)


class Recommender:
    """One of KINDS. `model` and `ask` are for `llm` alone: the chat model that is asked, and what calls it.

    worth: how much quality a dollar is worth: a model is preferred by quality - worth * cost. Chosen by training; 0: cost is of no account.
    """

    def __init__(self, kind: str, encoder: Encoder, *, seed: int = 0, model: str | None = None, ask: Ask | None = None) -> None:
        if kind not in KINDS:
            raise UnknownNameError("recommender", kind, list(KINDS))
        if kind == LLM and not (model and ask):
            raise InputError("The kind llm asks a chat model: expected --model SPEC, for example --model openai:gpt-5-mini.")
        self.kind, self.encoder, self.seed, self.worth = kind, encoder, seed, 0.0
        self._asked = AskedScores(model, ask) if model and ask else None
        self._scorer: Scorer | None = None
        self._known, self._characters = Measured([], [], *(np.zeros((0, 0)) for _ in range(3))), np.zeros(0)
        self._vectors = np.zeros((0, encoder.dimensions), np.float32)
        self._data = ""

    @property
    def models(self) -> list[str]:
        """Those that were measured, in the order of all columns."""
        return self._known.models

    @property
    def counts(self) -> list[int]:
        """Prompts that each model was measured on."""
        return [int(n) for n in np.isfinite(self._known.scores).sum(axis=0)]

    @property
    def means(self) -> list[tuple[float, float]]:
        """(mean score, mean cost in USD or NaN) of each model over what it was measured on."""
        costs = (own[np.isfinite(own)] for own in self._known.costs.T)
        return [(float(np.nanmean(own)), float(c.mean()) if len(c) else np.nan) for own, c in zip(self._known.scores.T, costs, strict=True)]

    @property
    def unparsable(self) -> int:
        """Replies to the kind llm that stated nothing usable, so that the nearest prompts' means stand in."""
        return self._asked.unparsable if self._asked else 0

    def fit(self, measured: Measured) -> Self:
        """Learn. Raises InputError without rows, with fewer than two models, or with a model that has no score."""
        _check(measured)
        if len(measured.prompts) > MOST:
            measured = measured.rows(np.sort(np.random.default_rng(self.seed).permutation(len(measured.prompts))[:MOST]))
        self._known, self._characters = measured, _lengths(measured.prompts)
        self._data = data_hash(measured.prompts, [repr(row) for row in measured.scores.tolist()])
        inputs = inputs_of(measured.prompts, self.encoder)
        self._vectors = inputs[:, len(FEATURES) :].astype(np.float32)
        if self.kind != LLM:
            self._scorer = SCORERS[self.kind].fit(inputs, measured.scores, self.seed)
        return self

    def qualities(self, prompts: Sequence[str]) -> Floats:
        """The likely score of each model, in [0, 1], shape (len(prompts), models). The kind llm raises ModelError."""
        if not prompts:
            return np.zeros((0, len(self.models)))
        if self._scorer is not None:
            return np.clip(self._scorer.predict(inputs_of(prompts, self.encoder)), 0, 1)
        assert self._asked is not None, "of the kind llm"
        near = near_mean(self.encoder.encode(prompts), self._vectors, self._known.scores)
        usual = [dict(zip(self.models, row.tolist(), strict=True)) for row in near]
        return np.stack([self._asked.scores(p, self.nearest(p, SHOWN), u) for p, u in zip(prompts, usual, strict=True)])

    def costs(self, prompts: Sequence[str]) -> Floats:
        """USD of an answer of each model, NaN where unknown, shape (len(prompts), models)."""
        return near_mean(self.encoder.encode(prompts), self._vectors, self._known.costs)

    def latencies(self, prompts: Sequence[str]) -> Floats:
        """As `costs`, in milliseconds."""
        return near_mean(self.encoder.encode(prompts), self._vectors, self._known.latencies)

    def characters(self, prompt: str) -> float:
        """How long the measured prompts are, on average, whose costs and latencies are expected of a prompt."""
        return float(near_mean(self.encoder.encode([prompt]), self._vectors, self._characters[:, None])[0, 0])

    def nearest(self, prompt: str, k: int) -> list[Near]:
        """The `k` measured instructions nearest to a prompt, nearest first."""
        cosines = self._vectors @ self.encoder.encode([prompt])[0]
        found = []
        for row in np.argsort(-cosines, kind="stable")[:k]:
            scores = zip(self.models, self._known.scores[row].tolist(), strict=True)
            text = self._known.prompts[row][:LONGEST]
            found.append(Near(text, round(float(cosines[row]), 4), {m: round(s, 4) for m, s in scores if np.isfinite(s)}))
        return found

    def save(self, folder: Path) -> None:
        """Write it, whole or not at all, without pickle. Raises IndexFault."""
        about = {
            "kind": SAVED_AS,
            "recommender": self.kind,
            "encoder": self.encoder.fingerprint,
            "labels": self.models,
            "features": list(FEATURES),
            "settings": {"seed": self.seed, "model": self._asked.model if self._asked else None},
            "data": self._data,
            "worth": self.worth,
            "prompts": [prompt[:LONGEST] for prompt in self._known.prompts],
            "characters": self._characters.tolist(),
        }
        arrays = {name: getattr(self._known, name).astype(np.float32) for name in _LEARNT[1:]} | {"vectors": self._vectors}
        learnt = self._scorer.arrays() if self._scorer else {}
        write_router(folder, about, arrays | {f"{_SCORER}{name}": array for name, array in learnt.items()})

    @classmethod
    def load(cls, folder: Path, encoder: Encoder, *, ask: Ask | None = None) -> Self:
        """Open a saved one. Raises IndexFault when it is missing, broken, or of another encoder."""
        about, arrays = read_router(folder, SAVED_AS, encoder.fingerprint)
        try:
            if about["features"] != list(FEATURES):
                raise ValueError("it was trained on other features of the text")
            found = cls(about["recommender"], encoder, ask=ask, **about["settings"])
            scores, costs, latencies = (np.asarray(arrays[name], np.float64) for name in _LEARNT[1:])
            found._known = Measured(list(about["prompts"]), list(about["labels"]), scores, costs, latencies)
            # One that was saved before lengths were: those of the kept beginnings stand in.
            found._characters = np.array(about.get("characters", _lengths(found._known.prompts)), np.float64)
            found._vectors, found._data, found.worth = arrays["vectors"], about["data"], float(about["worth"])
            if found.kind != LLM:
                learnt = {name.removeprefix(_SCORER): array for name, array in arrays.items() if name.startswith(_SCORER)}
                found._scorer = SCORERS[found.kind].of(learnt)
        except (ValueError, KeyError, TypeError) as error:
            raise broken(folder, SAVED_AS, error) from None
        return found


def _lengths(prompts: Sequence[str]) -> Floats:
    return np.array([len(prompt) for prompt in prompts], np.float64)


def inputs_of(prompts: Sequence[str], encoder: Encoder) -> Floats:
    """Shape (n, columns): the prompts' features, then their embeddings."""
    return np.hstack([prompt_features(prompts), encoder.encode(prompts).astype(np.float64)])


def _check(measured: Measured) -> None:
    if not measured.prompts or len(measured.models) < 2:
        raise InputError(
            f"Expected prompts with the scores of at least two models; got {len(measured.prompts)} prompts "
            f"and the models {', '.join(measured.models) or 'none'}."
        )
    if unscored := [m for m, own in zip(measured.models, np.isfinite(measured.scores).T, strict=True) if not own.any()]:
        raise InputError(f"Expected at least one score of each model; {unscored[0]} has none. Leave it out, or measure it.")
