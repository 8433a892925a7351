"""Reports: a table for people, JSON for programs, and a folder with report.json, the plots, and one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError
from core.files import check_writable, manifests, write_files
from evaluation.plots import NAMES, Plot, plots
from evaluation.results import Report, Result

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

REPORT, PAGE = "report.json", "report.html"
SHOWN = 20
MOST_LABELS = 12
LONGEST = 100
LATENCIES = ("p50", "p95")
GAP = 2
"""Characters between two columns."""
_LEGEND = "In brackets: 95% bootstrap interval. Latency in milliseconds."
_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0 }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #8884; white-space: nowrap; vertical-align: top }
th:first-child, td:first-child, .wrong td { text-align: left }
.wrong td { white-space: normal; overflow-wrap: anywhere }
small { opacity: .7 }
code { overflow-wrap: anywhere }
img { max-width: 100%; background: #fff; border-radius: 6px; margin: .5rem .5rem .5rem 0 }
"""


def as_json(reports: Sequence[Report]) -> str:
    """One document: the suite's object, or a list of them for several suites."""
    documents = [r.as_dict() for r in reports]
    return json.dumps(documents[0] if len(documents) == 1 else documents, indent=2, ensure_ascii=False, allow_nan=False)


def show(report: Report, console: Console) -> None:
    """Print the report for people: a table of metrics by system, the first wrong items, and the command."""
    from rich.text import Text

    console.print(Text(f"{report.suite}: {report.n:,} rows", style="bold"))
    for table in _tables(report.best_first, console.width):
        console.print(table)
    if report.wrong:
        console.print(Text(f"Wrong: {len(report.wrong):,} of {report.n:,}", style="bold"))
    for item in report.wrong[:SHOWN]:
        console.print(Text(f"- {_line(item)}"), soft_wrap=True)
    if len(report.wrong) > SHOWN:
        console.print(Text(f"... and {len(report.wrong) - SHOWN:,} more: --json lists them all.", style="dim"))
    for note in report.notes:
        console.print(Text(note), soft_wrap=True)
    console.print(Text(f"{_LEGEND} Reproduce: {report.command}\n", style="dim"), soft_wrap=True)


def _tables(results: Sequence[Result], width: int) -> list[Table]:
    """Tables with so many systems side by side as fit into `width` characters with every number whole."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    names = _row_names(results)
    columns = [[r.name, "(baseline)" if r.baseline else "", *_cells(r, results)] for r in results]
    taken = 1 + GAP + max(map(len, names))
    if taken + sum(map(_width, columns)) > width:
        columns = [[cell.replace(" ", "\n") for cell in column] for column in columns]
    parts: list[list[int]] = [[]]
    for n, column in enumerate(columns):
        if parts[-1] and taken + sum(_width(columns[i]) for i in parts[-1]) + _width(column) > width:
            parts.append([])
        parts[-1].append(n)
    tables = []
    for part in parts:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("metric", no_wrap=True)
        for n in part:
            head = "\n".join(filter(None, columns[n][:2]))
            table.add_column(head, justify="right", style="dim" if results[n].baseline else "", no_wrap=True)
        for row, name in enumerate(names, 2):
            table.add_row(name, *(columns[n][row] for n in part))
        tables.append(table)
    return tables


def _width(column: Sequence[str]) -> int:
    return GAP + max(len(line) for cell in column for line in cell.split("\n"))


def check_folder(folder: Path) -> None:
    """Raises InputError where the folder cannot be written, or holds a report of somebody else's."""
    check_writable(folder, "--report DIR")
    _check_ours(folder, [])


def write(reports: Sequence[Report], folder: Path) -> None:
    """Write a PNG for each plot, report.html and report.json into `folder`, all or none; the plots of the report that was there go.

    Raises InputError where they cannot be written, or where files of somebody else's have their names.
    """
    drawn = [plots(r) for r in reports]
    pictures = {f"{plot.name}.png": plot.png for each in drawn for plot in each}
    old = _check_ours(folder, pictures) - set(pictures)
    try:
        write_files(folder, {**pictures, PAGE: as_html(reports, drawn).encode(), REPORT: f"{as_json(reports)}\n".encode()})
        for path in folder.glob("*.png"):
            if path.name in old:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"Expected a folder to write the report to; {folder} cannot be written: {error.strerror}.") from None


