"""The suite `retrieval`: how high the right passage stands.

Without files, each expert's `test` questions on its own index, where a passage of the right document is right. With files, an index in
memory over the corpus, and the passages that the file names; the fusion's weight is chosen on one half of the questions and judged on
the other.
`reranked` is what is served: the first of the fused passages in the reader's order; with files, what the search's score counts there is
chosen in the same two halves. The others share one search, and so its latency.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.types import Hit, Passage
from evaluation.data import Query, read_corpus, read_queries
from evaluation.metrics import Floats, Ints, mean, mrr, ndcg, recall_at
from evaluation.results import Measure, Progress, Report, Result, result, silent
from evaluation.rows import Mapped
from graph.nodes.expert import CANDIDATES
from graph.services import Services
from retrieval.encoder import Encoder, Vectors
from retrieval.fusion import choose_weight, fuse
from retrieval.index import Index, assemble
from retrieval.ranking import RETRIEVAL
from retrieval.reader import Reader

DEPTHS = (1, 5, 10, 20)
BM25, DENSE = 0.0, 1.0
WRONG_BELOW = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with the candidates of both parts of an index, and the numbers of the passages that are right."""

    query: Query
    group: str
    index: Index
    ids: Ints
    cosines: Vectors
    dense: Vectors
    lexical: Vectors
    right: frozenset[int]
    seconds: float

    def hits(self, weight: float, k: int) -> list[Hit]:
        """The `k` best passages with this weight, as `Index.search` would give them."""
        fused = fuse(self.dense, self.lexical, weight)
        order = np.argsort(-fused, kind="stable")[:k]
        return [Hit(self.index.passages[int(self.ids[i])], float(fused[i]), float(self.cosines[i])) for i in order]

    def rank(self, weight: float) -> float:
        """Rank of the first right passage, from 1; inf when neither part found one."""
        order = np.argsort(-fuse(self.dense, self.lexical, weight), kind="stable")
        return next((float(n) for n, i in enumerate(order, 1) if int(self.ids[i]) in self.right), np.inf)


@dataclass(frozen=True, slots=True)
class Reranked:
    """A question's first passages in the reader's order, the rank of the first right one among all, and what it took with the search."""

    hits: list[Hit]
    rank: float
    seconds: float


def evaluate(
    services: Services,
    command: str,
    *,
    corpus: Path | None = None,
    qrels: Path | None = None,
    candidates: int = CANDIDATES,
    mapping: Mapped | None = None,
    progress: Progress = silent,
) -> Report:
    """Judge BM25, dense search, both fused, and their first `candidates` reranked. Raises InputError for files that cannot be used."""
    if corpus and qrels:
        passages = read_corpus(corpus, mapping or {})
        queries = read_queries(qrels, mapping or {}, {p.id for p in passages})
        asked = ask(index_of(passages, services.encoder, progress), services.encoder, queries, progress)
        weights = two_fold_weights(asked)
    else:
        asked = [a for name in services.experts for a in _ask_expert(services, name, progress)]
        weights = [a.index.manifest.dense_weight for a in asked]
        if not asked:
            raise InputError(
                "Expected questions with the split `test` in an expert's questions.csv; found none. Or pass --corpus and --qrels."
            )
    return judge(asked, weights, command, rerank(services.reader, asked, weights, candidates, progress, tuned=bool(corpus)))


def index_of(passages: Sequence[Passage], encoder: Encoder, progress: Progress = silent) -> Index:
    """An index in memory over whole passages."""
    return assemble(passages, encoder, progress=progress("Embedding passages", len(passages)))


def ask(index: Index, encoder: Encoder, queries: Sequence[Query], progress: Progress = silent, group: str = "") -> list[Asked]:
    """Search for every query, one at a time."""
    wanted = {document for query in queries for document in query.passages}
    places: dict[str, list[int]] = {}
    for n, passage in enumerate(index.passages):
        if passage.document in wanted:
            places.setdefault(passage.document, []).append(n)
    advance, asked = progress(f"Searching {group}".strip(), len(queries)), []
    encoder.encode(["The first text loads the model."])
    for query in queries:
        start = time.perf_counter()
        found = index.candidates(query.question, encoder.encode([query.question])[0])
        seconds = time.perf_counter() - start
        right = frozenset(n for document in query.passages for n in places.get(document, ()))
        asked.append(Asked(query, group, index, *found[:4], right, seconds))
        advance(1)
    return asked


def two_fold_weights(asked: Sequence[Asked]) -> list[float]:
    """A fusion weight for each question, chosen on the other half of the questions."""

    def rank(q: int, weight: float) -> int | None:
        found = asked[q].rank(weight)
        return None if np.isinf(found) else int(found)

    return _two_fold(len(asked), lambda rows: choose_weight(rank, rows))


