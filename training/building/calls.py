"""A call to make, and how long and how dear it can get."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from langchain_core.messages import BaseMessage

from llms.prices import CHARS_A_TOKEN, cost_usd

FRAME_TOKENS = 16
"""What a provider adds to each message, at most."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call to make. `model`: provider:name; `max_tokens`: the longest reply; `again`: tells apart calls that are alike on purpose."""

    model: str
    messages: tuple[BaseMessage, ...]
    max_tokens: int
    again: int = 0

    @property
    def key(self) -> str:
        """What the ledger knows the call by: SHA-256 of all that is sent."""
        said = [(m.type, m.text) for m in self.messages]
        return hashlib.sha256(json.dumps([self.model, said, self.max_tokens, self.again]).encode()).hexdigest()

    @property
    def usual_tokens(self) -> int:
        """Input tokens, roughly."""
        return sum(len(m.text) // CHARS_A_TOKEN + FRAME_TOKENS for m in self.messages)

    @property
    def most_tokens(self) -> int:
        """Input tokens that no tokeniser exceeds: each token of a byte-level vocabulary stands for a byte of UTF-8 at least."""
        return sum(len(m.text.encode()) + FRAME_TOKENS for m in self.messages)

    def most_usd(self, home: Path) -> float | None:
        """The most that it can cost, if the provider keeps to `max_tokens`; None where the price is unknown."""
        return cost_usd(self.model, self.most_tokens, self.max_tokens, home)
