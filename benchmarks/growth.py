"""How a route grows with the number of experts, and a search with the number of passages.

Usage: python -m benchmarks.growth [--short] [--json] [--report DIR]

Experts: the similarity router with 20 examples and 200 document vectors for each of 2 to 200 experts, and 500 examples that are out of
scope; the question is encoded by the real encoder, the examples are unit vectors drawn at random, since a route's time does not
depend on what they mean. Passages: a whole search (vectors, BM25, fusion, the ten best passages read) in 100 to 1,000,000 passages of 20
words, the words drawn by Zipf's law. One thread. The turns of a conversation: see benchmarks.overhead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import numpy as np

from benchmarks.measured import COLOURS, Measured, Row, Target, axes, parser, run, spread, timed
from benchmarks.realistic import unit
from core.settings import settings
from core.types import OUT_OF_SCOPE, Passage
from experts.discovery import discover
from graph.routers.similarity import SimilarityRouter
from retrieval.encoder import Encoder, Vectors, load_encoder
from retrieval.fusion import DEFAULT_WEIGHT
from retrieval.index import FORMAT, Index, Manifest
from retrieval.lexical import Lexical
from retrieval.vectors import FaissStore
from ui.console import bars

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPERTS, SHORT_EXPERTS = (2, 5, 10, 20, 50, 100, 200), (2, 20)
EXAMPLES, OUTSIDE, DOCUMENTS = 20, 500, 200
PASSAGES, SHORT_PASSAGES = (100, 1_000, 10_000, 100_000, 1_000_000), (100, 1_000, 10_000)
WORDS, VOCABULARY, EXPONENT = 20, 50_000, 1.07
QUESTIONS, SHORT_QUESTIONS = 200, 30
SLOWEST_MS = 10.0


class Drawn:
    """Stands in for the encoder while a router learns: the vector of a text is drawn at random."""

    def __init__(self, encoder: Encoder) -> None:
        self.fingerprint, self.dimensions = encoder.fingerprint, encoder.dimensions

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        return drawn(len(texts), self.dimensions)


def drawn(n: int, dimensions: int) -> Vectors:
    """Unit vectors, shape (n, dimensions), always the same for the same n."""
    return unit(np.random.default_rng(n).standard_normal((n, dimensions), np.float32))


def main() -> None:
    """Measure and print."""
    chosen = parser(__doc__).parse_args()
    run("benchmarks.growth", chosen, lambda: measure(short=chosen.short))


def measure(*, short: bool) -> Measured:
    """Routes and searches of every size."""
    chosen = settings()
    encoder = load_encoder(chosen.encoder, chosen.indexes_dir.resolve() / ".encoder")
    questions = [i.question for e in discover(chosen.experts_dir).values() for i in e.questions("test")]
    questions = [f"{q} {n}" for n, q in enumerate(questions)][: SHORT_QUESTIONS if short else QUESTIONS]
    sizes = {"experts": SHORT_EXPERTS if short else EXPERTS, "passages": SHORT_PASSAGES if short else PASSAGES}
    measures: dict[str, Callable[[int], Row]] = {
        "experts": lambda n: route(encoder, questions, n),
        "passages": lambda n: search(encoder.encode(questions), n),
    }
    rows, plots, targets = [], {}, []
    with bars() as progress:
        for name, of in measures.items():
            advance, found = progress(f"Growing {name}", len(sizes[name])), []
            for n in sizes[name]:
                found.append(of(n))
                advance(1)
            plots[name] = plot(name, sizes[name], found)
            slowest = max(row.latency_ms["p50"] for row in found)
            targets.append(Target(f"{'route' if name == 'experts' else 'search'}, slowest median, ms", slowest, SLOWEST_MS))
            rows += found
    return Measured("growth", len(questions), rows, targets, [], plots)


def route(encoder: Encoder, questions: Sequence[str], experts: int) -> Row:
    """Decisions among so many experts, the encoding of the question included."""
    names = [f"expert {n}" for n in range(experts)]
    labels = [name for name in names for _ in range(EXAMPLES)] + [OUT_OF_SCOPE] * OUTSIDE
    stores = {name: FaissStore.build(drawn(DOCUMENTS + n, encoder.dimensions)) for n, name in enumerate(names)}
    router = SimilarityRouter(Drawn(encoder), stores.get).fit([f"example {n}" for n in range(len(labels))], labels)
    router.encoder = encoder
    asked = [f"{question} {experts}" for question in questions]  # the encoder remembers what it has seen
    router.predict_proba(["The first question loads the model."])
    return Row(f"route, {experts} experts", {}, spread(timed(lambda q: router.predict_proba([q]), asked)))


def search(questions: Vectors, n: int) -> Row:
    """Searches of `n` passages, the question's encoding not included."""
    rng = np.random.default_rng(n)
    passages = Repeated(n)
    index = Index(
        Manifest(FORMAT, "", "", n, n, DEFAULT_WEIGHT, {}),
        passages,
        mapped(FaissStore.build(drawn(n, questions.shape[1]))),
        np.arange(n + 1),
        postings(n, rng),
    )
    asked = [" ".join(f"w{word}" for word in zipf(rng, 6)) for _ in questions]
    pairs = list(zip(asked, questions, strict=True))
    timed(lambda q: index.search(*q, 10), pairs[:10])
    return Row(f"search, {n:,} passages", {}, spread(timed(lambda q: index.search(*q, 10), pairs)))


