"""Chats at once, each a stored conversation, on two cores with a scripted model of 300 ms.

Usage: python -m benchmarks.load [--experts tiny|shipped] [--chats 200] [--seconds 60] [--pause S] [--rounds 3] [--json FILE] [--plot FILE]

Held: every chat pauses as long as a reader might, so that the servers are busy but not swamped: the overhead over the model's own time,
which is 300 ms for each call that a turn took.
Flat out: no chat ever pauses, in rounds that go from server to server: the most requests a second that each can do.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import platform
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.load import MODEL_S, sides
from benchmarks.load.chats import Talk, hold
from benchmarks.load.plot import draw
from benchmarks.load.sides import Side, calls_for
from core.settings import ROOT
from ui.console import OUT, say

WORKERS = 2
WARM_S = 3.0
BUCKETS_MS = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]
SETUPS: dict[str, dict[str, Any]] = {
    "tiny": {
        "experts": sides.TINY,
        "pause_s": 6.0,
        "flat_s": 15.0,
        "about": "light retrieval: two experts of four short documents each; their 20 questions over and over, so that encoder and reader "
        "mostly give what they remember",
    },
    "shipped": {
        "experts": ROOT / "experts",
        "pause_s": 40.0,
        "flat_s": 60.0,
        "about": "the shipped experts: encoder, search, reader and judge run on each of their test questions",
    },
}


def questions(experts: Path) -> list[str]:
    """The experts' test questions, or all of them where an expert has few, taken in turn."""
    lists = []
    for file in sorted(experts.glob("*/questions.csv")):
        with file.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.DictReader(opened))
        lists.append([row["question"] for row in rows if row["split"] == "test" or len(rows) < 50])
    return [question for question in chain(*zip_longest(*lists)) if question]


@contextmanager
def started(experts: Path, names: list[str]) -> Iterator[list[Side]]:
    """The servers, ready and warm."""
    with tempfile.TemporaryDirectory(prefix="switchyard-load-") as made, ExitStack() as stack:
        folder = Path(made)
        environment = {"SWITCHYARD_EXPERTS": str(experts), "SWITCHYARD_INDEXES": str(sides.indexes_of(experts, folder))}
        found = []
        for name in names:
            say(f"Starting {name} ...")
            server = sides.dev(folder / name, environment) if name == "dev" else getattr(sides, name)(folder / name, environment, WORKERS)
            found.append(stack.enter_context(server))
            played(found[-1], [str(uuid.uuid4()) for _ in range(8)], questions(experts), WARM_S, 0.0)
        yield found


def played(side: Side, threads: list[str], asked: list[str], seconds: float, pause_s: float) -> tuple[Talk, dict[str, Any]]:
    """Hold the chats, and give what is to be told of them."""
    before = side.cpu_s()
    # What comes before it counts: until the chats are spread out, or the first of them were answered.
    talk = asyncio.run(hold(side.url, side.asking, threads, asked, seconds, pause_s, pause_s or seconds / 3))
    used = side.cpu_s() - before
    calls = [calls_for(body) for _, body in talk.measured]
    overhead = 1000 * np.array([seconds - MODEL_S * n for (seconds, _), n in zip(talk.measured, calls, strict=True)])
    p50, p95, p99 = (round(float(p), 1) for p in np.percentile(overhead, [50, 95, 99])) if len(overhead) else (None, None, None)
    return talk, {
        "turns": len(talk.replies),
        "measured": len(overhead),
        "errors": len(talk.errors),
        "first_errors": talk.errors[:3],
        "requests_per_second": round(talk.per_second, 2),
        "calls_per_turn": round(sum(calls) / max(1, len(calls)), 3),
        "overhead_ms": {"p50": p50, "p95": p95, "p99": p99},
        "overhead_ms_at_most": {str(b): int((overhead <= b).sum()) for b in BUCKETS_MS},
        "cpu_ms_per_turn": round(1000 * used / max(1, len(talk.replies)), 1),
    }


