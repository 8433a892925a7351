"""An encoder for suites that fit many times over the same texts."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from evaluation.results import Progress, silent
from retrieval.encoder import Encoder, Vectors

MANY = 200
"""So many new texts at once take long enough to show progress."""


class RememberingEncoder:
    """Keeps every vector, and the time it took, so that many fits encode once and a decision is still timed as if its text were new."""

    def __init__(self, encoder: Encoder, progress: Progress = silent) -> None:
        self.fingerprint, self.dimensions = encoder.fingerprint, encoder.dimensions
        self.saved = 0.0
        """Seconds that remembering has saved so far: add what it grows by during a decision to the decision's own time."""
        self._encoder = encoder
        self._progress = progress
        self._kept: dict[str, tuple[Vectors, float]] = {}

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`; one text at a time, so that a vector never depends on its neighbours."""
        self.saved += sum(self._kept[text][1] for text in texts if text in self._kept)
        new = dict.fromkeys(text for text in texts if text not in self._kept)
        advance = (self._progress if len(new) >= MANY else silent)("Encoding", len(new))
        for text in new:
            start = time.perf_counter()
            vector: Vectors = self._encoder.encode([text])[0]
            self._kept[text] = (vector, time.perf_counter() - start)
            advance(1)
        vectors: Vectors = np.array([self._kept[text][0] for text in texts], np.float32).reshape(len(texts), self.dimensions)
        return vectors
