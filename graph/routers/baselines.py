"""What any router must beat: a guess, and the most frequent label."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from core.types import Neighbour
from graph.routers.base import Examples
from graph.routers.calibration import Floats
from graph.routers.saved import read_router, write_router
from retrieval.encoder import Encoder


class RandomRouter:
    """A distribution drawn evenly from all there are (Dirichlet), seeded by the text, so that it repeats."""

    kind = "random"

    def __init__(self, encoder: Encoder, *, seed: int = 0) -> None:
        self.encoder = encoder
        self.seed = seed
        self.labels: list[str] = []

    def fit(self, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """See `Router.fit`: only the labels are learnt."""
        self.labels = Examples.of(texts, labels).labels
        return self

    def calibrate(self, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """See `Router.calibrate`: a guess cannot be mended."""
        return self

    def predict_proba(self, texts: Sequence[str]) -> Floats:
        """See `Router.predict_proba`."""
        return np.array([self._drawn(text) for text in texts]).reshape(len(texts), len(self.labels))

    def left_out_proba(self, texts: Sequence[str]) -> Floats:
        """See `Router.left_out_proba`: no text is learnt from."""
        return self.predict_proba(texts)

    def familiarity(self, texts: Sequence[str]) -> Floats:
        """See `Router.familiarity`: the largest probability."""
        found: Floats = self.predict_proba(texts).max(axis=1, initial=0.0)
        return found

    def nearest(self, text: str, k: int) -> list[Neighbour]:
        """See `Router.nearest`: none are kept."""
        return []

    def save(self, folder: Path) -> None:
        """See `Router.save`."""
        about = {"kind": self.kind, "encoder": self.encoder.fingerprint, "labels": self.labels, "settings": {"seed": self.seed}}
        write_router(folder, about, {})

    @classmethod
    def load(cls, folder: Path, encoder: Encoder) -> Self:
        """Open a saved router. Raises IndexFault."""
        about, _ = read_router(folder, cls.kind, encoder.fingerprint)
        router = cls(encoder, **about["settings"])
        router.labels = about["labels"]
        return router

    def _drawn(self, text: str) -> Floats:
        digest = hashlib.sha256(f"{self.seed}:{text}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:8])).dirichlet(np.ones(len(self.labels)))


class MajorityRouter(RandomRouter):
    """The shares of the labels among the examples, whatever is asked."""

    kind = "majority"

    def __init__(self, encoder: Encoder, *, seed: int = 0) -> None:
        super().__init__(encoder, seed=seed)
        self._shares = np.zeros(0)

    def fit(self, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """See `Router.fit`."""
        super().fit(texts, labels)
        self._shares = Examples.of(texts, labels).targets.mean(axis=0)
        return self

    def _drawn(self, text: str) -> Floats:
        return self._shares

    def save(self, folder: Path) -> None:
        """See `Router.save`."""
        about = {"kind": self.kind, "encoder": self.encoder.fingerprint, "labels": self.labels, "settings": {"seed": self.seed}}
        write_router(folder, about, {"shares": self._shares})

    @classmethod
    def load(cls, folder: Path, encoder: Encoder) -> Self:
        """Open a saved router. Raises IndexFault."""
        router = super().load(folder, encoder)
        router._shares = np.asarray(read_router(folder, cls.kind, encoder.fingerprint)[1]["shares"])
        return router
