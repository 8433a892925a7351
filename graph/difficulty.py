"""Difficulty: P(the superior model is needed | prompt), learnt from what two models scored on the same prompts.

`logistic` and `xgboost` learn for each of the two models how likely its answer is right, and rank by the difference, the expected gain: a
prompt that defeats both models is hard, but escalating it is money lost. `length` is the baseline: the longer, the harder. `transformer`
and `llm` are routers with two labels. The measure is APGR (Ong et al.: RouteLLM, 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from core.errors import InputError, UnknownNameError
from graph.outcomes import Floats, Linear, Trees
from graph.prompt_features import FEATURES, STRUCTURE, prompt_features
from graph.routers.kinds import load_router, new_router
from graph.routers.saved import broken, data_hash, read_about, read_router, write_router
from retrieval.encoder import Encoder

if TYPE_CHECKING:
    from graph.routers.base import Router

ROUTE_TO_INFERIOR, ROUTE_TO_SUPERIOR = "ROUTE_TO_INFERIOR", "ROUTE_TO_SUPERIOR"
KINDS = ("length", "logistic", "xgboost", "transformer", "llm")
OUTCOMES: dict[str, type[Linear] | type[Trees]] = {"logistic": Linear, "xgboost": Trees}
BUILT_ON_ROUTERS = ("transformer", "llm")
SAVED_AS = "difficulty"
MIDDLING = 1000.0
"""Characters of a prompt that `length` gives one half."""
SURE = 0.001
"""No probability is nearer to 0 or 1."""
Scores = Sequence[float] | Floats
_STRUCTURE = [FEATURES.index(name) for name in STRUCTURE]


class DifficultyRouter:
    """One of KINDS. `settings`: keywords of the router that `transformer` and `llm` are built on (llm: model, ask)."""

    def __init__(self, kind: str, encoder: Encoder, *, seed: int = 0, **settings: Any) -> None:
        self.kind = check_kind(kind)
        self.encoder = encoder
        self.seed = seed
        self._settings = settings
        self._router: Router | None = None
        self._weak: Linear | Trees | None = None
        self._strong: Linear | Trees | None = None
        self._line = 1.0, 0.0
        self._data = ""

    def fit(self, prompts: Sequence[str], weak_scores: Scores, strong_scores: Scores) -> Self:
        """Learn from the scores of the inferior and the superior model on each prompt, all in [0, 1] or all in [1, 10].

        Raises InputError for other scores, for no rows, for empty prompts, and where the superior model is needed always or never.
        """
        weak, strong = check_scores(prompts, weak_scores, strong_scores)
        needed = strong > weak
        labels = [ROUTE_TO_SUPERIOR if n else ROUTE_TO_INFERIOR for n in needed]
        self._data = data_hash(prompts, [f"{w} {s}" for w, s in zip(weak, strong, strict=True)])
        if self.kind in BUILT_ON_ROUTERS:
            self._router = new_router(self.kind, self.encoder, seed=self.seed, balanced=False, **self._settings).fit(prompts, labels)
            return self
        if outcome := OUTCOMES.get(self.kind):
            inputs = self._inputs(prompts)
            self._weak, self._strong = outcome.fit(inputs, weak, self.seed), outcome.fit(inputs, strong, self.seed)
            self._line = _line(weak, strong)
        return self

    def predict_proba(self, prompts: Sequence[str]) -> Floats:
        """P(the superior model is needed) in (0, 1), shape (len(prompts),); of `length` it is but an order."""
        if self._router is not None:
            return self._router.predict_proba(prompts)[:, self._router.labels.index(ROUTE_TO_SUPERIOR)]
        if not prompts:
            return np.zeros(0)
        if self._weak is None or self._strong is None:
            length = np.array([len(prompt) for prompt in prompts], np.float64)
            return length / (length + MIDDLING)
        inputs = self._inputs(prompts)
        gain = self._strong.probabilities(inputs) - self._weak.probabilities(inputs)
        slope, offset = self._line
        found: Floats = np.clip(slope * gain + offset, SURE, 1 - SURE)
        return found

    @property
    def replies(self) -> tuple[int, int]:
        """Of the kind llm, how many replies the chat model has given, and how many of them stated no probabilities."""
        from graph.routers.llm import ChatRouter

        return (self._router.asked, self._router.unparsable) if isinstance(self._router, ChatRouter) else (0, 0)

    def save(self, folder: Path) -> None:
        """Write the router, whole or not at all, without pickle. Raises IndexFault."""
        if self._router is not None:
            self._router.save(folder)
            return
        about = {
            "kind": SAVED_AS,
            "difficulty": self.kind,
            "encoder": self._fingerprint,
            "labels": [ROUTE_TO_INFERIOR, ROUTE_TO_SUPERIOR],
            "features": list(FEATURES),
            "settings": {"seed": self.seed},
            "data": self._data,
            "line": self._line,
        }
        models = {"weak": self._weak, "strong": self._strong}
        write_router(folder, about, {f"{side}-{name}": a for side, model in models.items() if model for name, a in model.arrays().items()})

    @classmethod
    def load(cls, folder: Path, encoder: Encoder, **settings: Any) -> Self:
        """Open a saved router; `settings` as in the constructor. Raises IndexFault when it is missing, broken, or of another encoder."""
        try:
            about = read_about(folder)
            if about["kind"] in BUILT_ON_ROUTERS:
                router = cls(about["kind"], encoder, **settings)
                router._router = load_router(folder, encoder, **({"ask": settings["ask"]} if about["kind"] == "llm" else {}))
                return router
            router = cls(about["difficulty"], encoder, **about["settings"])
            if about["features"] != list(FEATURES):
                raise ValueError("it was trained on other features of the text")
            about, arrays = read_router(folder, SAVED_AS, router._fingerprint)
            if outcome := OUTCOMES.get(router.kind):
                router._weak, router._strong = (
                    outcome.of({name.removeprefix(f"{side}-"): a for name, a in arrays.items() if name.startswith(side)})
                    for side in ("weak", "strong")
                )
            (slope, offset), router._data = about["line"], about["data"]
            router._line = float(slope), float(offset)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise broken(folder, SAVED_AS, error) from None
        return router

    @property
    def _fingerprint(self) -> str:
        """Of the encoder, where it matters."""
        return self.encoder.fingerprint if self.kind == "logistic" else ""

    def _inputs(self, prompts: Sequence[str]) -> Floats:
        """Shape (n, columns). A question that was just routed is encoded already."""
        features = prompt_features(prompts)
        if self.kind == "xgboost":
            return features[:, _STRUCTURE]
        return np.hstack([features, self.encoder.encode(prompts).astype(np.float64)])


def check_kind(kind: str) -> str:
    """The kind itself. Raises UnknownNameError."""
    if kind not in KINDS:
        raise UnknownNameError("difficulty router", kind, list(KINDS))
    return kind


def check_scores(prompts: Sequence[str], weak_scores: Scores, strong_scores: Scores) -> tuple[Floats, Floats]:
    """The scores, in [0, 1]. Raises InputError, see `DifficultyRouter.fit`."""
    weak, strong = np.asarray(weak_scores, np.float64), np.asarray(strong_scores, np.float64)
    if not len(prompts) == len(weak) == len(strong):
        raise InputError(
            f"Expected two scores for each prompt; got {len(prompts)} prompts, {len(weak)} weak and {len(strong)} strong scores."
        )
    if not len(prompts):
        raise InputError("Expected prompts with the scores of two models; got no rows.")
    if empty := [n for n, prompt in enumerate(prompts, 1) if not prompt.strip()]:
        raise InputError(f"Row {empty[0]}: expected a prompt; it is empty. Remove the row.")
    both = np.r_[weak, strong]
    if not (np.isfinite(both).all() and both.min() >= 0 and (both.max() <= 1 or (both.min() >= 1 and both.max() <= 10))):
        raise InputError(f"Expected all scores in [0, 1], or all from 1 to 10; got {both.min():g} to {both.max():g}.")
    if both.max() > 1:
        weak, strong = (weak - 1) / 9, (strong - 1) / 9
    needed = int((strong > weak).sum())
    if needed in (0, len(prompts)):
        raise InputError(
            f"Expected rows that need the superior model (strong_score above weak_score) and rows that do not; "
            f"{'none' if needed == 0 else 'all'} of the {len(prompts)} need it: there is nothing to learn."
        )
    return weak, strong


def _line(weak: Floats, strong: Floats) -> tuple[float, float]:
    """(slope, offset) from the expected gain to P(strong > weak), which is P(strong > weak) - P(weak > strong) + P(weak > strong).

    Of scores of 0 and 1 that difference is the gain itself; of others it is in proportion. The last term is the rows' share.
    """
    better, worse, gain = float((strong > weak).mean()), float((weak > strong).mean()), float((strong - weak).mean())
    return (better - worse) / gain if gain > 0 and better > worse else 1.0, worse
