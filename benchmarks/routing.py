"""Our routers beside semantic-router: the same rows, the same MiniLM weights, the same machine, one run, one thread each.

Usage: python -m benchmarks.routing [CLINC.jsonl] [--router similarity,logistic] [--oos-train] [--peer PYTHON] [--short] [--report DIR]

CLINC.jsonl: rows {"text", "intent", "split"} of CLINC150; learns from `train`, is judged on `val` and `oos_val`. --oos-train: our routers
learn from `oos_train` too. --peer: the Python of an environment that has semantic-router (see benchmarks/semantic_router_peer.py); by
default this one's. Accuracy of in-scope rows, the AUROC of in-scope against out-of-scope rows, and the time of a decision, the encoding of
the question included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

# Before numpy is imported: its libraries read them once.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import numpy as np

from benchmarks.measured import Measured, Row, Target, data, parser, run, spread
from core.settings import Settings, settings
from core.types import OUT_OF_SCOPE
from evaluation.metrics import auroc
from evaluation.routing import evaluate
from graph.services import Services
from ui.console import bars

PEER = Path(__file__).with_name("semantic_router_peer.py")
SHORT_TRAIN, SHORT_TEST = 1_500, 100
MEDIAN_MS, P95_MS, TIMES_FASTER = 1.5, 2.5, 10.0
Rows = list[dict[str, str]]


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("clinc", type=Path, nargs="?", help="by default that of $SWITCHYARD_DATA")
    options.add_argument("--router", default="similarity,logistic")
    options.add_argument("--oos-train", action="store_true")
    options.add_argument("--peer", default=sys.executable)
    chosen = options.parse_args()
    run("benchmarks.routing", chosen, lambda: measure(chosen))


def measure(chosen: argparse.Namespace) -> Measured:
    """Both sides, one after the other."""
    clinc = chosen.clinc or data("routing/clinc150_train_val.jsonl")
    rows = [json.loads(line) for line in clinc.read_text(encoding="utf-8").splitlines() if line.strip()]
    train, test = ([r for r in rows if r["split"] in names] for names in (("train",), ("val", "oos_val")))
    if chosen.short:
        train, test = _part(train, SHORT_TRAIN), _part(test, SHORT_TEST)
    learnt = train + [r for r in rows if r["split"] == "oos_train" and chosen.oos_train and not chosen.short]
    found = ours(learnt, test, chosen.router.split(","))
    notes = [f"{len(learnt):,} rows to learn from, {len(test):,} to judge."]
    other, why = peer(chosen.peer, train, test)
    if other is None:
        notes.append(f"semantic-router is left out: {why}. Install semantic-router==1.1.1, there or elsewhere with --peer PYTHON.")
    return Measured("routing", len(test), [*found, *([other] if other else [])], targets(found, other), notes)


def ours(train: Rows, test: Rows, kinds: list[str]) -> list[Row]:
    """Each of our routers, best first."""
    indexes = settings().indexes_dir.resolve()
    with tempfile.TemporaryDirectory() as folder, bars() as progress:
        files = [Path(folder) / name for name in ("train.jsonl", "test.jsonl")]
        for file, rows in zip(files, (train, test), strict=True):
            file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        services = Services(Settings(home=Path(folder), indexes_dir=indexes))
        mapping = {"label": "intent"}
        report = evaluate(services, "", train=files[0], test=files[1], routers=kinds, mapping=mapping, progress=progress)
    names = {"in-scope accuracy": "in_scope_accuracy", "auroc": "oos_auroc", "MB": "size_mb"}
    return [
        Row(r.name, {shown: r.metrics.get(name) for shown, name in names.items()}, {p: ms for p, ms in r.latency_ms.items() if ms})
        for r in report.best_first
        if not r.baseline
    ]


def peer(python: str, train: Rows, test: Rows) -> tuple[Row | None, str]:
    """semantic-router, or None and why, where it is not installed."""
    routes = defaultdict(list)
    for row in train:
        routes[row["intent"]].append(row["text"])
    asked = json.dumps({"train": routes, "test": [r["text"] for r in test]})
    done = subprocess.run([python, str(PEER)], input=asked, capture_output=True, text=True, check=False)
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or ["no message"])[-1]
    found = json.loads(done.stdout.splitlines()[-1])
    label, confidence, took = (np.array(column) for column in zip(*found["said"], strict=True))
    truth = np.array([r["intent"] for r in test])
    inside = ~np.isin(truth, ["oos", OUT_OF_SCOPE])
    scores = confidence.astype(np.float64)
    metrics = {"in-scope accuracy": float((label == truth)[inside].mean()), "auroc": auroc(scores[inside], scores[~inside])}
    return Row(f"semantic-router {found['version']}", metrics, spread((took.astype(np.float64) / 1000).tolist()), baseline=True), ""


def targets(found: list[Row], other: Row | None) -> list[Target]:
    """Of each of our routers; those beside the other side only where it ran."""
    reached = []
    for row in found:
        median, p95 = row.latency_ms["p50"], row.latency_ms["p95"]
        reached += [Target(f"{row.name}: median, ms", median, MEDIAN_MS), Target(f"{row.name}: p95, ms", p95, P95_MS)]
        if other:
            faster = other.latency_ms["p50"] / median
            better = (row.metrics["in-scope accuracy"] or 0.0) - (other.metrics["in-scope accuracy"] or 0.0)
            reached.append(Target(f"{row.name}: times as fast as semantic-router", faster, TIMES_FASTER, least=True))
            reached.append(Target(f"{row.name}: accuracy above semantic-router's", better, 0.0, least=True))
    return reached


def _part(rows: Rows, n: int) -> Rows:
    return [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:n]]


if __name__ == "__main__":
    main()
