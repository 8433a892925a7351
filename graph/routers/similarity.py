"""Routing by embedding similarity: to the labelled examples, and to the experts' documents.

Scores: by default the votes of all examples (see `votes`), or where examples are very many and labels few and wide the nearness to each
label's nearest examples (see `neighbours`). The examples are compared with a question in four bits (see `onnx_bank`), and whatever is
learnt is learnt for them as they are then.

Documents: the mean cosine of a label's three nearest document vectors. A question that shares words with an expert but nothing with its
documents is a near miss.

Probabilities: softmax(temperature * score + evidence * documents + bias of out_of_scope). Its three numbers are fitted on the examples,
each left out itself: calibrated without a second data set. (Guo et al.: On Calibration of Modern Neural Networks, 2017.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.types import OUT_OF_SCOPE, Neighbour
from graph.routers.base import Examples
from graph.routers.calibration import Floats, softmax
from graph.routers.documents import Documents, nearness
from graph.routers.neighbours import FEW_LABELS, Members, closeness, left_out, members_of
from graph.routers.saved import Arrays, broken, data_hash, files_of, read_router, write_router
from graph.routers.votes import EXACT_UP_TO, distrust_of, highest, learn, tally
from retrieval.encoder import Encoder, Vectors
from retrieval.onnx_bank import OnnxBank, as_kept, write_bank

METHODS = ("auto", "neighbours", "kernel", "centroids")
BANK = "bank.onnx"
MANY = 10_000
"""Examples. Up to here the votes of all are learnt in seconds; of these the nearest tell as much."""
SHORTLIST = 8
"""Documents are only looked at for the labels with the highest votes: the cost of a route does not grow with the number of experts."""


@dataclass(frozen=True, slots=True)
class Weighing:
    """Weights of scores and documents, and what is added to out_of_scope."""

    temperature: float = 1.0
    bias: float = 0.0
    evidence: float = 0.0

    def probabilities(self, scores: Floats, documents: Floats, oos: int | None) -> Floats:
        """All of shape (n, labels). `oos`: the column of out_of_scope."""
        logits = self.temperature * scores + self.evidence * documents
        if oos is not None:
            logits[:, oos] += self.bias
        return softmax(logits)


class SimilarityRouter:
    """See the module. `method`: auto, neighbours, or of `votes`; the rest is for the kernel.

    `sharpness`: how fast a vote fades with distance; `ridge`: how much examples are distrusted.
    """

    kind = "similarity"

    def __init__(
        self,
        encoder: Encoder,
        documents: Documents = lambda _: None,
        *,
        method: str = "auto",
        sharpness: float = 0.7,
        ridge: float = 0.03,
    ) -> None:
        if method not in METHODS:
            raise InputError(f"Expected a method of similarity among {', '.join(METHODS)}; got {method!r}.")
        if not (0 < sharpness < np.inf and 0 < ridge < np.inf):
            raise InputError(f"Expected a sharpness and a ridge above 0; got sharpness={sharpness}, ridge={ridge}.")
        self.encoder = encoder
        self.documents = documents
        self.method = method
        self.sharpness = sharpness
        self.ridge = ridge
        self.labels: list[str] = []
        self.weighing = Weighing()
        self._texts: list[str] = []
        self._of: list[str] = []
        self._members: Members = []
        self._vectors: NDArray[np.float16] = np.zeros((0, 0), np.float16)
        self._bank: OnnxBank | None = None
        self._anchors: Vectors = np.zeros((0, 0), np.float32)
        self._votes: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._left_out: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._last: tuple[bytes, Vectors] = b"", self._anchors

    def fit(self, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """See `Router.fit`. A text with several labels belongs to each of them."""
        examples = Examples.of(texts, labels)
        self.labels = examples.labels
        rows = dict(zip(examples.texts, examples.own, strict=True))
        self._remember(list(rows), ["+".join(own) for own in rows.values()])
        if self._by == "kernel" and len(rows) > EXACT_UP_TO:
            rows = {examples.texts[n]: examples.own[n] for n in np.random.default_rng(0).permutation(len(rows))}
            self._remember(list(rows), ["+".join(own) for own in rows.values()])
        vectors = self.encoder.encode(self._texts)
        made = files_of(self)
        write_bank(vectors, made / BANK)
        self._bank, self._vectors, self._last = OnnxBank(made / BANK), vectors.astype(np.float16), (b"", self._anchors)
        targets = np.full((len(rows), len(self.labels)), -1.0)
        for column, own in enumerate(self._members):
            targets[own, column] = 1.0
        scores = self._learn(as_kept(vectors), targets)
        single = np.array([len(own) == 1 for own in rows.values()])
        evidence = self._evidence(vectors, scores)
        self.weighing = fit_weighing(scores[single], evidence[single], targets.argmax(axis=1)[single], self._oos)
        self._left_out = self.weighing.probabilities(scores, evidence, self._oos).astype(np.float32)
        return self

    def _remember(self, texts: list[str], of: list[str]) -> None:
        self._texts, self._of, self._members = texts, of, members_of(of, self.labels)

    def _learn(self, vectors: Vectors, targets: Floats) -> Floats:
        """The scores of the examples, each left out itself."""
        if self._by == "neighbours":
            return left_out(vectors, self._members)
        found = learn(self._by, vectors, targets, distrust_of(targets), self.sharpness, self.ridge)
        self._votes = found.votes
        if not self._every:
            self._anchors = found.anchors
        return found.left_out

    @property
    def _by(self) -> str:
        """The method that is meant by `auto`."""
        if self.method != "auto":
            return self.method
        return "neighbours" if len(self.labels) <= FEW_LABELS and len(self._texts) > MANY else "kernel"

    def calibrate(self, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """See `Router.calibrate`: it has learnt what its votes are worth from examples left out, and needs no others."""
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
        scores = self._scores(vectors)
        return self.weighing.probabilities(scores, self._evidence(vectors, scores), self._oos)

    def familiarity(self, texts: Sequence[str]) -> Floats:
        """See `Router.familiarity`: the votes for the likeliest expert."""
        inside = [n for n in range(len(self.labels)) if n != self._oos]
        found: Floats = self._scores(self.encoder.encode(list(texts)))[:, inside].max(axis=1, initial=-np.inf)
        return found

    def _scores(self, vectors: Vectors) -> Floats:
        if self._by == "neighbours":
            return closeness(self._cosines(vectors), self._members)
        cosines = self._cosines(vectors) if self._every else vectors @ self._anchors.T
        return tally(self._by, cosines, self._votes, self.sharpness)

    def _evidence(self, vectors: Vectors, scores: Floats) -> Floats:
        """Mean cosine of each label's nearest document vectors, less one half; 0 for labels without documents or off the shortlist."""
        found = np.zeros_like(scores)
        for row, vector in enumerate(vectors):
            for column in np.argsort(-scores[row])[:SHORTLIST]:
                store = self.documents(self.labels[column]) if column != self._oos else None
                if store is not None:
                    found[row, column] = nearness(store, vector) - 0.5
        return found

    def nearest(self, text: str, k: int) -> list[Neighbour]:
        """See `Router.nearest`."""
        vector = self.encoder.encode([text])
        nearest = highest(self._cosines(vector)[0], k)
        cosines = self._vectors[nearest].astype(np.float32) @ vector[0]
        found = [Neighbour(self._texts[i], self._of[i], round(float(c), 4)) for i, c in zip(nearest, cosines, strict=True)]
        return sorted(found, key=lambda neighbour: -neighbour.similarity)

    def examples(self) -> tuple[list[str], list[str], Vectors]:
        """What it has learnt from: texts, labels (several joined by +) and vectors, shape (n, dimensions)."""
        return self._texts, self._of, self._vectors.astype(np.float32)

    def _cosines(self, vectors: Vectors) -> Vectors:
        """To every example, shape (n, examples). The last question's are kept: probabilities and nearest examples both want them."""
        assert self._bank, "fit or load first"
        question = vectors.tobytes() if len(vectors) == 1 else b""
        known, cosines = self._last
        if not question or question != known:
            cosines = self._bank.cosines(vectors)
            if question:
                self._last = question, cosines
        return cosines

    @property
    def _every(self) -> bool:
        """Whether each example votes for itself."""
        return self._by == "kernel" and len(self._votes) == len(self._vectors)

    @property
    def _oos(self) -> int | None:
        return self.labels.index(OUT_OF_SCOPE) if OUT_OF_SCOPE in self.labels else None

    def save(self, folder: Path) -> None:
        """See `Router.save`."""
        about = {
            "kind": self.kind,
            "encoder": self.encoder.fingerprint,
            "labels": self.labels,
            "settings": {"method": self.method, "sharpness": self.sharpness, "ridge": self.ridge},
            "data": data_hash(self._texts, self._of),
            "calibration": asdict(self.weighing),
            "texts": self._texts,
            "of": self._of,
        }
        assert self._bank, "fit or load first"
        arrays: Arrays = {"vectors": self._vectors, "left_out": self._left_out}
        if self._by != "neighbours":
            arrays["votes"] = self._votes
            if not self._every:
                arrays["anchors"] = self._anchors
        write_router(folder, about, arrays, {BANK: self._bank.path})

    @classmethod
    def load(cls, folder: Path, encoder: Encoder, documents: Documents = lambda _: None) -> SimilarityRouter:
        """Open a saved router. Raises IndexFault when it is missing, broken, or of another encoder."""
        about, arrays = read_router(folder, cls.kind, encoder.fingerprint)
        try:
            router = cls(encoder, documents, **about["settings"])
            router.labels = about["labels"]
            router._remember(about["texts"], about["of"])
            router.weighing = Weighing(**about["calibration"])
            router._vectors, router._left_out = arrays["vectors"], arrays["left_out"]
            router._votes, router._anchors = (arrays.get(name, router._anchors) for name in ("votes", "anchors"))
            router._bank = OnnxBank(folder / BANK)
        except (KeyError, TypeError, ValueError) as error:
            raise broken(folder, cls.kind, error) from None
        return router


def fit_weighing(scores: Floats, documents: Floats, truth: NDArray[np.int_], oos: int | None) -> Weighing:
    """The weighing with the least cross-entropy, classes weighing the same."""
    from scipy.optimize import minimize

    share = np.bincount(truth, minlength=scores.shape[1])[truth]
    weight = (1 / share) / (1 / share).sum()

    def of(values: Floats) -> Weighing:
        return Weighing(float(np.exp(values[0])), float(values[1]), float(values[2]) if documents.any() else 0.0)

    def loss(values: Floats) -> float:
        p = of(values).probabilities(scores, documents, oos)
        return float(-(weight * np.log(p[np.arange(len(truth)), truth] + 1e-12)).sum())

    return of(minimize(loss, np.array([1.0, 0.0, 4.0]), method="Nelder-Mead").x)
