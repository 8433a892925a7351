"""What a fine-tuning is: its settings, its data, and how other settings are drawn for a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from core.errors import InputError
from evaluation.results import Progress, silent
from experts.discovery import Item

LORA_RATE, FULL_RATE = 2e-4, 2e-5


@dataclass(frozen=True, slots=True)
class Recipe:
    """One fine-tuning.

    base: a Hugging Face model's name or folder, or `tiny`. full: all weights, not LoRA adapters (Hu et al., 2022) of this rank on all
    linear layers. rate: the highest learning rate. batch: prompts at a time on each device; an update is made after `accumulate` of them.
    without: share of the questions asked once more without the right passage. patience: checks of the dev loss without a gain before it
    stops early; there are CHECKS of them an epoch.
    """

    base: str
    full: bool = False
    epochs: int = 3
    rate: float = LORA_RATE
    rank: int = 16
    batch: int = 4
    accumulate: int = 4
    without: float = 0.25
    patience: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises InputError for what cannot be."""
        for name, value, lowest in (
            ("epochs", self.epochs, 1),
            ("rank", self.rank, 1),
            ("batch", self.batch, 1),
            ("accumulate", self.accumulate, 1),
            ("patience", self.patience, 1),
        ):
            if value < lowest:
                raise InputError(f"Expected --{name} of at least {lowest}; got {value}.")
        if not 0 < self.rate < 1:
            raise InputError(f"Expected --rate between 0 and 1, for example {LORA_RATE:g}; got {self.rate:g}.")
        if not 0 <= self.without <= 1:
            raise InputError(f"Expected --without between 0 and 1, for example 0.25; got {self.without:g}.")

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be tuned on what. `questions`: by split; `trials`: settings to try; `command`: what to type for the same numbers."""

    expert: str
    questions: dict[str, list[Item]]
    recipe: Recipe
    command: str
    trials: int = 1
    progress: Progress = silent
    say: Callable[[str], None] = field(default=lambda message: None)

    def __post_init__(self) -> None:
        """Raises InputError for fewer than one trial."""
        if self.trials < 1:
            raise InputError(f"Expected --search of at least 1; got {self.trials}.")


def drawn(recipe: Recipe, count: int) -> list[Recipe]:
    """`count` recipes for a random search (Bergstra & Bengio, 2012): the given one first, then others around it, always the same ones.

    The rate is drawn log-uniformly within a factor of four; with LoRA the rank is halved, kept or doubled.
    """
    rng, found = np.random.default_rng(recipe.seed), [recipe]
    while len(found) < count:
        rate = float(f"{recipe.rate * 4 ** rng.uniform(-1, 1):.2g}")
        rank = recipe.rank if recipe.full else max(1, int(recipe.rank * rng.choice([0.5, 1, 2])))
        found.append(replace(recipe, rate=rate, rank=rank))
    return found
