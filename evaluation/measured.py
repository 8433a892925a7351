"""Recorded scores of several models on the same prompts, as `train recommender` and `eval recommendation` read them.

A line is {"prompt", "scores": {model: x}}, with "costs": {model: usd} and "latency_ms": {model: ms} where they were measured. In the place
of "scores" a line may have "models": {model: {"correct": x}}, and beside the prompt "options": [...], which are lettered and added to it.
A line that cannot be used is left out and named; the others count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np

from core.errors import InputError
from evaluation.metrics import Floats
from evaluation.rows import Mapped, Row, read_lines, row_of
from graph.recommender import Measured
from llms.prices import CHARS_A_TOKEN, MILLION, Price, PriceList, cost_usd

FORM = '{"prompt","scores":{model: x}}'
ANSWER_TOKENS = 300
"""What a cost is estimated with where it was not measured: a middling answer."""
Numbers = dict[str, float]


@dataclass(frozen=True, slots=True)
class Scored:
    """One line. `together`: see `evaluation.rows.Row.together`."""

    prompt: str
    scores: Numbers
    costs: Numbers
    latencies: Numbers
    together: str = ""


def read_scored(paths: Sequence[Path], mapping: Mapped, group: str | None = None) -> tuple[list[Scored], list[str]]:
    """The rows of all files, and a message for each line that was left out. Raises InputError when no row is left."""
    rows: list[Scored] = []
    faults: list[str] = []
    for path in paths:
        for n, line in read_lines(path):
            try:
                rows.append(_scored(row_of(path, n, line, mapping, FORM), group))
            except InputError as error:
                faults.append(str(error))
    if not rows:
        raise InputError(faults[0] if faults else f"{paths[0]}: expected at least one line {FORM}; the file is empty.")
    return rows, faults


def _scored(row: Row, group: str | None) -> Scored:
    """Raises InputError for a line that cannot be used."""
    name = "scores" if "scores" in row.fields else "models"
    found = row.fields.get(name)
    if not isinstance(found, dict) or not found:
        raise row.unlike("scores", "no object of models and numbers")
    scores = _numbers(row, name, {m: v.get("correct") if isinstance(v, dict) else v for m, v in found.items()})
    if outside := [m for m, score in scores.items() if not 0 <= score <= 1]:
        raise row.fault(f"the score of {outside[0]} is {scores[outside[0]]:g}, not in [0, 1].")
    costs, latencies = (_numbers(row, name, row.fields.get(name) or {}) for name in ("costs", "latency_ms"))
    return Scored(_prompt(row), scores, costs, latencies, row.together(group))


def _prompt(row: Row) -> str:
    prompt = row.text("prompt")
    if not row.fields.get("options"):
        return prompt
    lettered = zip(ascii_uppercase, row.texts("options"), strict=False)
    return "\n".join([prompt, *(f"{letter}. {option}" for letter, option in lettered)])


def _numbers(row: Row, name: str, found: Any) -> Numbers:
    """Models without a number are left out: they were not measured."""
    if not isinstance(found, dict):
        raise row.unlike(name, "no object of models and numbers")
    values = {str(model): value for model, value in found.items() if value is not None}
    if not all(isinstance(v, int | float) and math.isfinite(v) and v >= 0 for v in values.values()):
        raise row.unlike(name, "no object of models and numbers, 0 or more")
    return {model: float(value) for model, value in values.items()}


def as_measured(rows: Sequence[Scored], prices: PriceList | None, home: Path) -> tuple[Measured, list[str]]:
    """The rows as arrays, models sorted by name, and what a reader must know of their costs.

    A cost that was not measured is estimated from `prices`, or from the price list of the application: see CHARS_A_TOKEN.
    """
    models = sorted({model for row in rows for model in row.scores})
    scores, costs, latencies = (_table(models, (getattr(row, name) for row in rows)) for name in ("scores", "costs", "latencies"))
    tokens = np.ceil(np.array([len(row.prompt) for row in rows]) / CHARS_A_TOKEN)
    estimated, unknown = 0, []
    for column, model in enumerate(models):
        missing = np.isnan(costs[:, column]) & ~np.isnan(scores[:, column])
        price = _price(model, prices, home)
        if missing.any() and price:
            costs[missing, column] = [price.usd(read, ANSWER_TOKENS) for read in tokens[missing].tolist()]
            estimated += 1
        elif missing.any():
            unknown.append(model)
    return Measured([row.prompt for row in rows], models, scores, costs, latencies), _notes(estimated, unknown, prices)


def _notes(estimated: int, unknown: Sequence[str], prices: PriceList | None) -> list[str]:
    dated = f" of {prices.as_of}" if prices and prices.as_of else ""
    assumed = f"list prices{dated}, {CHARS_A_TOKEN} characters a token, {ANSWER_TOKENS} tokens an answer"
    notes = [f"Costs of {estimated} models are estimates: {assumed}."] if estimated else []
    return notes + ([f"No cost is known of {', '.join(unknown)}. State prices: --prices FILE"] if unknown else [])


def _table(models: Sequence[str], rows: Iterable[Mapping[str, float]]) -> Floats:
    return np.array([[row.get(model, np.nan) for model in models] for row in rows], np.float64)


def _price(model: str, prices: PriceList | None, home: Path) -> Price | None:
    if prices is not None:
        return prices.prices.get(model)
    read, written = cost_usd(model, MILLION, 0, home), cost_usd(model, 0, MILLION, home)
    return None if read is None or written is None else Price(input=read, output=written)