class Repeated(Sequence[Passage]):
    """One passage, `n` times."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, n: int) -> Passage:  # type: ignore[override]  # int only; Sequence's overloads ask for slices
        return Passage(str(n), str(n), "", "words", "")


def mapped(store: FaissStore) -> FaissStore:
    """The store as a server opens it: saved, and mapped. The file is gone with the last who has it open."""
    with TemporaryDirectory() as folder:
        store.save(Path(folder) / "vectors.faiss")
        return FaissStore.load(Path(folder) / "vectors.faiss")


def zipf(rng: np.random.Generator, n: int) -> list[int]:
    """Words by their rank in the vocabulary, the frequent ones drawn more often."""
    weights = 1 / np.arange(1, VOCABULARY + 1) ** EXPONENT
    found: list[int] = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(n)).tolist()
    return found


def postings(n: int, rng: np.random.Generator) -> Lexical:
    """BM25 over `n` texts of WORDS words, its scores laid out directly: the tokens of a million texts would take gigabytes as Python's."""
    weights = 1 / np.arange(1, VOCABULARY + 1) ** EXPONENT
    words = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(n * WORDS)).astype(np.int32)
    texts = np.repeat(np.arange(n, dtype=np.int32), WORDS)
    pairs = np.unique(words.astype(np.int64) * n + texts)  # a word counts once a text
    frequency = np.bincount(pairs // n, minlength=VOCABULARY)
    idf = np.log(1 + (n - frequency + 0.5) / (frequency + 0.5))
    scores = {
        "data": idf[pairs // n].astype(np.float32),
        "indices": (pairs % n).astype(np.int32),
        "indptr": np.concatenate([[0], np.cumsum(frequency)]),
        "num_docs": n,
    }
    return Lexical({f"w{word}": word for word in range(VOCABULARY)}, scores)


def plot(name: str, sizes: Sequence[int], rows: Sequence[Row]) -> Figure:
    """Median and 95th percentile by size."""
    what = "A route" if name == "experts" else "A search"
    figure, drawn_on = axes(f"{what} by the number of {name}", name, "milliseconds")
    for percentile, colour in (("p50", COLOURS[0]), ("p95", COLOURS[1])):
        drawn_on.plot(sizes, [row.latency_ms[percentile] for row in rows], "o-", label=percentile, color=colour)
    drawn_on.axhline(SLOWEST_MS, color="#8c8c8c", linestyle="--", label="to stay below")
    drawn_on.set_xscale("log")
    drawn_on.set_ylim(bottom=0)
    drawn_on.legend(frameon=False)
    return figure


if __name__ == "__main__":
    main()
