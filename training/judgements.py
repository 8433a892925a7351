"""Pairwise human judgements, as lmsys/mt_bench_human_judgments publishes them, made into labels of difficulty.

A judgement says which of two models answered a question better, or that they tied. A tie counts half for each. The models that win at least
half of their games are the superior ones, unless a list says otherwise; a question is as hard as the superior models' share of the games
against inferior ones there. (Zheng et al.: Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena, 2023.)
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from core.errors import InputError
from graph.difficulty import ROUTE_TO_INFERIOR, ROUTE_TO_SUPERIOR

TIES = ("tie", "tie (inconsistent)")
WINNERS = ("model_a", "model_b", *TIES)
Z95 = 1.959964
HALF = 0.5


@dataclass(frozen=True, slots=True)
class Judgement:
    """One comparison. `prompt`: what the user had said up to this turn. `winner`: a model's name, or None for a tie."""

    question: str
    turn: int
    prompt: str
    models: tuple[str, str]
    winner: str | None


@dataclass(frozen=True, slots=True)
class WinRate:
    """A model's games. rate: wins and half of the ties over games, in [0, 1]; low, high: its 95% interval (Wilson, 1927)."""

    model: str
    games: int
    wins: int
    ties: int

    @property
    def rate(self) -> float:
        """See the class."""
        return (self.wins + self.ties / 2) / self.games

    @property
    def interval(self) -> tuple[float, float]:
        """See the class."""
        n, z2 = self.games, Z95**2
        middle = (self.rate + z2 / (2 * n)) / (1 + z2 / n)
        half = Z95 * sqrt(self.rate * (1 - self.rate) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Models:
    """Which models are the superior and which the inferior ones; the rest are left out."""

    superior: list[str]
    inferior: list[str]


@dataclass(frozen=True, slots=True)
class Question:
    """A question at one turn, and how the superior models fared against the inferior ones there."""

    id: str
    turn: int
    prompt: str
    superior_wins: int
    inferior_wins: int
    ties: int

    @property
    def games(self) -> int:
        """Comparisons of a superior with an inferior model."""
        return self.superior_wins + self.inferior_wins + self.ties

    @property
    def score(self) -> float:
        """Difficulty in [0, 1]: the superior models' share of the games, ties half; 0.5 where it made no difference."""
        return (self.superior_wins + self.ties / 2) / self.games

    @property
    def label(self) -> str:
        """To the superior model where it won more than half of the games outright: elsewhere the inferior one sufficed as often."""
        return ROUTE_TO_SUPERIOR if self.superior_wins > self.games / 2 else ROUTE_TO_INFERIOR


def win_rates(judgements: Iterable[Judgement]) -> list[WinRate]:
    """Of every model, the best first."""
    games: Counter[str] = Counter()
    wins: Counter[str] = Counter()
    ties: Counter[str] = Counter()
    for each in judgements:
        games.update(each.models)
        if each.winner is None:
            ties.update(each.models)
        else:
            wins[each.winner] += 1
    return sorted((WinRate(m, games[m], wins[m], ties[m]) for m in games), key=lambda r: (-r.rate, r.model))


def split_models(rates: Sequence[WinRate]) -> Models:
    """Superior from a win rate of one half on. Raises InputError when that puts all models on one side."""
    superior, inferior = ([r.model for r in rates if (r.rate >= HALF) == side] for side in (True, False))
    if not (superior and inferior):
        raise InputError(
            "Expected models of which some win more often than others; here they all win half of their games. "
            "Name them in a file: --models FILE"
        )
    return Models(superior, inferior)


def read_models(path: Path, known: Iterable[str]) -> Models:
    """An edited models.toml. Raises InputError for anything but two lists, apart and not empty, of models that were judged."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: expected readable TOML with the lists superior and inferior: {error}.") from None
    if set(data) != {"superior", "inferior"} or not all(_names(names) for names in data.values()):
        raise InputError(f'{path}: expected two lists of names, superior = ["..."] and inferior = ["..."], neither of them empty.')
    found, judged = Models(**data), set(known)
    if both := sorted(set(found.superior) & set(found.inferior)):
        raise InputError(f"{path}: {both[0]!r} stands in both lists. Keep one.")
    if foreign := sorted({*found.superior, *found.inferior} - judged):
        raise InputError(f"{path}: nobody judged a model {foreign[0]!r}. Known: {', '.join(sorted(judged))}.")
    return found


def _names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


def questions(judgements: Iterable[Judgement], models: Models) -> list[Question]:
    """Every question and turn that has a game of a superior against an inferior model, the hardest first.

    Raises InputError when there is none.
    """
    side = dict.fromkeys(models.superior, True) | dict.fromkeys(models.inferior, False)
    tally: dict[tuple[str, int], Counter[str]] = {}
    prompts: dict[tuple[str, int], str] = {}
    for each in judgements:
        a, b = (side.get(model) for model in each.models)
        if a is None or b is None or a == b:
            continue
        key = each.question, each.turn
        prompts.setdefault(key, each.prompt)
        tally.setdefault(key, Counter())["ties" if each.winner is None else "superior" if side[each.winner] else "inferior"] += 1
    if not tally:
        raise InputError("No judgement compares a superior with an inferior model: there is nothing to label. Edit the lists of models.")
    found = [Question(id_, turn, prompts[id_, turn], n["superior"], n["inferior"], n["ties"]) for (id_, turn), n in tally.items()]
    return sorted(found, key=lambda q: (-q.score, -q.games, q.id, q.turn))
