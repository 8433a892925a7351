"""Routing by an encoder that was fine-tuned for it; torch is needed to fit, ONNX Runtime to serve.

Many labels (intents) are narrow: each has one prototype, and the nearest wins (see `finetune`); what is far from them all is out of scope.
Few labels (experts) are wide, and their
borders crooked: the examples vote by their similarity, as in the router `similarity`, but in the space that was tuned for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from core.errors import InputError
from core.types import OUT_OF_SCOPE, Neighbour
from graph.routers.base import Examples, class_weights
from graph.routers.calibration import Floats, Ints
from graph.routers.saved import broken, files_of, read_router, write_router
from graph.routers.scored import ScoredRouter
from graph.routers.votes import Votes, distrust_of, highest, learn, tally
from retrieval.encoder import MAX_TOKENS, Encoder, Vectors
from retrieval.onnx_bank import OnnxBank, as_kept, write_bank
from retrieval.onnx_text import OnnxText

if TYPE_CHECKING:
    from graph.routers.finetune import Tuner

HELD_OUT = 10
"""Every so many-th example calibrates; in the last epoch it is learnt from too, when the learning rate is nearly nothing."""
MODEL, TOKENIZER, BANK = "model.onnx", "tokenizer.json", "bank.onnx"
FEW_LABELS = 10
PROTOTYPES = 16
"""Of each of few labels, while the encoder is trained."""
SCALE = 20.0
"""Of the cosines to the prototypes: how sharp the softmax is."""
REFUSED, STEEPNESS = 0.005, 2.0
"""The threshold of out of scope leaves out this share of the experts' held-out examples; how fast its probability rises around it."""
SHARPNESS, RIDGE = 1.0, 0.05
"""Of the votes, see `votes`."""