def _check_ours(folder: Path, pictures: Iterable[str]) -> set[str]:
    """The names of the plots of the report that is there. Raises InputError for a file that would be replaced and belongs to no report."""
    suites = [one["suite"] for one in manifests(folder / REPORT) if {"suite", "command", "results"} <= set(one)]
    ours = {f"{suite}-{name}.png" for suite in suites for name in NAMES}
    for name in (*([] if suites else [REPORT, PAGE]), *pictures):
        if name not in ours and (folder / name).exists():
            raise InputError(f"{folder / name} was not made here: it is not overwritten. Choose another folder: --report DIR")
    return ours


def as_html(reports: Sequence[Report], drawn: Sequence[Sequence[Plot]]) -> str:
    """One page with tables and plots embedded. `drawn`: the plots of each report."""
    body = "\n".join(_section(r, each) for r, each in zip(reports, drawn, strict=True))
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Evaluation</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body><h1>Evaluation</h1>\n{body}\n</body></html>\n'


def _section(report: Report, drawn: Sequence[Plot]) -> str:
    results = report.best_first
    heads = "".join(f"<th>{escape(r.name)}{'<br><small>baseline</small>' if r.baseline else ''}</th>" for r in results)
    rows = zip(_row_names(results), zip(*(_cells(r, results) for r in results), strict=True), strict=True)
    cells = "".join(f"<tr><td>{escape(name)}</td>{''.join(f'<td>{value}</td>' for value in values)}</tr>\n" for name, values in rows)
    images = "".join(f'<img alt="{escape(p.shows)}" src="data:image/png;base64,{base64.b64encode(p.png).decode()}">' for p in drawn)
    notes = "".join(f"<p>{escape(note)}</p>" for note in report.notes)
    wrong = "".join(f"<tr><td>{escape(_line(item))}</td></tr>\n" for item in report.wrong)
    return (
        f"<h2>{escape(report.suite)}</h2><p>{report.n:,} rows. {_LEGEND}<br>"
        f"<code>{escape(report.command)}</code></p>"
        f"<table><tr><th>metric</th>{heads}</tr>\n{cells}</table>{notes}{images}"
        f'<details><summary>Wrong: {len(report.wrong):,}</summary><table class="wrong">{wrong}</table></details>'
    )


def _row_names(results: Sequence[Result]) -> list[str]:
    return [*_metrics(results), *(f"latency {p}" for p in LATENCIES)]


def _cells(r: Result, results: Sequence[Result]) -> list[str]:
    """What stands in a system's column, from the top."""
    return [_cell(r, metric) for metric in _metrics(results)] + ["" if (ms := r.latency_ms[p]) is None else f"{ms:.2f}" for p in LATENCIES]


def _metrics(results: Sequence[Result]) -> list[str]:
    """Metrics to show, in the order of the first result; of many labels or groups, each one's numbers are left to the JSON."""
    names = list(dict.fromkeys(m for r in results for m in r.metrics))
    families = Counter(m.partition(".")[0] for m in names if "." in m)
    return [m for m in names if "." not in m or families[m.partition(".")[0]] <= MOST_LABELS]


def _cell(r: Result, metric: str) -> str:
    value = r.metrics.get(metric)
    if value is None:
        return ""
    if metric.startswith("n."):
        return f"{value:,.0f}"
    interval = r.interval.get(metric)
    # So that more columns fit side by side, two digits will do.
    span = "–".join(_two(v) for v in interval) if interval and not r.baseline else ""
    return f"{value:.3f} [{span}]" if span else f"{value:.3f}"


def _two(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".", 1 if abs(value) < 1 else 0).replace("1.00", "1")


def _line(item: dict[str, Any]) -> str:
    first, *rest = item.items()
    return f"{_short(first[1])}  " + ", ".join(f"{key}: {_short(value)}" for key, value in rest)


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
    # Control characters of foreign data must not steer the terminal.
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
