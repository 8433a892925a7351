"""Past runs as HTML: a table of them, one with its whole decision, and the weeks. All text is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import urlencode

from evaluation.drift import ROUTE, Change, Week
from graph.confidence import Logistic
from store.feedback import Feedback
from store.runs import Run, Turn
from ui.chat.figures import money, percent, seconds, signal, spoken
from ui.chat.markup import Titles, decided, names_of
from ui.reports.markup import head, table

ENDED = {"escalated": "superior model", "declined": "no expert asked", "unknown": "no answer found", "clarify": "asked back"}
"""Outcomes, as people read them."""
RATED = {True: "acceptable", False: "not acceptable", None: "no verdict"}
UNITS: Mapping[str, Callable[[float], str]] = {"cost_usd": money, "latency_ms": seconds, "confidence": "{:.2f}".format}
COLUMNS = ("question", "when (UTC)", "expert", "outcome", "confidence", "cost", "time")


def address(**chosen: str | None) -> str:
    """The page's address with what is chosen."""
    return "?" + urlencode({name: value for name, value in chosen.items() if value})


def when(at: float) -> str:
    """A time (seconds since the epoch), in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def runs(found: Sequence[Turn], titles: Titles, **chosen: str | None) -> str:
    """A row a run; its question opens it. chosen: what the address keeps."""
    heads = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    rows = "".join(_run(turn, titles, chosen) for turn in found)
    return table(f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>", "Runs")


def _run(turn: Turn, titles: Titles, chosen: Mapping[str, str | None]) -> str:
    sure = percent(turn.confidence) if turn.experts else ""
    cells = [when(turn.created_at), names_of(turn.experts, titles), ENDED.get(turn.outcome, turn.outcome), sure]
    cells += [money(turn.cost_usd), seconds(turn.latency_ms)]
    link = f'<a href="{escape(address(run=turn.run_id, **chosen))}">{escape(" ".join(turn.question.split()))}</a>'
    return f'<tr><th scope="row">{link}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'


def opening(run: Run, **chosen: str | None) -> str:
    """The question, when it was asked, and where its conversation is."""
    back = f'<a class="rp-back" href="{escape(address(**chosen) if any(chosen.values()) else "?")}">All runs</a>'
    chat = f'<a href="{escape("./" + address(thread=run.thread_id))}">the conversation</a>' if run.thread_id != run.run_id else ""
    alone = run.decision.get("question", run.question)
    answered = f'<p class="rp-small">Answered as: {escape(alone)}</p>' if alone != run.question else ""
    facts = " · ".join(part for part in (f"{when(run.created_at)} UTC", f"run {escape(run.run_id)}", chat) if part)
    return f'{back}<div class="rp-head"><h1>{escape(run.question)}</h1><p>{facts}</p></div>{answered}'


def whole(run: Run, said: Sequence[Feedback], titles: Titles, weighed: Logistic) -> str:
    """What was decided, every draft, the passages that were read, and feedback."""
    drafts = [draft for draft in run.decision.get("drafts", []) if draft["model"]]
    parts = [head("Decision", _verdict(run)), f'<div class="sy-fold rp-open">{decided(run.answer, titles, weighed)}</div>']
    if drafts:
        parts.append(head("Drafts", "Every answer that was written, and how it was judged."))
        parts += [_draft(n, draft, titles) for n, draft in enumerate(drafts, 1)]
    if run.answer["passages"]:
        parts += [head("Passages", "What the answer could rest on; unfold one to read it."), *map(_passage, run.answer["passages"])]
    if said:
        rows = "".join(f"<li><p>{escape(_feedback(one))}</p></li>" for one in said)
        parts += [head("Feedback", "What was said of this answer."), f'<ol class="rp-list">{rows}</ol>']
    return "".join(parts)


def _verdict(run: Run) -> str:
    answer, safety = run.answer, run.decision.get("safety")
    ended = ENDED.get(answer["outcome"], answer["outcome"]).capitalize()
    words = [ended, "grounded in documents" if answer["grounded"] else "no source cited"]
    words += [f"routed by {answer['route']['router']}"] + ([f"safety rule {safety}"] if safety else [])
    limits = ", ".join(f"{name} {value:g}" for name, value in answer["route"]["thresholds"].items())
    return f"{'; '.join(words)}{f'; thresholds {limits}' if limits else ''}."


def _draft(n: int, draft: Mapping[str, Any], titles: Titles) -> str:
    model = f"{draft['model']} ({draft['tier']}), {spoken(draft['confidence'])} confident"
    title = f"{names_of(draft['expert'], titles) or 'No expert'}, attempt {draft['attempt']}: {model}"
    rows = "".join(f"<span><b>{escape(signal(name))}</b> {value:.2f}</span>" for name, value in draft["parts"].items())
    body = f'<div class="sy-passage" tabindex="0">{escape(draft["text"])}</div><div class="rp-fields rp-inside">{rows}</div>'
    return _fold(str(n), title, body)


def _passage(passage: Mapping[str, Any]) -> str:
    where = f'<p class="sy-where">{escape(passage["id"])} · {escape(passage["source"])}</p>'
    return _fold(
        f"{passage['score']:.2f}", passage["title"], f'<div class="sy-passage" tabindex="0">{escape(passage["text"])}</div>{where}'
    )


def _fold(mark: str, title: str, body: str) -> str:
    summary = f'<summary><span class="sy-n">{escape(mark)}</span><span class="sy-title">{escape(title)}</span></summary>'
    return f'<details class="sy-fold">{summary}{body}</details>'


def _feedback(one: Feedback) -> str:
    words = [RATED[one.acceptable], *([f"belongs to {one.expert}"] if one.expert else [])]
    words += [f"wrong sources: {', '.join(map(str, one.wrong_citations))}"] if one.wrong_citations else []
    return "; ".join([*words, *([f"better: {one.text}"] if one.text else []), *([one.comment] if one.comment else [])])


def named(found: Sequence[Week], titles: Titles) -> list[Week]:
    """The weeks with the experts' titles for their names."""

    def shown(route: str) -> str:
        return " + ".join(titles.get(name, name) for name in route.split(" + "))

    def told(change: Change) -> Change:
        return replace(change, measure=ROUTE + shown(change.measure.removeprefix(ROUTE))) if change.measure.startswith(ROUTE) else change

    def of(week: Week) -> Week:
        routes: dict[str, float] = {}
        for route, share in week.routes.items():
            # Two experts may have one title.
            routes[shown(route)] = routes.get(shown(route), 0.0) + share
        return replace(week, routes=routes, changes=[told(change) for change in week.changes])

    return [of(week) for week in found]


def changed(found: Sequence[Week]) -> str:
    """The weeks that differ from the earlier ones, in words."""
    rows = "".join(f"<li><p>{escape(_change(week, change))}</p></li>" for week in found for change in week.changes)
    if len(found) < 2:
        return '<p class="rp-small">One week so far: there is nothing to compare it with yet.</p>'
    if not rows:
        return '<p class="rp-small">No week differs from the earlier ones beyond chance.</p>'
    return f'<ol class="rp-list" aria-label="Changes">{rows}</ol>'


def _change(week: Week, change: Change) -> str:
    shown = UNITS.get(change.measure, percent)
    return f"Week of {week.start.isoformat()}: {change.measure} went from {shown(change.before)} to {shown(change.now)} (p {change.p:.1g})"