def lost(side: Side, replies: list[tuple[str, Any]]) -> int:
    """Turns that were acknowledged, and are not in their conversation, in their order."""
    told: dict[str, list[str]] = {}
    for thread, body in replies:
        told.setdefault(thread, []).append(body["switchyard"]["run_id"])
    missing = 0
    with httpx.Client(base_url=side.url, timeout=60) as client:
        for thread, run_ids in told.items():
            kept = [turn["switchyard"]["run_id"] for turn in client.get(f"/v1/threads/{thread}").json()["turns"]]
            missing += len(run_ids) if kept != run_ids else 0
    return missing


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Both phases on all servers."""
    setup = SETUPS[options.experts]
    asked, pause_s, flat_s = questions(setup["experts"]), options.pause or setup["pause_s"], setup["flat_s"]
    result: dict[str, Any] = {"held": {}, "flat_out": {}}
    with started(setup["experts"], options.sides.split(",")) as servers:
        threads = {side.name: [str(uuid.uuid4()) for _ in range(options.chats)] for side in servers}
        flat: dict[str, list[dict[str, Any]]] = {side.name: [] for side in servers}
        for number in range(options.rounds):
            for side in servers:
                say(f"{side.name}: {options.chats} chats flat out for {flat_s:g} s, round {number + 1} of {options.rounds} ...")
                flat[side.name].append(played(side, [str(uuid.uuid4()) for _ in range(options.chats)], asked, flat_s, 0.0)[1])
        for side in servers:
            say(f"{side.name}: {options.chats} chats held for {options.seconds:g} s ...")
            talk, numbers = played(side, threads[side.name], asked, options.seconds, pause_s)
            result["held"][side.name] = numbers | ({"lost": lost(side, talk.replies)} if side.name == "ours" else {})
    for name, rounds in flat.items():
        rates = [each["requests_per_second"] for each in rounds]
        middle = sorted(rounds, key=lambda each: each["requests_per_second"])[len(rounds) // 2]
        errors = {"errors": sum(r["errors"] for r in rounds), "first_errors": [e for r in rounds for e in r["first_errors"]][:3]}
        result["flat_out"][name] = middle | errors | {"rounds": rates}
    return result | {"ratios": ratios(result), "setup": described(options, setup, pause_s)}


def ratios(result: dict[str, Any]) -> dict[str, float]:
    """Our requests a second as a multiple of the others'."""
    return {
        f"{phase}, ours / {name}": round(found["ours"]["requests_per_second"] / numbers["requests_per_second"], 3)
        for phase, found in ((p, result[p]) for p in ("held", "flat_out"))
        for name, numbers in found.items()
        if name != "ours" and numbers["requests_per_second"]
    }


def described(options: argparse.Namespace, setup: dict[str, Any], pause_s: float) -> dict[str, Any]:
    """Everything that the numbers depend on."""
    return {
        "command": "python -m benchmarks.load " + " ".join(sys.argv[1:]),
        "experts": f"{options.experts}: {setup['about']}",
        "chats": options.chats,
        "seconds": options.seconds,
        "pause_s": f"{0.5 * pause_s:g} to {1.5 * pause_s:g}",
        "model": f"scripted, {MODEL_S * 1000:g} ms a call: one for each draft, all accepted, and one to rewrite a short follow-up",
        "ours": f"{WORKERS} workers; each turn stored in its conversation (SQLite, synchronous=FULL)",
        "bare": f"{WORKERS} workers; a FastAPI route that awaits the same model and stores nothing",
        "dev": "langgraph dev as make dev starts it, one process, 10 jobs at once; conversations in memory",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores shared with the client, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("langgraph", "langgraph-api", "fastapi", "uvicorn")},
        "load_average_at_the_end": [round(x, 2) for x in os.getloadavg()],
    }


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experts", choices=sorted(SETUPS), default="tiny")
    parser.add_argument("--sides", default="bare,ours,dev", help="the servers, in this order")
    parser.add_argument("--chats", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pause", type=float, help="mean seconds from an answer to the chat's next question")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where the result goes")
    parser.add_argument("--plot", type=Path, help="where the picture goes (PNG)")
    options = parser.parse_args()
    result = measured(options)
    for path, write in (
        (options.json, lambda p: p.write_text(json.dumps(result, indent=1) + "\n")),
        (options.plot, lambda p: draw(result, p)),
    ):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
    show(result)


def show(result: dict[str, Any]) -> None:
    """The result as a table."""
    from rich.table import Table

    for phase in ("held", "flat_out"):
        table = Table(
            "server", "requests/s", "rounds", "calls", "p50", "p95", "p99", "CPU", "errors", title=f"{phase.replace('_', ' ')}, times in ms"
        )
        for name, numbers in result[phase].items():
            over = [str(numbers["overhead_ms"][p]) for p in ("p50", "p95", "p99")]
            rounds = " ".join(f"{rate:.0f}" for rate in numbers.get("rounds", []))
            cpu, errors = str(numbers["cpu_ms_per_turn"]), str(numbers["errors"])
            table.add_row(name, str(numbers["requests_per_second"]), rounds, str(numbers["calls_per_turn"]), *over, cpu, errors)
        OUT.print(table)
    for name, value in {**result["setup"], **result["ratios"], "turns lost": result["held"].get("ours", {}).get("lost")}.items():
        OUT.print(f"{name}: {value}", soft_wrap=True)


if __name__ == "__main__":
    main()
