"""Routing by embedding similarity: every labelled example votes, the nearer the louder, and so do the experts' documents.

Votes: kernel ridge regression on the cosine similarity of the embeddings. Example i has votes a_i per label, fitted so that
    score_label(x) = sum_i a_i,label * exp(2 * sharpness * (cos(x, x_i) - 1))
is near +1 for the example's own label and -1 for the others; classes weigh the same whatever their number of examples.
(Rifkin, Yeo, Poggio: Regularized Least-Squares Classification, 2003.)

Documents: the mean cosine of a label's three nearest document vectors. A question that shares words with an expert but nothing with its
documents is a near miss.

Probabilities: softmax(temperature * score + evidence * documents + bias of out_of_scope). Its three numbers are fitted on the examples,
each with its own vote left out in closed form: calibrated without a second data set. (Guo et al.: On Calibration of Modern Neural
Networks, 2017.)
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.errors import IndexFault, InputError
from core.types import OUT_OF_SCOPE, Neighbour
from retrieval.encoder import Encoder, Vectors
from retrieval.vectors import VectorStore

FORMAT = 4
ARRAYS = ("vectors.npy", "votes.npy", "left_out.npy")
NEAREST_DOCUMENTS = 3
SHORTLIST = 8
"""Documents are only looked at for the labels with the highest votes: the cost of a route does not grow with the number of experts."""
Floats = NDArray[np.float64]
Documents = Callable[[str], VectorStore | None]
"""The vectors of a label's documents, or None where it has none."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights of votes and documents, and what is added to out_of_scope."""

    temperature: float = 1.0
    bias: float = 0.0
    evidence: float = 0.0

    def probabilities(self, scores: Floats, documents: Floats, oos: int | None) -> Floats:
        """Softmax; all of shape (n, labels). `oos`: the column of out_of_scope."""
        logits = self.temperature * scores + self.evidence * documents
        if oos is not None:
            logits[:, oos] += self.bias
        logits -= logits.max(axis=1, keepdims=True)
        weights = np.exp(logits)
        found: Floats = weights / weights.sum(axis=1, keepdims=True)
        return found


