"""Realistic vectors in any number: embeddings of real text, and of them as many more as are wanted.

Real: stretches of WORDS words of passages, answers and exam questions in $SWITCHYARD_DATA, drawn with a seed and encoded by the default
encoder. Further ones are unit(a + SHIFT * (b - c)) for real a, b, c drawn at random: moved along a difference of two real texts, noise that
has the covariance of the real vectors and leads off the real points as far as those lie from each other. Queries are questions of other
files, none of which is among the texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.measured import data
from core.settings import settings
from retrieval.encoder import Encoder, Vectors, load_encoder

WORDS = 40
REAL, QUERIES = 40_000, 1_000
SHIFT = 0.4
_TEXTS = {
    "sleep/sleepqa/corpus.jsonl": "text",
    "abstention/xquad_en/corpus.jsonl": "text",
    "car/ford_my_life_and_work.jsonl": "text",
    "car/mechanics_se/corpus_answers.jsonl": "text",
    "escalation/routellm/mmlu_dev.jsonl": "prompt",
    "escalation/routellm/gsm8k_dev.jsonl": "strong_response",
    "escalation/routellm/mt_bench_dev.jsonl": "strong_response",
    "escalation/mmlu_pro_dev.jsonl": "question",
    "escalation/dcrouter/train_dev.jsonl": "prompt",
}
_QUESTIONS = {
    "sleep/sleepqa/qrels_dev.jsonl": "question",
    "abstention/xquad_en/questions_dev.jsonl": "question",
    "car/mechanics_se/mechanics_se_dev.jsonl": "question",
    "abstention/selfaware_dev.jsonl": "question",
}


def real_vectors(progress: Callable[[str, int], Callable[[int], None]], real: int, queries: int) -> tuple[Vectors, Vectors]:
    """(texts, queries), each of shape (n, dimensions). Encoded once, then kept in SWITCHYARD_HOME/benchmarks."""
    chosen = settings()
    encoder = load_encoder(chosen.encoder, chosen.indexes_dir.resolve() / ".encoder")
    return (
        _kept(encoder, "texts", _drawn(_stretches(), real), progress),
        _kept(encoder, "queries", _drawn(_lines(_QUESTIONS), queries), progress),
    )


def expand(real: Vectors, n: int, seed: int = 0) -> Vectors:
    """The real vectors, and as many made of them as make `n`. Shape (n, dimensions)."""
    rng = np.random.default_rng(seed)
    found = np.empty((n, real.shape[1]), np.float32)
    found[: len(real)] = real[:n]
    for start in range(len(real), n, len(real)):
        rows = min(len(real), n - start)
        a, b, c = (rng.integers(0, len(real), rows) for _ in range(3))
        found[start : start + rows] = unit(real[a] + SHIFT * (real[b] - real[c]))
    return found


def unit(rows: Vectors) -> Vectors:
    """Each row at length 1."""
    scaled: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


def _stretches() -> Iterator[str]:
    for text in _lines(_TEXTS):
        words = text.split()
        yield from (" ".join(words[n : n + WORDS]) for n in range(0, max(1, len(words) - WORDS // 2), WORDS))


def _lines(files: dict[str, str]) -> Iterator[str]:
    for name, field in files.items():
        with data(name).open(encoding="utf-8") as file:
            yield from (json.loads(line)[field] for line in file)


def _drawn(texts: Iterator[str], n: int) -> list[str]:
    every = list(dict.fromkeys(text for text in texts if text.strip()))
    return [every[i] for i in np.random.default_rng(0).permutation(len(every))[:n]]


def _kept(encoder: Encoder, name: str, texts: list[str], progress: Callable[[str, int], Callable[[int], None]]) -> Vectors:
    path = _folder() / f"{name}-{len(texts)}-{encoder.fingerprint}.npy"
    if not path.exists():
        advance, rows = progress(f"Encoding {name}", len(texts)), []
        for text in texts:
            rows.append(encoder.encode([text])[0])
            advance(1)
        fresh = path.with_suffix(".tmp.npy")
        np.save(fresh, np.array(rows))
        fresh.replace(path)
    found: Vectors = np.load(path)
    return found


def _folder() -> Path:
    folder = settings().home / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
