"""What stands around an answer, as HTML: the line above it, its notices, its sources, and how it came about. All text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any
from urllib.parse import quote

from core.pictures import read_mark
from core.text import count
from core.types import OUT_OF_SCOPE, Outcome
from graph.confidence import Logistic
from ui.chat.figures import UNKNOWN_PRICE, money, percent, seconds, signal, spoken, tokens
from ui.chat.text import highlighted

NEAREST = 3
Answer = Mapping[str, Any]
"""The answer object, as the store keeps it."""
Titles = Mapping[str, str]
"""Titles of the experts, by name."""
BOTH = "+"
"""Joins the names of the experts to whom an example belongs; no name holds it."""


def anchor(answer: Answer) -> str:
    """Prefix of the ids of an answer's sources: `<anchor>-<n>` is source n."""
    return f"source-{answer['run_id'][:12]}"


def question(text: str, pictures: Sequence[str] = ()) -> str:
    """What the user asked, as typed, below the pictures, data: URLs; where there are none to show, a mark is in their place."""
    words, description = read_mark(text) if pictures else (text, "")
    images = "".join(f'<img src="{escape(url)}" alt="{escape(description or f"Picture {n}")}">' for n, url in enumerate(pictures, 1))
    shown = f'<div class="sy-pictures">{images}</div>' if images else ""
    return f'<div class="sy-question" tabindex="0">{shown}{escape(words)}</div>'


def steps(line: str) -> str:
    """What is being done right now; it stands where `summary` will stand."""
    return f'<p class="sy-line sy-working" role="status">{escape(line)}</p>'


def summary(answer: Answer, titles: Titles) -> str:
    """Who answered, how sure, for how much and how fast, in one line."""
    parts = [f"<b>{escape(who(answer, titles))}</b>"]
    if answer["outcome"] in (Outcome.ANSWERED, Outcome.ESCALATED):
        parts.append(f"{spoken(answer['confidence'])} confident")
    parts += [escape(money(answer["cost_usd"])), seconds(answer["latency_ms"])]
    return f'<p class="sy-line">{_dotted(parts)}</p>'


def who(answer: Answer, titles: Titles) -> str:
    """Who answered, or that nobody could."""
    names = names_of(answer["expert"], titles)
    match Outcome(answer["outcome"]):
        case Outcome.DECLINED:
            return "No expert asked"
        case Outcome.UNKNOWN:
            return f"{names}: no answer found"
        case Outcome.CLARIFY:
            return "Asked back"
        case Outcome.ESCALATED:
            return f"{names}, superior model"
        case Outcome.ANSWERED:
            return names


def names_of(expert: str | Sequence[str] | None, titles: Titles) -> str:
    """The experts' titles, joined by `and`."""
    names = [expert] if isinstance(expert, str) else list(expert or [])
    return " and ".join(titles.get(name, name) for name in names)


def title(label: str, titles: Titles) -> str:
    """The label of an example as people read it."""
    named = {OUT_OF_SCOPE: "Out of scope", **titles}
    return " and ".join(named.get(name, name) for name in label.split(BOTH))


def problem(text: str) -> str:
    """Why there is no answer, or nothing to show."""
    return f'<div class="sy-problem" role="alert">{escape(text)}</div>'


def notices(answer: Answer, *, safety: bool) -> str:
    """The safety notices, or all the others; empty when there is none."""
    chosen = [n["text"] for n in answer["notices"] if (n["kind"] == "safety") is safety]
    kind, role = ("sy-safety", "alert") if safety else ("sy-notice", "note")
    return "".join(f'<div class="{kind}" role="{role}">{escape(text)}</div>' for text in chosen)


def copy(text: str) -> str:
    """A button that puts `text` on the clipboard, by page.js. Percent-encoded: what looks like a tag would cost the button its text."""
    return f'<button type="button" class="sy-copy" data-text="{quote(text)}"><span aria-live="polite">Copy</span></button>'


def opened(thread: str | None, *, asking: bool) -> str:
    """Tells page.js which conversation is open, and whether a question is under way in it."""
    return f'<div class="sy-opened" data-thread="{escape(thread or "")}" data-asking="{"yes" if asking else ""}"></div>'


def body(answer: Answer) -> str:
    """The answer's Markdown without the safety notices that open it: they are shown above it."""
    text: str = answer["answer"]
    for notice in answer["notices"]:
        if notice["kind"] == "safety":
            text = text.removeprefix(f"**{notice['text']}**").lstrip()
    return text


def sources(answer: Answer) -> str:
    """One foldable source per number: title, passage with the quoted words marked, origin. A link to its id opens it."""
    by_number = groupby(sorted(answer["citations"], key=lambda c: c["n"]), key=lambda c: c["n"])
    items = "".join(_source(f"{anchor(answer)}-{n}", n, list(cited), answer["passages"]) for n, cited in by_number)
    return f'<section class="sy-sources" aria-label="Sources">{items}</section>' if items else ""


