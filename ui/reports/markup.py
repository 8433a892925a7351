"""The pieces of the pages "Evaluation", "Models" and "Runs" as HTML. All text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

from core.text import count
from graph.recommendation import Estimate, Recommendation
from ui.reports.catalogue import Entry
from ui.reports.stored import Plot, Suite, System

MEASURED = ("quality", "cost", "measured on")
"""Columns that are empty until a recommender has been trained."""
LONGEST = 400
MOST_LABELS = 12
"""Metrics of one family (recall.tea, recall.bees ...) above which they are left to the file."""


def head(name: str, explained: str, level: int = 2) -> str:
    """A heading and what stands below it."""
    return f'<div class="rp-head"><h{level}>{escape(name)}</h{level}><p>{escape(explained)}</p></div>'


def empty(said: str, command: str) -> str:
    """Why there is nothing yet, and the command that changes that."""
    return f'<div class="rp-empty"><p>{escape(said)}</p><code>{escape(command)}</code></div>'


def facts(suite: Suite) -> str:
    """Rows, and how to get the same numbers."""
    said = f"{suite.n:,} rows, 95% bootstrap intervals. Reproduce:"
    return f'<p class="rp-small">{said}</p><code class="rp-command">{escape(suite.command)}</code>'


def results(suite: Suite) -> str:
    """Systems by metrics, best first, baselines quieter."""
    names = shown_metrics(suite.results)
    heads = "".join(f'<th scope="col">{escape(name.replace("_", " "))}</th>' for name in [*names, "p50 ms", "p95 ms"])
    rows = "".join(_row(system, names) for system in suite.results)
    return table(f'<thead><tr><th scope="col">system</th>{heads}</tr></thead><tbody>{rows}</tbody>', "Results")


def shown_metrics(systems: Sequence[System]) -> list[str]:
    """In the order of the first system; families of many members are left out."""
    names = list(dict.fromkeys(name for system in systems for name in system.metrics))
    families: dict[str, int] = {}
    for name in names:
        families[name.partition(".")[0]] = families.get(name.partition(".")[0], 0) + ("." in name)
    return [name for name in names if "." not in name or families[name.partition(".")[0]] <= MOST_LABELS]


def _row(system: System, names: Sequence[str]) -> str:
    cells = "".join(f"<td>{_value(system.metrics.get(name), system.interval.get(name))}</td>" for name in names)
    times = "".join(f"<td>{_value(system.latency_ms.get(p), None, digits=1)}</td>" for p in ("p50", "p95"))
    kind, baseline = (' class="rp-baseline"', " <small>baseline</small>") if system.baseline else ("", "")
    return f'<tr{kind}><th scope="row">{escape(system.name)}{baseline}</th>{cells}{times}</tr>'


def _value(value: float | None, interval: tuple[float, float] | None, digits: int = 3) -> str:
    if value is None:
        return ""
    span = f"<small>{interval[0]:.{digits}f} to {interval[1]:.{digits}f}</small>" if interval else ""
    return f"{round(value, digits) + 0.0:,.{digits}f}{span}"  # + 0.0: without the sign of a rounded -0


def plots(found: Sequence[Plot]) -> str:
    """The pictures, on white in dark pages too: that is what they were drawn for."""
    images = (
        f'alt="{escape(plot.shows.capitalize())}" src="data:image/png;base64,{base64.b64encode(plot.png).decode()}"' for plot in found
    )
    return f'<div class="rp-plots">{"".join(f"<figure tabindex=0><img {image}></figure>" for image in images)}</div>'


def wrong(items: Sequence[dict[str, Any]]) -> str:
    """One entry an item: its first field large, the others beside their names."""
    rows = "".join(f"<li><p>{escape(_short(first))}</p>{_fields(rest)}</li>" for first, rest in map(_parted, items))
    return f'<ol class="rp-list" aria-label="Wrong items">{rows}</ol>'


def _parted(item: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    first = next(iter(item), "")
    return item.get(first, ""), {name: value for name, value in item.items() if name != first}


def _fields(fields: dict[str, Any]) -> str:
    pairs = "".join(f"<span><b>{escape(name)}</b> {escape(_short(value))}</span>" for name, value in fields.items())
    return f'<div class="rp-fields">{pairs}</div>' if pairs else ""


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1].rstrip()}…"


def models(entries: Sequence[Entry]) -> str:
    """The models that can be asked, and those that cannot with the reason."""
    measured = any(entry.measured for entry in entries)
    names = ["role", "USD per 1 M tokens", *(MEASURED if measured else ())]
    heads = "".join(f'<th scope="col">{name}</th>' for name in ["model", *names])
    rows = "".join(_model(entry, names) for entry in entries)
    return table(f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>", "Models")


def _model(entry: Entry, names: Sequence[str]) -> str:
    missing = "" if entry.problem is None else f"<small>{escape(entry.problem)}</small>"
    sign, kind = ("●", "") if entry.problem is None else ("○", ' class="rp-baseline"')
    said = "can be used" if entry.problem is None else "not available"
    first = f'<span class="rp-sign" role="img" aria-label="{said}">{sign}</span>{escape(entry.spec)}{missing}'
    dated = f"<small>list of {escape(entry.price_date)}</small>" if entry.price_date else ""
    cells = (
        escape(", ".join(entry.roles)),
        f"{escape(entry.price)}{dated}",
        "" if entry.quality is None else f"{entry.quality:.2f}",
        escape(usd(entry.cost_usd)) if entry.measured else "",
        count(entry.measured, "prompt") if entry.measured else "",
    )
    # On a narrow screen each cell says itself what it is.
    named = "".join(f'<td data-name="{name}">{cell}</td>' for name, cell in zip(names, cells, strict=False))
    return f'<tr{kind}><th scope="row">{first}</th>{named}</tr>'


def recommendation(found: Recommendation) -> str:
    """The model to ask and why, what was expected of all, and the nearest measured prompts."""
    verdict = f'<p class="rp-verdict">Ask {escape(found.model)} <small>{escape(found.reason)}</small></p>'
    bars = "".join(_bar(each, chosen=each.model == found.model) for each in found.models)
    near = "".join(
        f'<li><p>{escape(_short(near.prompt))}</p><div class="rp-fields"><span><b>cosine</b> {near.similarity:.2f}</span>'
        + "".join(f"<span><b>{escape(model)}</b> {score:.2f}</span>" for model, score in sorted(near.scores.items(), key=lambda s: -s[1]))
        + "</div></li>"
        for near in found.nearest
    )
    listed = f'{head("Nearest measured prompts", "What the expectation rests on.")}<ol class="rp-list">{near}</ol>' if near else ""
    return f'<section class="rp-decision" aria-label="Recommendation">{verdict}<div class="rp-bars">{bars}</div></section>{listed}'


def _bar(each: Estimate, *, chosen: bool) -> str:
    time = "time unknown" if each.latency_ms is None else f"{each.latency_ms / 1000:.1f} s"
    kind = " rp-chosen" if chosen else ""
    return (
        f'<div class="rp-name{kind}">{escape(each.model)}</div><div class="sy-track" aria-hidden="true">'
        f'<span style="width:{100 * each.quality:.1f}%"></span></div><div class="rp-number">{each.quality:.2f}</div>'
        f'<div class="rp-number">{escape(usd(each.cost_usd))}, {time}</div>'
    )


def usd(cost: float | None) -> str:
    """A cost of one prompt, which may be a small part of a cent."""
    return "cost unknown" if cost is None else f"${cost:.2g}" if cost else "free"


def table(inner: str, name: str) -> str:
    """A table that scrolls sideways by itself. name: what it is called for those who do not see it."""
    return f'<div class="rp-scroll" tabindex="0" role="region" aria-label="{name}"><table>{inner}</table></div>'
