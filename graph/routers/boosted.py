"""Gradient-boosted trees on embeddings, by xgboost. Optional: pip install 'switchyard[xgboost]'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, Self

import numpy as np

from core.errors import InputError
from graph.routers.base import Examples, as_single, class_weights, parts
from graph.routers.calibration import Floats, Ints
from graph.routers.saved import broken, read_router, write_router
from graph.routers.scored import EmbeddedRouter, Features
from retrieval.encoder import Encoder

MODEL = "model.ubj"
HELD_OUT = 7
"""One in so many examples is kept back: it tells when to stop, and calibrates."""
MOST_ROUNDS = 600
PATIENCE = 20
PARAMETERS = {
    "objective": "multi:softprob",
    "eval_metric": "mlogloss",
    "tree_method": "hist",
    "max_bin": 64,
    "max_depth": 4,
    "eta": 0.15,
    "subsample": 0.8,
    "colsample_bynode": 0.2,
    "min_child_weight": 2,
    "lambda": 2.0,
}


class BoostedRouter(EmbeddedRouter):
    """Trees are added until the held-out loss has not fallen for PATIENCE rounds. See `ScoredRouter`."""

    kind = "xgboost"

    def __init__(self, encoder: Encoder, *, features: Features | None = None, balanced: bool = True, seed: int = 0) -> None:
        super().__init__(encoder, features=features, balanced=balanced, seed=seed)
        self._booster: Any = None

    def scores(self, texts: Sequence[str]) -> Floats:
        """See `ScoredRouter.scores`."""
        if not texts:
            return np.zeros((0, len(self.labels)))
        return _margins(self._booster, self.inputs(texts), len(self.labels))

    def _learn(self, examples: Examples) -> tuple[Ints, Floats]:
        xgboost = _xgboost()
        inputs, targets = self.inputs(examples.texts), examples.targets
        inside, outside = next(parts(examples.folds(min(HELD_OUT, len(inputs)))))
        weight = class_weights(targets) if self.balanced else np.ones(targets.shape[1])

        def matrix(chosen: Ints) -> Any:
            rows, labels, weights = as_single(targets[chosen], weight)
            return xgboost.DMatrix(inputs[chosen][rows].astype(np.float32), labels, weight=weights)

        booster = xgboost.train(
            PARAMETERS | {"num_class": targets.shape[1], "seed": self.seed},
            matrix(outside),
            MOST_ROUNDS,
            evals=[(matrix(inside), "held_out")],
            early_stopping_rounds=PATIENCE,
            verbose_eval=False,
        )
        self._booster = booster[: booster.best_iteration + 1]
        return inside, _margins(self._booster, inputs[inside], targets.shape[1])

    def save(self, folder: Path) -> None:
        """See `Router.save`."""
        with TemporaryDirectory() as made:
            path = Path(made) / MODEL
            self._booster.save_model(path)
            write_router(folder, self._about(self.encoder), {}, {MODEL: path})

    @classmethod
    def load(cls, folder: Path, encoder: Encoder, *, features: Features | None = None) -> Self:
        """Open a saved router. Raises IndexFault when it is missing, broken, or of another encoder; InputError without xgboost."""
        xgboost = _xgboost()
        about, _ = read_router(folder, cls.kind, encoder.fingerprint)
        try:
            router = cls(encoder, features=features, **about["settings"])
            router._restore(about)
            router._booster = xgboost.Booster(model_file=folder / MODEL)
        except (ValueError, KeyError, TypeError, xgboost.core.XGBoostError) as error:
            raise broken(folder, cls.kind, error) from None
        return router


def _margins(booster: Any, inputs: Floats, labels: int) -> Floats:
    # One question is one row: a pool of threads that wakes for it costs more than it gains.
    booster.set_param({"nthread": 1})
    found = booster.inplace_predict(inputs.astype(np.float32), predict_type="margin")
    return np.asarray(found, np.float64).reshape(len(inputs), labels)


def _xgboost() -> ModuleType:
    try:
        import xgboost
    except ImportError:
        raise InputError("The router xgboost needs a package that is not installed. Run: pip install 'switchyard[xgboost]'") from None
    module: ModuleType = xgboost
    return module
