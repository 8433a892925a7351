"""Routing by an encoder that was fine-tuned for it; torch is needed to fit, ONNX Runtime to serve.

Many labels (intents) are narrow: each has one prototype, and the nearest wins (see `finetune`); what is far from them all is out of scope.
Few labels (experts) are wide, and their borders crooked: the examples vote by their similarity, as in the router `similarity`, but in the
space that was tuned for it. Most questions are clear: a smaller encoder, distilled from the tuned one, may decide those (see `distil`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from core.errors import InputError
from core.types import OUT_OF_SCOPE, Neighbour
from graph.routers.base import Examples, class_weights
from graph.routers.calibration import Calibration, Floats, Ints
from graph.routers.saved import Arrays, broken, files_of, read_router, write_router
from graph.routers.scored import ScoredRouter
from graph.routers.voters import Voters, open_text
from retrieval.encoder import Encoder, Vectors

if TYPE_CHECKING:
    from graph.routers.finetune import Tuner
    from retrieval.onnx_text import OnnxText

HELD_OUT = 10
"""Every so many-th example calibrates; in the last epoch it is learnt from too, when the learning rate is nearly nothing."""
MODEL, TOKENIZER, BANK, SMALL = "model.onnx", "tokenizer.json", "bank.onnx", "small-"
FEW_LABELS = 10
PROTOTYPES = 16
"""Of each of few labels, while the encoder is trained."""
SCALE = 20.0
"""Of the cosines to the prototypes: how sharp the softmax is."""
REFUSED, STEEPNESS = 0.005, 2.0
"""The threshold of out of scope leaves out this share of the experts' held-out examples; how fast its probability rises around it."""
CLEAR = 0.005, 0.9
"""Probabilities of out of scope below and from which the small encoder's word is enough."""