class SimilarityRouter:
    """See the module. `sharpness`: how fast a vote fades with distance; `ridge`: how much single examples are distrusted."""

    kind = "similarity"

    def __init__(self, encoder: Encoder, documents: Documents = lambda _: None, *, sharpness: float = 0.7, ridge: float = 0.03) -> None:
        self.encoder = encoder
        self.documents = documents
        self.sharpness = sharpness
        self.ridge = ridge
        self.labels: list[str] = []
        self.calibration = Calibration()
        self._texts: list[str] = []
        self._of: list[str] = []
        self._vectors: Vectors = np.zeros((0, 0), np.float32)
        self._votes: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._left_out: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._last: tuple[bytes, Vectors] = b"", self._vectors

    def fit(self, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """Learn from labelled examples. A text with several labels belongs to each of them.

        Raises InputError for no rows, one label only, or a text that is both an expert's and out of scope.
        """
        rows = _merged(texts, labels)
        self._texts, self._of = list(rows), ["+".join(own) for own in rows.values()]
        self.labels = sorted({label for own in rows.values() for label in own}, key=lambda label: (label == OUT_OF_SCOPE, label))
        if len(self.labels) < 2:
            raise InputError(
                f"A router needs examples of at least two labels; got {self.labels or 'no rows'}. "
                "Add another expert, or an out_of_scope.csv (text,split) beside the experts."
            )
        self._vectors, self._last = self.encoder.encode(self._texts), (b"", self._vectors)
        targets = np.array([[1.0 if label in own else -1.0 for label in self.labels] for own in rows.values()])
        size = Counter(label for own in rows.values() for label in own)
        distrust = np.array([max(size[label] for label in own) * len(self.labels) / len(self._of) for own in rows.values()])
        inverse = _inverse(self._kernel(self._vectors) + self.ridge * np.diag(distrust.astype(np.float32)))
        votes = inverse @ targets
        self._votes = votes.astype(np.float32)
        left_out = targets - votes / np.diag(inverse)[:, None]
        single = np.array([len(own) == 1 for own in rows.values()])
        truth = targets.argmax(axis=1)
        evidence = self._evidence(self._vectors, left_out)
        self.calibration = fit_calibration(left_out[single], evidence[single], truth[single], self._oos)
        self._left_out = self.calibration.probabilities(left_out, evidence, self._oos).astype(np.float32)
        return self

    def left_out_proba(self, texts: Sequence[str]) -> Floats:
        """As `predict_proba`, but the router's own examples are judged as if never seen: for whoever learns from these numbers."""
        found = self.predict_proba(texts)
        for row, text in enumerate(texts):
            if text in self._texts:
                found[row] = self._left_out[self._texts.index(text)]
        return found

    def predict_proba(self, texts: Sequence[str]) -> Floats:
        """See `Router.predict_proba`. One encoding a text."""
        return self.proba_of(self.encoder.encode(list(texts)))

    def proba_of(self, vectors: Vectors) -> Floats:
        """Probabilities of texts that are already encoded, shape (n, len(labels))."""
        scores = (self._kernel(vectors) @ self._votes).astype(np.float64)
        return self.calibration.probabilities(scores, self._evidence(vectors, scores), self._oos)

    def _evidence(self, vectors: Vectors, scores: Floats) -> Floats:
        """Mean cosine of each label's nearest document vectors, less one half; 0 for labels without documents or off the shortlist."""
        found = np.zeros_like(scores)
        for row, vector in enumerate(vectors):
            for column in np.argsort(-scores[row])[:SHORTLIST]:
                store = self.documents(self.labels[column]) if column != self._oos else None
                if store is not None:
                    found[row, column] = store.search(vector, NEAREST_DOCUMENTS)[1].mean() - 0.5
        return found

    def nearest(self, text: str, k: int) -> list[Neighbour]:
        """See `Router.nearest`."""
        cosines = self._cosines(self.encoder.encode([text]))[0]
        nearest = np.argpartition(-cosines, min(k, len(cosines)) - 1)[:k]
        found = [Neighbour(self._texts[i], self._of[i], round(float(cosines[i]), 4)) for i in nearest]
        return sorted(found, key=lambda neighbour: -neighbour.similarity)

    def vectors_of(self, label: str) -> Vectors:
        """The vectors of a label's examples, shape (n, dimensions)."""
        return self._vectors[[own == label for own in self._of]]

    def _kernel(self, vectors: Vectors) -> NDArray[np.float32]:
        kernel: NDArray[np.float32] = np.exp(2 * self.sharpness * (self._cosines(vectors) - 1))
        return kernel

    def _cosines(self, vectors: Vectors) -> Vectors:
        """To every example, shape (n, examples). The last question's are kept: probabilities and nearest examples both want them."""
        question = vectors.tobytes() if len(vectors) == 1 else b""
        known, cosines = self._last
        if not question or question != known:
            cosines = vectors @ self._vectors.T
            if question:
                self._last = question, cosines
        return cosines

    @property
    def _oos(self) -> int | None:
        return self.labels.index(OUT_OF_SCOPE) if OUT_OF_SCOPE in self.labels else None

    def save(self, folder: Path) -> None:
        """Write to `folder`, replacing what was there only when the new router is whole."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(mkdtemp(prefix=".new-", dir=folder.parent))
        for name, array in zip(ARRAYS, (self._vectors, self._votes, self._left_out), strict=True):
            np.save(fresh / name, array)
        about = {
            "format": FORMAT,
            "kind": self.kind,
            "encoder": self.encoder.fingerprint,
            "sharpness": self.sharpness,
            "ridge": self.ridge,
            "labels": self.labels,
            "calibration": asdict(self.calibration),
            "data": data_hash(self._texts, self._of),
            "checksums": {name: _checksum(fresh / name) for name in ARRAYS},
            "texts": self._texts,
            "of": self._of,
        }
        (fresh / "router.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)

    @classmethod
    def load(cls, folder: Path, encoder: Encoder, documents: Documents = lambda _: None) -> SimilarityRouter:
        """Open a saved router. Raises IndexFault when it is missing, broken, or of another encoder."""
        try:
            about = json.loads((folder / "router.json").read_text(encoding="utf-8"))
            if about["format"] != FORMAT or about["encoder"] != encoder.fingerprint:
                raise IndexFault(f"The router in {folder} was made by another encoder. Run: switchyard index --force")
            router = cls(encoder, documents, sharpness=about["sharpness"], ridge=about["ridge"])
            router.labels, router._texts, router._of = about["labels"], about["texts"], about["of"]
            router.calibration = Calibration(**about["calibration"])
            if about["checksums"] != {name: _checksum(folder / name) for name in ARRAYS}:
                raise ValueError("its files are not those that were saved")
            router._vectors, router._votes, router._left_out = (np.load(folder / name, mmap_mode="r") for name in ARRAYS)
            return router
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise IndexFault(f"The router in {folder} cannot be read: {error}. Run: switchyard index --force") from None


def fit_calibration(scores: Floats, documents: Floats, truth: NDArray[np.int_], oos: int | None) -> Calibration:
    """The calibration with the least cross-entropy, classes weighing the same."""
    from scipy.optimize import minimize

    share = np.bincount(truth, minlength=scores.shape[1])[truth]
    weight = (1 / share) / (1 / share).sum()

    def of(values: Floats) -> Calibration:
        return Calibration(float(np.exp(values[0])), float(values[1]), float(values[2]) if documents.any() else 0.0)

    def loss(values: Floats) -> float:
        p = of(values).probabilities(scores, documents, oos)
        return float(-(weight * np.log(p[np.arange(len(truth)), truth] + 1e-12)).sum())

    return of(minimize(loss, np.array([1.0, 0.0, 4.0]), method="Nelder-Mead").x)


def data_hash(texts: Sequence[str], labels: Sequence[str]) -> str:
    """Changes whenever an example does."""
    return hashlib.sha256("\0".join([*texts, *labels]).encode()).hexdigest()[:16]


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _inverse(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inverse of a positive definite matrix, in place, by Cholesky: a third of the work of a general inverse."""
    from scipy.linalg import lapack

    factor, _ = lapack.spotrf(matrix, overwrite_a=True)
    inverse, failed = lapack.spotri(factor, overwrite_c=True)
    if failed:
        raise InputError("The router's examples cannot be told apart: are some of them the same but for spaces?")
    whole: NDArray[np.float32] = np.triu(inverse) + np.triu(inverse, 1).T
    return whole


def _merged(texts: Sequence[str], labels: Sequence[str]) -> dict[str, list[str]]:
    """Each text with its labels. Raises InputError for a text that is both an expert's and out of scope."""
    rows: dict[str, list[str]] = {}
    for text, label in zip(texts, labels, strict=True):
        known = rows.setdefault(text, [])
        if label not in known:
            known.append(label)
        if len(known) > 1 and OUT_OF_SCOPE in known:
            raise InputError(f"The example {text!r} is labelled both {' and '.join(known)}: keep one.")
    return rows
