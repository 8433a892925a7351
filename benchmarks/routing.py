"""Our routers beside semantic-router: the same rows, the same MiniLM, the same machine, one run, one thread each.

Usage: python -m benchmarks.routing CLINC.jsonl [--router similarity,logistic] [--oos-train] [--peer PYTHON]

CLINC.jsonl: rows {"text", "intent", "split"} of CLINC150; learns from `train`, is judged on `val` and `oos_val`. --oos-train: our routers
learn from `oos_train` too. --peer: the Python of an environment that has semantic-router (see benchmarks/semantic_router_peer.py); by
default this one's. Prints the accuracy of in-scope rows, the AUROC of in-scope against out-of-scope rows, and the time of a decision.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

# Before numpy is imported: its libraries read them once.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import numpy as np

from core.settings import Settings
from core.types import OUT_OF_SCOPE
from evaluation.metrics import auroc
from evaluation.routing import evaluate
from graph.services import Services

PEER = Path(__file__).with_name("semantic_router_peer.py")
Rows = list[dict[str, str]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clinc", type=Path)
    parser.add_argument("--router", default="similarity,logistic")
    parser.add_argument("--oos-train", action="store_true")
    parser.add_argument("--peer", default=sys.executable)
    chosen = parser.parse_args()
    rows = [json.loads(line) for line in chosen.clinc.read_text(encoding="utf-8").splitlines() if line.strip()]
    train, test = ([r for r in rows if r["split"] in names] for names in (("train",), ("val", "oos_val")))
    learnt = train + [r for r in rows if r["split"] == "oos_train" and chosen.oos_train]
    print(f"{platform.machine()}, Python {platform.python_version()}, one thread; {len(learnt)} rows to learn from, {len(test)} to judge")
    print(f"{'router':24} {'in-scope accuracy':>18} {'AUROC':>7} {'p50 ms':>8} {'p95 ms':>8} {'MB':>7}")
    for found in ours(learnt, test, chosen.router.split(",")):
        _line(*found)
    if other := peer(chosen.peer, train, test):
        _line(*other)


def ours(train: Rows, test: Rows, kinds: list[str]) -> list[tuple[Any, ...]]:
    """(name, accuracy, auroc, p50, p95, size) of each of our routers."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("train.jsonl", "test.jsonl")]
        for file, rows in zip(files, (train, test), strict=True):
            file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        services = Services(Settings(home=Path(folder)))
        report = evaluate(services, "", train=files[0], test=files[1], routers=kinds, mapping={"label": "intent"})
    names = ("in_scope_accuracy", "oos_auroc")
    judged = [r for r in report.best_first if not r.baseline]
    return [(r.name, *(r.metrics[n] for n in names), *r.latency_ms.values(), r.metrics.get("size_mb")) for r in judged]


def peer(python: str, train: Rows, test: Rows) -> tuple[Any, ...] | None:
    """The same of semantic-router, or None, with one line, where it is not installed."""
    routes = defaultdict(list)
    for row in train:
        routes[row["intent"]].append(row["text"])
    asked = json.dumps({"train": routes, "test": [r["text"] for r in test]})
    done = subprocess.run([python, str(PEER)], input=asked, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(
            f"semantic-router is left out: {reason}. To compare: pip install semantic-router==1.1.1, there or elsewhere with --peer PYTHON"
        )
        return None
    found = json.loads(done.stdout.splitlines()[-1])
    label, confidence, took = (np.array(column) for column in zip(*found["said"], strict=True))
    truth = np.array([r["intent"] for r in test])
    inside = ~np.isin(truth, ["oos", OUT_OF_SCOPE])
    scores = confidence.astype(np.float64)
    p50, p95 = np.percentile(took.astype(np.float64), [50, 95])
    accuracy = float((label == truth)[inside].mean())
    return f"semantic-router {found['version']}", accuracy, auroc(scores[inside], scores[~inside]), float(p50), float(p95), None


def _line(name: str, accuracy: float, area: float, p50: float, p95: float, size: float | None) -> None:
    kept = "-" if size is None else f"{size:.1f}"
    print(f"{name:24} {accuracy:18.3f} {area:7.3f} {p50:8.2f} {p95:8.2f} {kept:>7}", flush=True)


if __name__ == "__main__":
    main()
