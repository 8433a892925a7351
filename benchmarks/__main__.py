"""The benchmarks of docs/performance.md, one after the other.

Usage: python -m benchmarks [--short] [--only NAME,...] [--peer PYTHON] [--results DIR]

Each runs in a process of its own. --short: a few seconds of each, nothing written; else the results go to DIR/<name>, by default
benchmarks/results, and from there into the tables of the documents. --peer: see benchmarks.routing. What needs $SWITCHYARD_DATA, or a
peer that is not installed, says so and is left out. What feedback does is measured apart, by benchmarks.feedback and benchmarks.ratings,
and the server by benchmarks.load and benchmarks.soak.
Exit status 1 when one failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks import tables
from benchmarks.measured import SKIPPED
from ui.console import say

BENCHMARKS = ("latency", "turn", "floor", "routing", "indexing", "search", "overhead", "first_token", "growth", "memory")


def main() -> None:
    """Run them."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--short", action="store_true", help="a few seconds of each, nothing written")
    options.add_argument("--only", default=",".join(BENCHMARKS), help=f"of {', '.join(BENCHMARKS)}")
    options.add_argument("--peer", default=sys.executable, help="the Python of an environment that has semantic-router")
    options.add_argument("--results", type=Path, default=tables.RESULTS)
    chosen = options.parse_args()
    names = chosen.only.split(",")
    if unknown := [name for name in names if name not in BENCHMARKS]:
        options.error(f"unknown benchmark {unknown[0]!r}; known: {', '.join(BENCHMARKS)}")
    try:
        failed = [name for name in names if not succeeds(name, chosen)]
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    if not chosen.short and chosen.results == tables.RESULTS:
        tables.write()
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}.")


def succeeds(name: str, chosen: argparse.Namespace) -> bool:
    """Run one benchmark; one that has nothing to run on is no failure."""
    say(f"{name} ...", style="bold")
    form = ["--short"] if chosen.short else ["--report", str(chosen.results / name.replace("_", "-"))]
    peer = ["--peer", chosen.peer] if name == "routing" and chosen.peer != sys.executable else []
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *form, *peer], check=False).returncode in (0, SKIPPED)


if __name__ == "__main__":
    main()
