"""The long forms of the server's tests, on small experts and the local reader.

Usage: python -m benchmarks.soak [fuzz] [description] [kills] [--requests 16000] [--examples 200] [--groups 10] [--talks 10] [--kills 3]

Each writes benchmarks/results/soak/<name>.json. Exit status 1 when anything was found.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.load.sides import TINY, indexes_of
from benchmarks.soak.described import check, operations
from benchmarks.soak.fuzz import fuzz
from benchmarks.soak.kills import kill_again_and_again
from benchmarks.soak.process import serving
from core.settings import ROOT, Settings
from graph.services import Services
from store import keys
from ui.console import bars, print_json, say

RESULTS = ROOT / "benchmarks" / "results" / "soak"
Start = Callable[[str, int], Callable[[int], None]]
"""As `ui.console.bars` hands it over."""


@contextmanager
def small() -> Iterator[Settings]:
    """Settings over the small experts, their indexes built."""
    with tempfile.TemporaryDirectory(prefix="switchyard-soak-") as made:
        folder = Path(made)
        settings = Settings(home=folder / "home", experts_dir=TINY, indexes_dir=indexes_of(TINY, folder))
        services = Services(settings)
        for name in services.experts:
            services.index(name)
        services.router(), services.safety
        yield settings
        services.engine.dispose()


def run_fuzz(options: argparse.Namespace, settings: Settings, start: Start) -> dict[str, Any]:
    """Bad input by the thousand, against two workers."""
    store = Services(settings).engine
    ann, bob = keys.create(store, "ann")[1], keys.create(store, "bob")[1]
    with serving(settings, "--workers", "2") as (_, url):
        found = fuzz(url, ann, bob, options.requests, start("Sending what should not be sent", options.requests))
    statuses = {str(status): count for status, count in sorted(found.statuses.items())}
    return {
        "requests": options.requests,
        "to_the_chat_endpoint": found.chats,
        "statuses": statuses,
        "slowest_s": round(found.slowest_s, 2),
        "broken": found.broken,
    }


def run_description(options: argparse.Namespace, settings: Settings, start: Start) -> dict[str, Any]:
    """Schemathesis, operation by operation."""
    key = keys.create(Services(settings).engine, "carl")[1]
    broken, counts = [], {}
    with serving(settings, "--workers", "2") as (_, url):
        for operation in operations(url):
            counts[operation.label] = 0
            advance = start(operation.label, options.examples)

            def counted(done: int, label: str = operation.label, advance: Callable[[int], None] = advance) -> None:
                counts[label] += done
                advance(done)

            try:
                check(operation, url, key, options.examples, counted)
            except Exception as error:  # what schemathesis raises shares no class with hypothesis' own groups
                broken.append(f"{operation.label}: {error!r}"[:2000])
    return {"requests": counts, "broken": broken}


def run_kills(options: argparse.Namespace, settings: Settings, start: Start) -> dict[str, Any]:
    """Conversations through kill -9."""
    advance = start("Killing the server", options.groups * options.kills)
    sizes = {"groups": options.groups, "talks": options.talks, "kills": options.kills}
    return asdict(kill_again_and_again(settings, **sizes, advance=advance))


RUNS = {"fuzz": run_fuzz, "description": run_description, "kills": run_kills}


def main() -> int:
    """Run them, and write what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[[], *RUNS], help="default: all")
    parser.add_argument("--requests", type=int, default=16_000, help="of the fuzz, two thirds of them to the chat endpoint")
    parser.add_argument("--examples", type=int, default=200, help="for each operation of the description")
    parser.add_argument("--groups", type=int, default=10, help="of conversations, one after the other")
    parser.add_argument("--talks", type=int, default=10, help="conversations of a group, at the same time")
    parser.add_argument("--kills", type=int, default=3, help="in each group")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with bars() as start:
        for name in options.what or RUNS:
            began = time.monotonic()
            with small() as settings:
                results[name] = RUNS[name](options, settings, start)
            results[name] |= {"seconds": round(time.monotonic() - began), "setup": described()}
            RESULTS.mkdir(parents=True, exist_ok=True)
            (RESULTS / f"{name}.json").write_text(json.dumps(results[name], indent=1) + "\n")
    print_json(results)
    broken = [found for result in results.values() for found in result["broken"]]
    say(f"{len(broken)} things were found." if broken else "Nothing was found.", style="red" if broken else "green")
    return 1 if broken else 0


def described() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "command": "python -m benchmarks.soak " + " ".join(sys.argv[1:]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("langgraph", "fastapi", "uvicorn", "hypothesis", "schemathesis")},
        "load_average_at_the_end": [round(x, 2) for x in os.getloadavg()],
    }


if __name__ == "__main__":
    sys.exit(main())
