"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graph.spending import total

SIGNALS = {
    "route": "Router's probability of this expert",
    "cosine": "Likeness of question and best passage",
    "evidence": "Passages hold an answer, by the reader",
    "cosine_gap": "Lead of the best passage over the rest",
    "coverage": "Question's words found in the passages",
    "relevance": "Likeness of question and answer",
    "draft_coverage": "Question's words found in the answer",
    "support": "Answer's words found in its sources",
    "reader": "Reader's belief in the quoted sentences",
    "answers": "The model gave an answer",
    "margin": "Lead of this expert over the next",
    "superior_probability": "Likelihood that the strong model is needed",
    "length": "Length of the answer",
    "hedging": "Words of doubt",
    "wrong_steps": "Calculations that do not come out",
    "token_probability": "Mean probability of the answer's words",
    "doubtful_tokens": "Share of the words in doubt",
}
"""What the parts of the confidence are called."""

UNKNOWN_PRICE = "price unknown"


def signal(name: str) -> str:
    """The readable name of a part of the confidence."""
    return SIGNALS.get(name, name.replace("_", " ").capitalize())


def percent(value: float) -> str:
    """A share in [0, 1] as a whole percentage; only a share of exactly 0 or 1 is shown as such."""
    if 0 < value < 0.01:
        return "< 1%"
    if 0.99 < value < 1:
        return "> 99%"
    return f"{value:.0%}"


def spoken(share: float) -> str:
    """A share in [0, 1] as a whole percentage in a sentence."""
    return percent(share).replace("> ", "over ").replace("< ", "under ")


def money(usd: float | None) -> str:
    """A price: unknown when it is None, `free` when it is 0."""
    if usd is None:
        return UNKNOWN_PRICE
    if usd == 0:
        return "free"
    return f"${usd:.2f}" if usd >= 1 else f"${usd:.4f}" if usd >= 0.0001 else "< $0.0001"


def seconds(milliseconds: float) -> str:
    """A duration."""
    return "< 0.1 s" if milliseconds < 50 else f"{milliseconds / 1000:.1f} s"


def tokens(answer: Mapping[str, Any]) -> int:
    """Tokens that a turn's models read and wrote."""
    return sum(use["input_tokens"] + use["output_tokens"] for use in answer["models"])


def saving(answers: Sequence[Mapping[str, Any]]) -> str:
    """What these turns cost against always asking the superior model, in one sentence."""
    spent = total(a["cost_usd"] for a in answers)
    always = total(a["cost_always_superior_usd"] for a in answers)
    if spent is not None and always and spent < always:
        return f"{money(spent).capitalize()}, {(always - spent) / always:.0%} less than {money(always)} with the superior model always."
    if spent == 0 and always == 0:
        return "Free: only local models were asked."
    return f"{money(spent).capitalize()}; with the superior model always: {money(always)}."