def _two_fold(n: int, choose: Callable[[list[int]], float]) -> list[float]:
    """For each of `n` questions what is chosen on the other half of them."""
    half = np.random.default_rng(0).permutation(n) % 2
    chosen = {side: choose(np.flatnonzero(half != side).tolist()) for side in (0, 1)}
    return [chosen[int(side)] for side in half]


def rerank(
    reader: Reader, asked: Sequence[Asked], weights: Sequence[float], candidates: int, progress: Progress = silent, *, tuned: bool
) -> list[Reranked]:
    """Have the reader order the `candidates` best passages of each question.

    What the search's score counts is what was fitted for the experts; when `tuned`, what is best on the other half of the questions.
    """
    advance, read = progress("Reranking", len(asked)), []
    reader.rerank("The first question loads the model.", asked[0].hits(weights[0], 1))
    for a, weight in zip(asked, weights, strict=True):
        hits, start = a.hits(weight, candidates), time.perf_counter()
        alone = {hit.passage.id: hit.score for hit in reader.rerank(a.query.question, hits, 0.0)}
        read.append((hits, np.array([alone[hit.passage.id] for hit in hits]), a.seconds + time.perf_counter() - start))
        advance(1)

    def ordered(q: int, counts: float) -> list[Hit]:
        hits, log_odds, _ = read[q]
        scores = log_odds + counts * np.array([hit.score for hit in hits])
        return [replace(hits[n], score=float(scores[n])) for n in np.argsort(-scores, kind="stable")]

    def rank(q: int, counts: float) -> float:
        places = (float(n) for n, hit in enumerate(ordered(q, counts), 1) if hit.passage.document in asked[q].query.passages)
        return next(places, asked[q].rank(weights[q]))

    def best(rows: list[int]) -> float:
        return max(RETRIEVAL, key=lambda counts: float(np.mean([1 / rank(q, counts) for q in rows])) if rows else -counts)

    fitted = _two_fold(len(asked), best) if tuned else [reader.weights.retrieval] * len(asked)
    return [Reranked(ordered(q, counts), rank(q, counts), read[q][2]) for q, counts in enumerate(fitted)]


def _ask_expert(services: Services, name: str, progress: Progress) -> list[Asked]:
    items = services.expert(name).questions("test")
    queries = [Query(f"{name}/{n}", i.question, frozenset({i.document}), [i.answer]) for n, i in enumerate(items, 1)]
    return ask(services.index(name), services.encoder, queries, progress, name)


def judge(asked: Sequence[Asked], weights: Sequence[float], command: str, reranked: Sequence[Reranked]) -> Report:
    """Score the searches; `weights` are the fusion's, one a question. The wrong items are those of what is served, the reranked."""
    fused = np.array([a.rank(w) for a, w in zip(asked, weights, strict=True)])
    seconds = [a.seconds for a in asked]
    results = [
        _result("reranked", asked, np.array([r.rank for r in reranked]), [r.seconds for r in reranked]),
        _result("fused", asked, fused, seconds, {"dense_weight": mean(weights)}),
        _result("bm25", asked, np.array([a.rank(BM25) for a in asked]), seconds),
        _result("dense", asked, np.array([a.rank(DENSE) for a in asked]), seconds),
        _result("random", asked, _random_ranks(asked)),
    ]
    wrong = [_wrong(a, r) for a, r in zip(asked, reranked, strict=True) if r.rank > WRONG_BELOW]
    return Report("retrieval", len(asked), command, ["mrr", "r@1", "r@5", "ndcg@10"], results, wrong)


def _result(
    name: str, asked: Sequence[Asked], ranks: Floats, seconds: Sequence[float] = (), plain: Mapping[str, float | None] | None = None
) -> Result:
    def over(part: Floats, k: int) -> Measure:
        return Measure(len(part), lambda rows: recall_at(part[rows], k))

    measures = {f"r@{k}": over(ranks, k) for k in DEPTHS}
    measures["mrr"] = Measure(len(ranks), lambda rows: mrr(ranks[rows]))
    measures["ndcg@10"] = Measure(len(ranks), lambda rows: ndcg(ranks[rows], 10))
    groups = np.array([a.group for a in asked])
    measures |= {f"r@5.{group}": over(ranks[groups == group], 5) for group in dict.fromkeys(groups.tolist()) if group}
    return result(name, measures, plain=plain, seconds=seconds, baseline=name == "random")


def _random_ranks(asked: Sequence[Asked]) -> Floats:
    """The rank of the first right passage in a shuffled corpus."""
    rng = np.random.default_rng(0)
    ranks = [rng.choice(len(a.index.passages), len(a.right), replace=False).min() + 1 if a.right else np.inf for a in asked]
    return np.array(ranks, np.float64)


def _wrong(asked: Asked, reranked: Reranked) -> dict[str, object]:
    found = list(dict.fromkeys(hit.passage.document for hit in reranked.hits[:WRONG_BELOW]))
    place = None if np.isinf(reranked.rank) else int(reranked.rank)
    return {"question": asked.query.question, "expected": sorted(asked.query.passages), "found": found, "rank": place}
