"""The tables of the DOCUMENTS, made from the committed results.

Usage: python -m benchmarks.tables [--write]

In a document a table and its plots stand between `<!-- results: NAME -->` and `<!-- end -->`. --write: put the present results there;
else they are printed.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
DOCUMENTS = tuple(Path(__file__).parent.parent / "docs" / name for name in ("performance.md", "feedback.md"))
BLOCK = re.compile(r"(?<=<!-- results: )([\w-]+)( -->\n).*?(?=<!-- end -->)", re.S)


def main() -> None:
    """Print the tables, or write them."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--write", action="store_true", help="into the documents")
    if options.parse_args().write:
        write()
    else:
        for document in DOCUMENTS:
            print("\n".join(named(filled(document.read_text(encoding="utf-8"), RESULTS)).values()))


def write() -> None:
    """Put the present results into the documents."""
    for document in DOCUMENTS:
        document.write_text(filled(document.read_text(encoding="utf-8"), RESULTS), encoding="utf-8")


def filled(text: str, results: Path) -> str:
    """The document with every table as `results` has it. A name without results keeps no table."""
    return BLOCK.sub(lambda found: f"{found[1]}{found[2]}{table(results / found[1] / 'report.json')}", text)


def named(text: str) -> dict[str, str]:
    """Name -> what stands in its block."""
    return {found[1]: found[0].partition("-->\n")[2] for found in BLOCK.finditer(text)}


def table(path: Path) -> str:
    """A report in Markdown; a line that says so where there is none."""
    if not path.exists():
        return "\nNot measured yet.\n\n"
    report = json.loads(path.read_text(encoding="utf-8"))
    metrics = list(dict.fromkeys(name for row in report["results"] for name in row["metrics"]))
    times = [p for p in ("p50", "p95") if any(p in row["latency_ms"] for row in report["results"])]
    lines = [["", *metrics, *("median ms" if p == "p50" else "p95 ms" for p in times)]]
    for row in report["results"]:
        numbers = [row["metrics"].get(name) for name in metrics] + [row["latency_ms"].get(p) for p in times]
        lines.append([row["name"], *map(_number, numbers)])
    found = "\n".join(_lines(lines))
    if report["targets"]:
        reached = [["to reach", "measured", "at", ""], *map(_target, report["targets"])]
        found += "\n\n" + "\n".join(_lines(reached))
    notes = "".join(f" {note}" for note in report["notes"])
    plots = sorted(path.parent.glob("*.png"))
    drawn = "".join(f"![{_shown(plot)}](../benchmarks/results/{path.parent.name}/{plot.name})\n" for plot in plots)
    return f"\n{found}\n\n{_where(report)}{notes}\n\n```console\n$ {report['command']}\n```\n\n{drawn}"


def _where(report: dict[str, Any]) -> str:
    about = report["setup"]
    used = f"{about['threads']} of {about['cores']} cores"
    load = f"load average {about['load_average_at_start']} at the start"
    return f"{about['processor']}, {used}, {load}, n = {report['n']:,}, {about['date']}."


def _shown(plot: Path) -> str:
    return plot.stem.replace("-", " ").capitalize()


def _target(target: dict[str, Any]) -> list[str]:
    bound = f"{'at least' if target['least'] else 'at most'} {_number(target['reach'])}"
    return [target["what"], _number(target["measured"]), bound, "reached" if target["met"] else "missed"]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _lines(rows: list[list[str]]) -> Iterator[str]:
    head, *rest = (f"| {' | '.join(row)} |" for row in rows)
    yield head
    yield "|" + "---|" * len(rows[0])
    yield from rest


if __name__ == "__main__":
    main()