def _source(name: str, n: int, cited: Sequence[Mapping[str, Any]], passages: Sequence[Mapping[str, Any]]) -> str:
    quotes = [c["quote"] for c in cited]
    # Passages of two experts may have one id.
    texts = [p["text"] for p in passages if p["id"] == cited[0]["passage_id"]]
    passage = max(texts, key=lambda text: sum(quote in text for quote in quotes), default="\n\n".join(quotes))
    where = f'<p class="sy-where">{escape(cited[0]["source"])}</p>' if cited[0]["source"] else ""
    # The id lies inside the fold, at the first quote: following a link to it, the browser unfolds the source and scrolls there by itself.
    marked, name = highlighted(passage, quotes), escape(name)
    at_quote = marked.replace("<mark>", f'<mark id="{name}">', 1)
    at_box = "" if at_quote != marked else f' id="{name}"'
    shown = f'<span class="sy-n">{n}</span><span class="sy-title">{escape(cited[0]["title"])}</span>'
    return (
        f'<details class="sy-fold"><summary>{shown}</summary><div class="sy-passage"{at_box} tabindex="0">{at_quote}</div>{where}</details>'
    )


def background(answer: Answer, titles: Titles, weighed: Logistic) -> str:
    """How the answer came about, folded away. weighed: what the confidence is made by."""
    inner = decided(answer, titles, weighed)
    return f'<details class="sy-fold sy-why"><summary><span class="sy-title">How this answer came about</span></summary>{inner}</details>'


def decided(answer: Answer, titles: Titles, weighed: Logistic) -> str:
    """Route, confidence, escalation, models and cost."""
    blocks = [
        ("Route", _route(answer, titles)),
        ("Confidence", _confidence(answer, weighed)),
        ("Escalation", _escalation(answer)),
        ("Models and cost", _ledger(answer)),
    ]
    return "".join(f'<div class="sy-block"><h4>{name}</h4>{html}</div>' for name, html in blocks if html)


def _route(answer: Answer, titles: Titles) -> str:
    """The probabilities, best expert first and out of scope last, and the examples nearest to the question."""
    route = answer["route"]
    ranked = sorted(route["scores"].items(), key=lambda item: (item[0] == OUT_OF_SCOPE, -item[1]))
    near = "".join(
        f"<li>{escape(n['text'])} ({escape(title(n['label'], titles))}, cosine {n['similarity']:.2f})</li>"
        for n in route["nearest"][:NEAREST]
    )
    listed = f'<ul class="sy-near" aria-label="Nearest examples"><li>Nearest examples:</li>{near}</ul>' if near else ""
    return _bars((title(name, titles), p) for name, p in ranked) + listed


def _confidence(answer: Answer, weighed: Logistic) -> str:
    parts = answer["confidence_parts"]
    if not parts:
        return ""
    adds = weighed.explained(parts, answer["confidence"])
    names = {name: signal(name) + (f" ({adds[name]:+.1f})" if name in adds else "") for name in parts}
    how = f", with what each adds to the log-odds, from {weighed.intercept:+.1f} on" if adds else ""
    whole = f"<p>{spoken(answer['confidence']).capitalize()} likely to be acceptable, calibrated from these signals{how}:</p>"
    return whole + _bars((names[name], value) for name, value in parts.items())


def _escalation(answer: Answer) -> str:
    moved = answer["escalation"]
    if not moved:
        return ""
    return f"<p>From <code>{escape(moved['from'])}</code> to <code>{escape(moved['to'])}</code>: {escape(moved['reason'])}.</p>"


def _ledger(answer: Answer) -> str:
    uses = answer["models"]
    if not uses:
        return "<p>No model was asked.</p>"
    rows = "".join(
        f"<tr><td><code>{escape(u['model'])}</code></td><td>{escape(u['tier'])}</td><td>{u['input_tokens']:,}</td><td>{u['output_tokens']:,}</td>"
        f"<td>{escape(money(u['cost_usd']))}</td><td>{seconds(u['latency_ms'])}</td></tr>"
        for u in uses
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Model", "Tier", "Read", "Written", "Cost", "Time"))
    always = answer["cost_always_superior_usd"]
    instead = UNKNOWN_PRICE if always is None else money(always)
    total = f"{count(tokens(answer), 'token')}, {money(answer['cost_usd'])}. With the superior model at once: {instead}."
    table = f'<div class="sy-scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"{table}<p>{escape(total)}</p>"


def _bars(values: Iterable[tuple[str, float]]) -> str:
    """Rows of name, bar and number; a value outside [0, 1] gets the bar of the nearer end."""
    rows = "".join(
        f'<div class="sy-name">{escape(name)}</div>'
        f'<div class="sy-track" aria-hidden="true"><span style="width:{100 * min(1.0, max(0.0, value)):.1f}%"></span></div>'
        f'<div class="sy-value">{percent(value)}</div>'
        for name, value in values
    )
    return f'<div class="sy-bars">{rows}</div>'


def _dotted(parts: Iterable[str]) -> str:
    return '<span class="sy-dot" aria-hidden="true"> · </span>'.join(parts)
