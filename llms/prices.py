"""What a call costs, and which models see pictures: the shipped list, and a user's own in SWITCHYARD_HOME/prices.toml, which wins."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from core.errors import InputError
from core.faults import faults

_SHIPPED = Path(__file__).with_name("prices.toml")
CHARS_A_TOKEN, MILLION = 4, 1_000_000
"""A rule of thumb for English, where a cost is estimated; prices are for a million tokens."""
_FREE = ("local:", "fake:")


class Price(BaseModel):
    """USD per 1 M tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def usd(self, input_tokens: float, output_tokens: float) -> float:
        """Of one call."""
        return (input_tokens * self.input + output_tokens * self.output) / MILLION


class _Entry(BaseModel):
    """Of the file: a price, or what the model sees, or both."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    input: float | None = None
    output: float | None = None
    vision: StrictBool | None = None

    @property
    def price(self) -> dict[str, float]:
        """What it says of a price."""
        return self.model_dump(include={"input", "output"}, exclude_none=True)


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices by model. `as_of`: their date, as the file states it; empty where it does not. vision: of those that the file says it of."""

    as_of: str
    prices: Mapping[str, Price]
    vision: Mapping[str, bool] = field(default_factory=dict)


def cost_usd(spec: str, input_tokens: int, output_tokens: int, home: Path) -> float | None:
    """USD of one call, at least 0; None, never 0, when the price is unknown. Local models cost 0.

    Raises InputError when the user's prices.toml cannot be used.
    """
    if spec.startswith(_FREE):
        return 0.0
    price = next((listed.prices[spec] for listed in _lists(home) if spec in listed.prices), None)
    return None if price is None else price.usd(input_tokens, output_tokens)


def sees(spec: str, home: Path) -> bool:
    """Whether a model takes pictures. Local ones do not, and neither do those that no list says it of.

    Raises InputError when the user's prices.toml cannot be used.
    """
    return not spec.startswith("local:") and next((listed.vision[spec] for listed in _lists(home) if spec in listed.vision), False)


def _lists(home: Path) -> Iterator[PriceList]:
    """The user's own, and then the shipped one."""
    own = home / _SHIPPED.name
    # Read afresh each time, so that a running server sees a corrected price; it is a small file beside a model call.
    if own.exists():
        yield read_prices(own)
    yield shipped()


@cache
def shipped() -> PriceList:
    """The shipped list prices."""
    return read_prices(_SHIPPED)


def read_prices(path: Path) -> PriceList:
    """A file in the form of prices.toml. Raises InputError."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not readable TOML: {error}") from None
    as_of = str(entries.pop("as_of", ""))
    try:
        listed = {spec: _Entry.model_validate(entry) for spec, entry in entries.items()}
        prices = {spec: Price.model_validate(entry.price) for spec, entry in listed.items() if entry.price or entry.vision is None}
        return PriceList(as_of, prices, {spec: entry.vision for spec, entry in listed.items() if entry.vision is not None})
    except ValidationError as error:
        raise InputError(
            f'{path}: {faults(error)}. Expected ["provider:name"] with input and output in USD per 1 M tokens, '
            "vision = true or false, or all three."
        ) from None
