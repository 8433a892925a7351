"""Embedding of passages beside sentence-transformers in fp32: passages a second, and whether the search finds as much.

Usage: SWITCHYARD_DATA=... python -m benchmarks.indexing [--short] [--json] [--report DIR]

The corpus of SleepQA, title and text of each passage, in parts that both sides embed in turn: Switchyard in two processes of one thread, a
passage a call, as `switchyard index --workers 2` does; sentence-transformers in one process of two threads in batches of 32, its default.
Starting up is not counted on either side. Recall: SleepQA's dev questions, the same index over either side's vectors of whole passages.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

# Before numpy is imported: its libraries read them once, also in the processes that are started from here.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import numpy as np

from benchmarks.measured import Measured, Row, Target, data, parser, run
from core.settings import settings
from core.types import Passage
from evaluation.data import Query, read_corpus, read_queries
from retrieval.encoder import Encoder, Vectors, load_encoder
from retrieval.fusion import DEFAULT_WEIGHT
from retrieval.index import FORMAT, Index, Manifest, embedded_text
from retrieval.lexical import Lexical
from retrieval.vectors import FaissStore
from ui.console import bars

PEER = Path(__file__).with_name("sentence_transformers_peer.py")
CORES = 2
PART, SHORT = 250, 50
TIMES_FASTER, RECALL_LOSS = 5.0, 0.005


@dataclass(slots=True)
class Side:
    """What one side made: passages a second in each part, and the vectors in order."""

    rates: list[float] = field(default_factory=list)
    parts: list[Vectors] = field(default_factory=list)

    def add(self, seconds: float, vectors: Vectors) -> None:
        """A part."""
        self.rates.append(len(vectors) / seconds)
        self.parts.append(vectors)

    def row(self, name: str, *, baseline: bool, **metrics: float) -> Row:
        """Its numbers."""
        low, median, high = np.percentile(self.rates, [25, 50, 75])
        rates = {"passages/s": float(median), "passages/s p25": float(low), "passages/s p75": float(high)}
        return Row(name, rates | metrics, baseline=baseline)


def main() -> None:
    """Measure and print."""
    chosen = parser(__doc__).parse_args()
    run("benchmarks.indexing", chosen, lambda: measure(short=chosen.short), threads=CORES)


def measure(*, short: bool) -> Measured:
    """Both sides on the same passages, part by part."""
    passages = read_corpus(data("sleep/sleepqa/corpus.jsonl"), {})
    texts = [embedded_text(p) for p in passages[: 2 * SHORT if short else None]]
    step, ours, theirs = SHORT if short else PART, Side(), Side()
    with bars() as progress, TemporaryDirectory() as folder, _peer(Path(folder) / "vectors.npy") as peer, _workers() as pool:
        advance = progress("Embedding with both", len(texts))
        for start in range(0, len(texts), step):
            part = texts[start : start + step]
            began = time.perf_counter()
            vectors = np.array(list(pool.map(_encoded, part, chunksize=8)))
            ours.add(time.perf_counter() - began, vectors)
            theirs.add(*peer(part))
            advance(len(part))
    times = float(np.median(ours.rates) / np.median(theirs.rates))
    found = {} if short else _recalls(passages, ours, theirs)
    rows = [
        ours.row("Switchyard, int8", baseline=False, **found.get("ours", {})),
        theirs.row("sentence-transformers, fp32", baseline=True, **found.get("theirs", {})),
    ]
    targets = [Target("embedding, times as fast as sentence-transformers", times, TIMES_FASTER, least=True)]
    if found:
        loss = found["theirs"]["fused r@10"] - found["ours"]["fused r@10"]
        targets.append(Target("R@10 on SleepQA dev below fp32", loss, RECALL_LOSS))
    tokens = _tokens(texts)
    return Measured("indexing", len(texts), rows, targets, [f"{tokens:.0f} tokens a passage on average."])


@contextmanager
def _peer(to: Path) -> Iterator[Callable[[list[str]], tuple[float, Vectors]]]:
    environment = os.environ | {"OMP_NUM_THREADS": str(CORES)}
    command = [sys.executable, str(PEER), str(CORES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdin
        assert process.stdout
        asked, said = process.stdin, process.stdout

        def embed(texts: list[str]) -> tuple[float, Vectors]:
            asked.write(json.dumps({"texts": texts, "to": str(to)}) + "\n")
            asked.flush()
            return float(said.readline()), np.load(to)

        embed(["The first text waits until the model is loaded."])
        yield embed
        asked.close()


@contextmanager
def _workers() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(CORES, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_encoded, ["The first texts load the model."] * 8 * CORES, chunksize=1))
        yield pool


@cache
def _encoder() -> Encoder:
    chosen = settings()
    return load_encoder("minilm-int8", chosen.indexes_dir.resolve() / ".encoder")


def _encoded(text: str) -> Vectors:
    vector: Vectors = _encoder().encode([text])[0]
    return vector


def _tokens(texts: list[str]) -> float:
    from tokenizers import Tokenizer

    from retrieval.encoder import MAX_TOKENS, TOKENIZER, packaged_model

    tokenizer = Tokenizer.from_file(str(packaged_model() / TOKENIZER))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    return float(np.mean([len(tokenizer.encode(text).ids) for text in texts]))


def _recalls(passages: list[Passage], ours: Side, theirs: Side) -> dict[str, dict[str, float]]:
    queries = read_queries(data("sleep/sleepqa/qrels_dev.jsonl"), {}, {p.id for p in passages})
    lexical = Lexical.build([embedded_text(p) for p in passages])
    encode = {"ours": _encoder().encode, "theirs": load_encoder("st", Path()).encode}
    found = {}
    for name, side in (("ours", ours), ("theirs", theirs)):
        vectors = np.concatenate(side.parts)
        manifest = Manifest(FORMAT, "", "", len(passages), len(passages), DEFAULT_WEIGHT, {})
        index = Index(manifest, passages, FaissStore.build(vectors), np.arange(len(passages) + 1), lexical)
        asked = encode[name]([query.question for query in queries])
        found[name] = {what: _recall(index, queries, asked, weight) for what, weight in (("dense r@10", 1.0), ("fused r@10", None))}
    return found


def _recall(index: Index, queries: list[Query], vectors: Vectors, weight: float | None) -> float:
    hits = [index.search(query.question, vector, 10, weight=weight) for query, vector in zip(queries, vectors, strict=True)]
    return float(np.mean([any(h.passage.document in q.passages for h in found) for q, found in zip(queries, hits, strict=True)]))


if __name__ == "__main__":
    main()
