"""The lab's pieces as HTML. All text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from core.types import OUT_OF_SCOPE, Neighbour, Route, Tier
from graph.policy import Policy
from ui.chat.figures import percent
from ui.chat.markup import Titles, title
from ui.lab.collisions import Collision
from ui.lab.predictions import Plan, Prediction

MOST_BARS = 5
Marks = Sequence[float]
"""Thresholds on a bar, in [0, 1]."""


def head(name: str, explained: str) -> str:
    """A section's heading and what it shows."""
    return f'<div class="lab-head"><h2>{escape(name)}</h2><p>{escape(explained)}</p></div>'


def decision(found: Plan, policy: Policy, titles: Titles, broken: str = "") -> str:
    """What would be done, in one line, and how far it would go. broken: why what the policy promises holds no longer."""
    by = f'<span class="lab-by">by the {escape(found.route.router)} router</span>'
    line = f'<p class="lab-verdict">{escape(_goes_to(found.route, titles))} {by}</p>'
    steps = _ladder(found, policy) if found.route.experts else _beyond(found)
    rule = f'<div class="sy-safety" role="note">{escape(found.rule.notice)}</div>' if found.rule else ""
    chosen = " ".join(text for text in (escape(policy.target), with_command(broken) or escape(policy.guarantee)) if text)
    why = f'<p class="lab-small">Thresholds: {chosen}</p>' if chosen else ""
    return f'<section class="lab-decision" aria-label="Decision">{line}<p>{escape(steps)}</p>{rule}{why}</section>'


def _goes_to(route: Route, titles: Titles) -> str:
    return f"Goes to {' and '.join(titles.get(name, name) for name in route.experts)}" if route.experts else "Declined"


def _beyond(found: Plan) -> str:
    if found.general:
        return f"{found.general} answers, and the answer is marked as resting on no document."
    return "No model is asked: the answer says what the experts cover."


def _ladder(found: Plan, policy: Policy) -> str:
    first, then = found.models[Tier.INFERIOR], found.models[Tier.SUPERIOR]
    if found.rule:
        return f"A safety rule applies: {then} answers at once, under the notice."
    if found.hard:
        return f"The superior model is likely to be needed: {then} answers at once."
    return (
        f"{first} answers first. From {percent(policy.accept_at)} confidence its answer is given; below {percent(policy.retry_at)} it "
        f"reads more first, and otherwise {then} is asked. What stays below {percent(policy.answer_at)} becomes “I do not know”."
    )


def cards(found: Sequence[Prediction], policy: Policy, titles: Titles, no_difficulty: str = "") -> str:
    """Side by side: what each router says and the policy makes of it, and whether the superior model is needed, or why nothing says so."""
    needed = next((one.route.superior_probability for one in found if one.route), None)
    superior = _superior(needed, policy, no_difficulty)
    return f'<div class="lab-cards">{"".join(_card(one, policy, titles) for one in found)}{superior}</div>'


def _card(found: Prediction, policy: Policy, titles: Titles) -> str:
    name = f"<h3>{escape(kind_title(found.kind))}</h3>"
    if found.route is None:
        return f'<section class="lab-card lab-off">{name}<p>{with_command(found.problem)}</p></section>'
    scores = found.route.scores
    ranked = sorted((label for label in scores if label != OUT_OF_SCOPE), key=lambda label: -scores[label])
    rows = [(titles.get(label, label), scores[label], [policy.both_at]) for label in ranked[:MOST_BARS]]
    if rest := ranked[MOST_BARS:]:
        rows.append((f"{len(rest):,} others together", sum(scores[label] for label in rest), []))
    if OUT_OF_SCOPE in scores:
        rows.append(("Out of scope", scores[OUT_OF_SCOPE], [policy.out_of_scope_at, policy.look_below]))
    verdict = f'<p class="lab-goes">{escape(_goes_to(found.route, titles))}</p>'
    return f'<section class="lab-card">{name}{verdict}{bars(rows)}</section>'


def kind_title(kind: str) -> str:
    """A kind of router as people read it."""
    return {"xgboost": "XGBoost", "llm": "LLM"}.get(kind, kind.replace("_", " ").capitalize())


def with_command(text: str) -> str:
    """A message that ends in a command of ours, the command set as code."""
    said, before, command = text.partition("switchyard ")
    return escape(said) + (f"<code>{escape(before + command)}</code>" if before else "")


def _superior(needed: float | None, policy: Policy, problem: str) -> str:
    """The probability that the superior model is needed, or why there is none."""
    if needed is None:
        return f'<section class="lab-card lab-off"><h3>Superior model needed</h3><p>{with_command(problem)}</p></section>'
    never = policy.superior_at >= 1
    explained = "The policy does not act on it." if never else f"From {percent(policy.superior_at)} on it is asked at once."
    marks = [] if never else [policy.superior_at]
    return (
        '<section class="lab-card"><h3>Superior model needed</h3>'
        f'<p class="lab-goes">{escape(explained)}</p>{bars([("Probability", needed, marks)])}</section>'
    )


def thresholds(policy: Policy) -> str:
    """What the marks on the bars mean."""
    look = (
        f", below {percent(policy.look_below)} only after a look into the documents" if policy.look_below > policy.out_of_scope_at else ""
    )
    return (
        '<p class="lab-small"><span class="lab-mark-key" aria-hidden="true"></span>Thresholds. '
        f"Out of scope: declined from {percent(policy.out_of_scope_at)} on{look}. "
        f"Experts: a second one is asked too from {percent(policy.both_at)} on.</p>"
    )


def bars(rows: Iterable[tuple[str, float, Marks]]) -> str:
    """Rows of name, bar with marks, and number; all values in [0, 1]."""
    html = "".join(
        f'<div class="sy-name">{escape(name)}</div><div class="sy-track lab-track" aria-hidden="true">'
        f'<span style="width:{100 * value:.1f}%"></span>{"".join(_mark(at) for at in marks)}</div>'
        f'<div class="sy-value">{percent(value)}</div>'
        for name, value, marks in rows
    )
    return f'<div class="sy-bars lab-bars">{html}</div>'


def _mark(at: float) -> str:
    return f'<i style="left:{100 * at:.1f}%"></i>'


def neighbours(found: Sequence[Neighbour], titles: Titles) -> str:
    """The examples that lie nearest, with their cosines."""
    rows = "".join(
        f'<li><span class="lab-cosine">{one.similarity:.2f}</span><span class="lab-text">{escape(one.text)}</span>'
        f'<span class="lab-label">{escape(title(one.label, titles))}</span></li>'
        for one in found
    )
    return f'<ol class="lab-list" aria-label="Nearest examples">{rows}</ol>'


def pairs(found: Sequence[Collision], titles: Titles) -> str:
    """Colliding pairs, one an entry: the cosine, and both texts with their labels."""
    rows = "".join(
        f'<li><span class="lab-cosine">{one.similarity:.2f}</span><span class="lab-pair">'
        f"{_example(one.text, one.label, titles)}{_example(one.other, one.other_label, titles)}</span></li>"
        for one in found
    )
    return f'<ol class="lab-list" aria-label="Colliding pairs">{rows}</ol>'


def _example(text: str, label: str, titles: Titles) -> str:
    return (
        f'<span class="lab-row"><span class="lab-text">{escape(text)}</span>'
        f'<span class="lab-label">{escape(title(label, titles))}</span></span>'
    )
