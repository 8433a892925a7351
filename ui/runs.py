"""Past runs in the terminal: a table of them, one with its whole decision, and the weeks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from evaluation.drift import ALPHA, GOOD, OTHERS, ROUTE, Change, Week, shown_routes
from ui.chat.figures import UNKNOWN_PRICE, money, percent, signal
from ui.console import OUT, plain, probability_bar, shorten

if TYPE_CHECKING:
    from store.feedback import Feedback
    from store.runs import Run, Turn

SHORT_ID = 8
MOST_ROUTES = 5
TITLE_CHARS, DRAFT_CHARS, NEAREST = 60, 400, 3
INDENT = (0, 0, 0, 2)
CHANGED = "▲▼"


def run_table(found: Sequence[Turn]) -> Table:
    """One row a run; the question takes what room there is."""
    table = _table("run", "when (UTC)", "question", "expert", "outcome", "conf", "cost", "time")
    table.columns[2].ratio = 1
    table.expand = True
    for column in table.columns:
        column.no_wrap, column.overflow = True, "ellipsis"
    for turn in found:
        expert = "+".join(turn.experts) or "-"
        numbers = f"{turn.confidence:.2f}" if turn.experts else "-", _dollars(turn.cost_usd), f"{turn.latency_ms / 1000:.1f} s"
        question = " ".join(plain(turn.question).split())
        table.add_row(turn.run_id[:SHORT_ID], when(turn.created_at), question, expert, turn.outcome, *numbers)
    return table


def when(at: float) -> str:
    """A time (seconds since the epoch), in UTC; the year only where it is not this one."""
    then = datetime.fromtimestamp(at, UTC)
    return then.strftime("%m-%d %H:%M" if then.year == datetime.now(UTC).year else "%Y-%m-%d")


def print_run(run: Run, said: Sequence[Feedback]) -> None:
    """The whole decision, part by part, in the order in which it was made."""
    answer, decision = run.answer, run.decision
    then = datetime.fromtimestamp(run.created_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    _say(Text(f"Run {run.run_id}, {then}", style="bold"))
    _say(Text(f"thread {plain(run.thread_id)}{f', asked by {plain(run.owner)}' if run.owner else ''}", style="dim"))
    _part("Question", Text(plain(run.question)))
    alone = decision.get("question", run.question)
    if alone != run.question:
        _part("Answered as", Text(plain(alone)))
    _part("Answer", Markdown(plain(answer["answer"]), hyperlinks=False))
    confidence = f", confidence {answer['confidence']:.4f}" if answer["confidence_parts"] else ""
    _part("Outcome", Text(f"{answer['outcome']}{confidence}, {'grounded' if answer['grounded'] else 'not grounded'}"))
    _print_route(answer["route"], decision.get("safety"))
    _print_passages(answer)
    drafts = [draft for draft in decision.get("drafts", []) if draft["model"]]
    for n, draft in enumerate(drafts, 1):
        _print_draft(n, draft)
    if drafts:
        _part("Verdicts", _verdicts(drafts))
    if moved := answer["escalation"]:
        _part("Escalation", Text(plain(f"from {moved['from']} to {moved['to']}: {moved['reason']}")))
    _print_models(answer)
    if answer["notices"]:
        _part("Notices", Text("\n".join(plain(f"{notice['kind']}: {notice['text']}") for notice in answer["notices"])))
    if said:
        _part("Feedback", Text("\n".join(_feedback(one) for one in said)))


def _print_route(route: Mapping[str, Any], safety: str | None) -> None:
    table = Table.grid(padding=(0, 2))
    for name, score in sorted(route["scores"].items(), key=lambda item: -item[1]):
        table.add_row(plain(name), probability_bar(score), f"{score:.4f}")
    _part("Route", table)
    needed = route["superior_probability"]
    limits = ", ".join(f"{name} {value:g}" for name, value in route["thresholds"].items())
    facts = [f"router {route['router']}"] + ([f"thresholds {limits}"] if limits else [])
    facts += [] if needed is None else [f"superior model needed with {needed:.2f}"]
    _say(Text(plain("; ".join(facts + ([f"safety rule {safety}"] if safety else []))), style="dim"), INDENT)
    for near in route["nearest"][:NEAREST]:
        _say(Text(f"near: {shorten(near['text'], TITLE_CHARS)} ({near['label']}, {near['similarity']:.2f})", style="dim"), INDENT)


def _print_passages(answer: Mapping[str, Any]) -> None:
    table = Table.grid(padding=(0, 2))
    for passage in answer["passages"]:
        # Passages of two experts may have one id.
        cited = {c["n"] for c in answer["citations"] if c["passage_id"] == passage["id"] and c["quote"] in passage["text"]}
        marks = "".join(f"[{n}]" for n in sorted(cited))
        table.add_row(marks, f"{passage['score']:.3f}", shorten(passage["title"], TITLE_CHARS), Text(plain(passage["id"]), style="dim"))
    if table.row_count:
        _part("Passages", table)


def _print_draft(n: int, draft: Mapping[str, Any]) -> None:
    told = [draft["expert"] or "no expert", f"attempt {draft['attempt']}", f"{draft['model']} ({draft['tier']})"]
    told += [f"confidence {draft['confidence']:.4f}"] + ([] if draft["answers"] else ["does not answer"])
    _part(f"Draft {n}", Text(plain(", ".join(told))))
    _say(Text(shorten(draft["text"], DRAFT_CHARS), style="italic"), INDENT)


def _verdicts(drafts: Sequence[Mapping[str, Any]]) -> Table:
    """The signals of each draft, side by side."""
    table = _table("signal", *(f"draft {n}" for n in range(1, len(drafts) + 1)))
    for name in dict.fromkeys(name for draft in drafts for name in draft["parts"]):
        values = [draft["parts"].get(name) for draft in drafts]
        table.add_row(signal(name), *("-" if value is None else f"{value:.4f}" for value in values))
    return table


def _print_models(answer: Mapping[str, Any]) -> None:
    table = _table("model", "tier", "read", "written", "cost", "time")
    for use in answer["models"]:
        tokens = f"{use['input_tokens']:,}", f"{use['output_tokens']:,}"
        table.add_row(plain(use["model"]), use["tier"], *tokens, money(use["cost_usd"]), f"{use['latency_ms'] / 1000:.2f} s")
    always = answer["cost_always_superior_usd"]
    instead = UNKNOWN_PRICE if always is None else money(always)
    total = f"{money(answer['cost_usd'])} in {answer['latency_ms'] / 1000:.2f} s; with the superior model at once: {instead}"
    _part("Models", table if table.row_count else Text("none was asked"))
    _say(Text(total, style="dim"), INDENT)


def _feedback(one: Feedback) -> str:
    verdict = {True: "acceptable", False: "not acceptable", None: "no verdict"}[one.acceptable]
    words = [plain(one.owner or "local user"), verdict]
    words += [f"belongs to {one.expert}"] if one.expert else []
    words += [f"wrong sources {', '.join(map(str, one.wrong_citations))}"] if one.wrong_citations else []
    words += [f"better: {shorten(one.text, DRAFT_CHARS)}"] if one.text else []
    words += [f"comment: {shorten(one.comment, DRAFT_CHARS)}"] if one.comment else []
    return ", ".join(plain(word) for word in words)


def print_drift(found: Sequence[Week]) -> None:
    """Two tables, so that they fit a narrow terminal, and what changed in words. A changed number has a mark."""
    names = shown_routes(found, MOST_ROUTES)
    others = any(week.routes.keys() - set(names) for week in found)
    routes = _table("week of", "turns", *(plain(name) for name in names), *([OTHERS] if others else []))
    ends = _table("week of", "escal.", "unknown", "declined", "asks", "conf", "good", "of", "their conf", "cost", "time")
    for week in found:
        rest = [1 - sum(week.routes.get(name, 0.0) for name in names)] if others and week.turns else []
        shares = [_marked(week, ROUTE + name, percent(week.routes.get(name, 0.0))) if week.turns else "-" for name in names]
        routes.add_row(week.start.isoformat(), f"{week.turns:,}", *shares, *map(percent, rest))
        ends.add_row(*_ends(week))
    OUT.print(Text("Where questions went", style="bold"))
    OUT.print(routes)
    OUT.print()
    OUT.print(Text("How turns ended, confidence against feedback, cost and time of a turn", style="bold"))
    OUT.print(ends)
    changed = [(week, change) for week in found for change in week.changes]
    OUT.print()
    if len(found) == 1:
        OUT.print(Text("One week so far: there is nothing to compare it with yet.", style="dim"))
    elif not changed:
        OUT.print(Text(f"No week differs from the earlier ones beyond chance (p < {ALPHA:g}).", style="dim"), soft_wrap=True)
    for week, change in changed:
        line = f"{week.start.isoformat()}: {plain(change.measure)} {_number(change, change.before)} to {_number(change, change.now)}"
        OUT.print(Text(f"{line}, p {change.p:.1g}", style="yellow"), soft_wrap=True)


def _ends(week: Week) -> list[str]:
    if not week.turns:
        return [week.start.isoformat(), *["-"] * 10]
    ended = [_marked(week, name, percent(week.outcomes[name])) for name in ("escalated", "unknown", "declined", "clarify")]
    sure = "-" if week.confidence is None else _marked(week, "confidence", f"{week.confidence:.2f}")
    good = "-" if week.good is None else _marked(week, GOOD, percent(week.good))
    theirs = "-" if week.rated_confidence is None else f"{week.rated_confidence:.2f}"
    cost = "-" if week.cost_usd is None else _marked(week, "cost_usd", _dollars(week.cost_usd))
    took = "-" if week.latency_ms is None else _marked(week, "latency_ms", f"{week.latency_ms / 1000:.1f} s")
    return [week.start.isoformat(), *ended, sure, good, str(week.rated), theirs, cost, took]


def _marked(week: Week, measure: str, shown: str) -> str:
    change = next((change for change in week.changes if change.measure == measure), None)
    return shown if change is None else f"{CHANGED[change.now < change.before]}{shown}"


def _number(change: Change, value: float) -> str:
    match change.measure:
        case "cost_usd":
            return _dollars(value)
        case "latency_ms":
            return f"{value / 1000:.2f} s"
        case "confidence":
            return f"{value:.2f}"
    return percent(value)


def _dollars(cost: float | None) -> str:
    return "?" if cost is None else f"${cost:.2g}" if cost else "$0"


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def _part(name: str, body: Any) -> None:
    OUT.print()
    OUT.print(Text(name, style="bold cyan"))
    _say(body, INDENT)


def _say(body: Any, around: tuple[int, int, int, int] = (0, 0, 0, 0)) -> None:
    OUT.print(Padding(body, around))