class TransformerRouter(ScoredRouter):
    """`base`: a BERT or RoBERTa model's name or folder, the packaged MiniLM when empty; `blend`: see `finetune.Recipe`.

    `on_step(total)` is called after each batch.
    """

    kind = "transformer"

    def __init__(
        self,
        encoder: Encoder,
        *,
        base: str = "",
        epochs: int = 6,
        blend: float = 1.0,
        balanced: bool = True,
        seed: int = 0,
        on_step: Callable[[int], None] = lambda total: None,
    ) -> None:
        super().__init__(balanced=balanced, seed=seed)
        if epochs < 1 or not 0 <= blend <= 1:
            raise InputError(f"Expected at least 1 epoch and a blend from 0 to 1; got epochs={epochs}, blend={blend}.")
        self.encoder = encoder
        self.base = base
        self.epochs = epochs
        self.blend = blend
        self._on_step = on_step
        self._folder = Path()
        self._text: OnnxText | None = None
        self._texts: list[str] = []
        self._of: list[str] = []
        self._bank: OnnxBank | None = None
        self._prototypes: Vectors = np.zeros((0, 0), np.float32)
        self._votes: Vectors = np.zeros((0, 0), np.float32)
        self._left_out: Vectors = np.zeros((0, 0), np.float32)
        self._threshold = 0.0
        self._last: tuple[str, Vectors] = "", self._votes

    @property
    def voting(self) -> bool:
        """Whether the examples vote; else each label has a prototype."""
        return len(self.labels) <= FEW_LABELS

    def _learn(self, examples: Examples) -> tuple[Ints, Floats]:
        folds, rows = examples.folds(HELD_OUT), np.arange(len(examples.texts))
        held_out = rows[folds == 0]
        tuner = self._tuner(examples, len(held_out))
        for _ in range(self.epochs - 1):
            tuner.train(rows[folds > 0])
        before = None if self.voting else tuner.vectors([examples.texts[n] for n in held_out]) @ tuner.head.T
        if before is not None and self._inside != slice(None):
            inside = examples.targets[held_out, -1] == 0
            self._threshold = float(np.quantile(before[inside, self._inside].max(axis=1), REFUSED))
        tuner.train(rows)
        made = files_of(self)
        tuner.export(made)
        if before is not None:
            self._prototypes = tuner.head
            self._open(made)
            return held_out, self._by_prototypes(before)
        vectors = _text_model(made).vectors(examples.texts)
        kept = as_kept(vectors)
        judges = _voted(kept[folds > 0], examples.signs[folds > 0])
        found = _voted(kept, examples.signs)
        write_bank(found.anchors, made / BANK)
        self._open(made)
        self._votes, self._left_out = found.votes, found.left_out.astype(np.float32)
        self._texts, self._of = examples.texts, ["+".join(own) for own in examples.own]
        return held_out, tally("kernel", vectors[held_out] @ judges.anchors.T, judges.votes, SHARPNESS)

    def _tuner(self, examples: Examples, held_out: int) -> Tuner:
        from graph.routers.finetune import BATCH, Recipe, Tuner

        total = sum(-(-rows // BATCH) for rows in [len(examples.texts) - held_out] * (self.epochs - 1) + [len(examples.texts)])
        recipe = Recipe(self.base, self.epochs, PROTOTYPES if self.voting else 1, SCALE, self.blend, seed=self.seed)
        weights = class_weights(examples.targets) if self.balanced else np.ones(len(self.labels))
        return Tuner(examples.texts, examples.targets, weights, recipe, total, lambda: self._on_step(total))

    def scores(self, texts: Sequence[str]) -> Floats:
        """See `ScoredRouter.scores`."""
        if not texts:
            return np.zeros((0, len(self.labels)))
        cosines = self._cosines(texts)
        return tally("kernel", cosines, self._votes, SHARPNESS) if self.voting else self._by_prototypes(cosines)

    def familiarity(self, texts: Sequence[str]) -> Floats:
        """See `Router.familiarity`: the highest cosine to a prototype, or vote, of an expert."""
        found: Floats = (self.scores(texts) if self.voting else self._cosines(texts))[:, self._inside].max(axis=1).astype(np.float64)
        return found

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

    def left_out_proba(self, texts: Sequence[str]) -> Floats:
        """See `Router.left_out_proba`; the votes are left out, though the encoder has seen the text."""
        place = {text: n for n, text in enumerate(self._texts)}
        scores = [self._left_out[[place[text]]] if text in place else self.scores([text]) for text in texts]
        return self.calibration.probabilities(np.concatenate([row.astype(np.float64) for row in scores]))

    def _cosines(self, texts: Sequence[str]) -> Vectors:
        """To every anchor, shape (n, anchors). The last question's are kept: probabilities and nearest examples both want them."""
        if len(texts) > 1:
            return self._compared(texts)
        if self._last[0] != texts[0]:
            self._last = texts[0], self._compared(texts)
        return self._last[1]

    def _compared(self, texts: Sequence[str]) -> Vectors:
        assert self._text, "fit or load first"
        vectors = self._text.vectors(texts)
        return self._bank.cosines(vectors) if self._bank else vectors @ self._prototypes.T

    def nearest(self, text: str, k: int) -> list[Neighbour]:
        """See `Router.nearest`; none where labels have prototypes."""
        if not self._texts:
            return []
        cosines = self._cosines([text])[0]
        return [Neighbour(self._texts[i], self._of[i], round(float(cosines[i]), 4)) for i in highest(cosines, k).tolist()]

    def _open(self, folder: Path) -> None:
        self._folder, self._text = folder, _text_model(folder)
        self._bank = OnnxBank(folder / BANK) if self.voting else None

    def save(self, folder: Path) -> None:
        """See `Router.save`."""
        settings: dict[str, Any] = {"base": self.base, "epochs": self.epochs, "blend": self.blend}
        about = self._about(self.encoder, **settings) | {"texts": self._texts, "of": self._of, "threshold": self._threshold}
        arrays = {"votes": self._votes, "left_out": self._left_out} if self.voting else {"prototypes": self._prototypes}
        files = (MODEL, TOKENIZER, BANK) if self.voting else (MODEL, TOKENIZER)
        write_router(folder, about, arrays, {name: self._folder / name for name in files})

    @classmethod
    def load(cls, folder: Path, encoder: Encoder) -> Self:
        """Open a saved router; it brings its own encoder. Raises IndexFault when it is missing or broken."""
        about, arrays = read_router(folder, cls.kind, None)
        try:
            router = cls(encoder, **about["settings"])
            router._restore(about)
            router._texts, router._of, router._threshold = about["texts"], about["of"], about["threshold"]
            if router.voting:
                router._votes, router._left_out = arrays["votes"], arrays["left_out"]
            else:
                router._prototypes = arrays["prototypes"]
            router._open(folder)
        except (ValueError, KeyError, TypeError) as error:
            raise broken(folder, cls.kind, error) from None
        return router


def _text_model(folder: Path) -> OnnxText:
    return OnnxText(folder / MODEL, folder / TOKENIZER, max_tokens=MAX_TOKENS)


def _voted(vectors: Vectors, signs: Floats) -> Votes:
    return learn("kernel", vectors, signs, distrust_of(signs), SHARPNESS, RIDGE)