class TransformerRouter(ScoredRouter):
    """`base`: a BERT or RoBERTa model's name or folder, the packaged MiniLM when empty; `blend`: see `finetune.Recipe`.

    `layers`: so many of the base's make the smaller encoder that decides what is clear; 0: there is none, nor is there above FEW_LABELS
    labels or without examples out of scope. `on_step(what, total)` is called after each batch.
    """

    kind = "transformer"

    def __init__(
        self,
        encoder: Encoder,
        *,
        base: str = "",
        epochs: int = 6,
        blend: float = 1.0,
        layers: int = 0,
        balanced: bool = True,
        seed: int = 0,
        on_step: Callable[[str, int], None] = lambda what, total: None,
    ) -> None:
        super().__init__(balanced=balanced, seed=seed)
        if epochs < 1 or not 0 <= blend <= 1:
            raise InputError(f"Expected at least 1 epoch and a blend from 0 to 1; got epochs={epochs}, blend={blend}.")
        self.encoder = encoder
        self.base = base
        self.epochs = epochs
        self.blend = blend
        self.layers = layers
        self._on_step = on_step
        self._folder = Path()
        self._of: list[str] = []
        self._whole: Voters | None = None
        self._small: Voters | None = None
        self._small_calibration = Calibration()
        self._text: OnnxText | None = None
        self._prototypes: Vectors = np.zeros((0, 0), np.float32)
        self._threshold = 0.0

    @property
    def voting(self) -> bool:
        """Whether the examples vote; else each label has a prototype."""
        return len(self.labels) <= FEW_LABELS

    def _learn(self, examples: Examples) -> tuple[Ints, Floats]:
        if self._wants_small:
            from graph.routers.distil import smaller

            smaller(self.base, self.layers)  # what cannot be made is refused before minutes of training
        self._folder, self._whole, self._small = files_of(self), None, None
        folds, rows = examples.folds(HELD_OUT), np.arange(len(examples.texts))
        held_out = rows[folds == 0]
        tuner = self._tuner(examples, len(held_out))
        for _ in range(self.epochs - 1):
            tuner.train(rows[folds > 0])
        if not self.voting:
            return held_out, self._learn_prototypes(examples, tuner, held_out)
        tuner.train(rows)
        tuner.export(self._folder)
        return held_out, self._learn_votes(examples)[held_out]

    def _learn_votes(self, examples: Examples) -> Floats:
        """The votes in the space of the encoder in the folder, and a small encoder's beside it. Each example's scores without itself."""
        made = self._folder
        self._of = ["+".join(own) for own in examples.own]
        self._whole = Voters.learn(made / MODEL, made / TOKENIZER, made / BANK, examples)
        if self._wants_small:
            self._distil(examples, self._whole)
            self._small = Voters.learn(made / (SMALL + MODEL), made / TOKENIZER, made / (SMALL + BANK), examples)
            held_out = examples.folds(HELD_OUT) == 0
            self._small_calibration = self._calibration(self._small.left_out[held_out].astype(np.float64), examples.targets[held_out])
        return self._whole.left_out.astype(np.float64)

    def _learn_prototypes(self, examples: Examples, tuner: Tuner, held_out: Ints) -> Floats:
        """The last epoch; the scores that what was held out until then had before it."""
        before = tuner.vectors([examples.texts[n] for n in held_out]) @ tuner.head.T
        if self._inside != slice(None):
            inside = examples.targets[held_out, -1] == 0
            self._threshold = float(np.quantile(before[inside, self._inside].max(axis=1), REFUSED))
        tuner.train(np.arange(len(examples.texts)))
        tuner.export(self._folder)
        self._prototypes, self._text = tuner.head, open_text(self._folder / MODEL, self._folder / TOKENIZER)
        return self._by_prototypes(before)

    def _distil(self, examples: Examples, whole: Voters) -> None:
        """Write the small encoder, which learns the vectors of the whole one and what its examples vote."""
        from graph.routers.distil import Distiller

        vectors_of = open_text(whole.model, whole.tokenizer).vectors
        small = Distiller(examples.texts, vectors_of, whole.votes, self.base, self.layers, self.seed)
        small.train(lambda: self._on_step("Distilling", small.steps))
        small.export(self._folder / (SMALL + MODEL))

    def _tuner(self, examples: Examples, held_out: int) -> Tuner:
        from graph.routers.finetune import BATCH, Recipe, Tuner

        total = sum(-(-rows // BATCH) for rows in [len(examples.texts) - held_out] * (self.epochs - 1) + [len(examples.texts)])
        # Many narrow labels hang on single words; of few wide ones, a text may hold words that no example does.
        prototypes, words = (PROTOTYPES, False) if self.voting else (1, True)
        recipe = Recipe(self.base, self.epochs, prototypes, SCALE, self.blend, words, seed=self.seed)
        weights = class_weights(examples.targets) if self.balanced else np.ones(len(self.labels))
        return Tuner(examples.texts, examples.targets, weights, recipe, total, lambda: self._on_step("Training", total))

    def calibrate(self, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """See `Router.calibrate`."""
        super().calibrate(texts, labels)
        if self._small:
            self._small_calibration = self._held_out(self._small.scores, texts, labels)
        return self

    def scores(self, texts: Sequence[str]) -> Floats:
        """See `ScoredRouter.scores`: those of the whole encoder."""
        if self._whole:
            return self._whole.scores(texts)
        return self._by_prototypes(self._to_prototypes(texts)) if texts else np.zeros((0, len(self.labels)))

    def predict_proba(self, texts: Sequence[str]) -> Floats:
        """See `Router.predict_proba`."""
        if not self._small:
            return super().predict_proba(texts)
        return self._in_two_steps(texts, self._small.scores, super().predict_proba)

    def left_out_proba(self, texts: Sequence[str]) -> Floats:
        """See `Router.left_out_proba`; the votes are left out, though the encoder has seen the text."""
        if not self._whole:
            return super().left_out_proba(texts)
        whole = self._whole.left_out_scores
        if not self._small:
            return self.calibration.probabilities(whole(texts))
        return self._in_two_steps(texts, self._small.left_out_scores, lambda rest: self.calibration.probabilities(whole(rest)))

    def _in_two_steps(self, texts: Sequence[str], small: Callable[[Sequence[str]], Floats], whole: Callable[[list[str]], Floats]) -> Floats:
        """By the small encoder; what is not clear to it by the whole one."""
        found = self._small_calibration.probabilities(small(texts))
        doubtful = np.flatnonzero((found[:, -1] >= CLEAR[0]) & (found[:, -1] < CLEAR[1]))
        if len(doubtful):
            found[doubtful] = whole([texts[n] for n in doubtful.tolist()])
        return found

    def familiarity(self, texts: Sequence[str]) -> Floats:
        """See `Router.familiarity`: the highest cosine to a prototype, or vote, of an expert."""
        found: Floats = (self.scores(texts) if self._whole else self._to_prototypes(texts))[:, self._inside].max(axis=1).astype(np.float64)
        return found

    def nearest(self, text: str, k: int) -> list[Neighbour]:
        """See `Router.nearest`, in the space that is looked at first; none where labels have prototypes."""
        asked = self._small or self._whole
        return [Neighbour(asked.texts[n], self._of[n], cosine) for n, cosine in asked.nearest(text, k)] if asked else []

    def _to_prototypes(self, texts: Sequence[str]) -> Vectors:
        assert self._text, "fit or load first"
        return self._text.vectors(texts) @ self._prototypes.T

    def _by_prototypes(self, cosines: Vectors) -> Floats:
        """Scores, shape (n, labels): out of scope wins where even the nearest prototype is farther than the threshold."""
        found: Floats = SCALE * cosines.astype(np.float64)
        if self._inside != slice(None):
            inside = found[:, self._inside]
            found[:, -1] = np.logaddexp.reduce(inside, axis=1) + STEEPNESS * (SCALE * self._threshold - inside.max(axis=1))
        return found

    @property
    def _inside(self) -> slice:
        """The experts' columns."""
        return slice(-1) if OUT_OF_SCOPE in self.labels else slice(None)

    @property
    def _wants_small(self) -> bool:
        return bool(self.layers) and self.voting and OUT_OF_SCOPE in self.labels

    def save(self, folder: Path) -> None:
        """See `Router.save`."""
        settings: dict[str, Any] = {"base": self.base, "epochs": self.epochs, "blend": self.blend, "layers": self.layers}
        about = self._about(self.encoder, **settings) | {"of": self._of, "threshold": self._threshold}
        arrays: Arrays = {"prototypes": self._prototypes}
        files = {name: self._folder / name for name in (MODEL, TOKENIZER)}
        if self._whole:
            about["texts"] = list(self._whole.texts)
            arrays, files[BANK] = _arrays(self._whole, ""), self._whole.bank
        if self._small:
            about["small"] = self._small_calibration.as_dict()
            arrays |= _arrays(self._small, SMALL)
            files |= {SMALL + MODEL: self._small.model, SMALL + BANK: self._small.bank}
        write_router(folder, about, arrays, files)

    @classmethod
    def load(cls, folder: Path, encoder: Encoder) -> Self:
        """Open a saved router; it brings its own encoder. Raises IndexFault when it is missing or broken."""
        about, arrays = read_router(folder, cls.kind, None)
        try:
            router = cls(encoder, **about["settings"])
            router._restore(about)
            router._folder, router._of, router._threshold = folder, about["of"], about["threshold"]
            if router.voting:
                router._whole = _voters(folder, "", about, arrays)
            else:
                router._prototypes, router._text = arrays["prototypes"], open_text(folder / MODEL, folder / TOKENIZER)
            if "small" in about:
                router._small, router._small_calibration = _voters(folder, SMALL, about, arrays), Calibration.from_dict(about["small"])
        except (ValueError, KeyError, TypeError) as error:
            raise broken(folder, cls.kind, error) from None
        return router


def _arrays(voters: Voters, prefix: str) -> Arrays:
    return {f"{prefix}votes": voters.votes, f"{prefix}left_out": voters.left_out}


def _voters(folder: Path, prefix: str, about: Mapping[str, Any], arrays: Arrays) -> Voters:
    files = folder / (prefix + MODEL), folder / TOKENIZER, folder / (prefix + BANK)
    return Voters(*files, about["texts"], arrays[f"{prefix}votes"], arrays[f"{prefix}left_out"])
