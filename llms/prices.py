"""What a call costs: the shipped list prices, and a user's own in SWITCHYARD_HOME/prices.toml, which win entry by entry."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import InputError

_SHIPPED = Path(__file__).with_name("prices.toml")
_FREE = ("local:", "fake:")


class Price(BaseModel):
    """USD per 1 M tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def usd(self, input_tokens: float, output_tokens: float) -> float:
        """Of one call."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices by model. `as_of`: their date, as the file states it; empty where it does not."""

    as_of: str
    prices: Mapping[str, Price]


def cost_usd(spec: str, input_tokens: int, output_tokens: int, home: Path) -> float | None:
    """USD of one call, at least 0; None, never 0, when the price is unknown. Local models cost 0.

    Raises InputError when the user's prices.toml cannot be used.
    """
    if spec.startswith(_FREE):
        return 0.0
    own = home / _SHIPPED.name
    # Read afresh each time, so that a running server sees a corrected price; it is a small file beside a model call.
    price = (read_prices(own).prices.get(spec) if own.exists() else None) or shipped().prices.get(spec)
    return None if price is None else price.usd(input_tokens, output_tokens)


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
        return PriceList(as_of, {spec: Price.model_validate(entry) for spec, entry in entries.items()})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "an entry"
        raise InputError(
            f'{path}: {where}: {problem["msg"]}. Expected ["provider:name"] with input and output in USD per 1 M tokens.'
        ) from None
