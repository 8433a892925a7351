"""The files that OpenAI tunes on: written, checked against its limits, and their tokens estimated, before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from core.errors import InputError
from core.files import checksums
from core.files import write_files as write_all
from core.text import loads
from llms.prices import CHARS_A_TOKEN
from training.expert.examples import Example, Turn

FILES = {"train": "train.jsonl", "dev": "dev.jsonl"}
MANIFEST = "manifest.json"
FEWEST, LARGEST, LONGEST = 10, 512_000_000, 65_536
"""OpenAI's limits: examples in a file, bytes of a file, tokens of an example."""
_ROLES = {"system": {"user"}, "user": {"assistant"}, "assistant": {"user"}}


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one training. `tokens`: about that many are learnt from in an epoch; the provider bills tokens times epochs."""

    examples: int
    tokens: int
    epochs: int

    @property
    def billed(self) -> int:
        """Tokens over all epochs."""
        return self.tokens * self.epochs


def write_files(train: Sequence[Example], dev: Sequence[Example], folder: Path, epochs: int) -> Estimate:
    """Write train.jsonl and dev.jsonl in the provider's form, and a manifest with their checksums, and check them. Raises InputError."""
    made = {FILES["train"]: _lines(train), FILES["dev"]: _lines(dev)}
    try:
        write_all(folder, {**made, MANIFEST: json.dumps({"sha256": checksums(made)}, indent=1).encode() + b"\n"})
    except OSError as error:
        raise InputError(f"Expected a folder that can be written; {folder}: {error.strerror}. Choose another --output.") from None
    tokens = check_file(folder / FILES["train"], FEWEST)
    check_file(folder / FILES["dev"], 1)
    return Estimate(len(train), tokens, epochs)


def _lines(examples: Sequence[Example]) -> bytes:
    return "".join(json.dumps({"messages": e.whole}, ensure_ascii=False) + "\n" for e in examples).encode()


def check_file(path: Path, fewest: int) -> int:
    """About the tokens of a file in the provider's form. Raises InputError naming the line that the provider would refuse."""
    if path.stat().st_size > LARGEST:
        raise InputError(
            f"{path}: expected at most {LARGEST / 1e6:.0f} MB, the provider's limit; it has {path.stat().st_size / 1e6:.0f} MB."
        )
    tokens = rows = 0
    with path.open(encoding="utf-8") as file:
        for rows, line in enumerate(file, 1):
            tokens += _check_line(line, f"{path}, line {rows}")
    if rows < fewest:
        raise InputError(f"{path}: expected at least {fewest} examples, the provider's limit; it has {rows}. Add questions.")
    return tokens


def _check_line(line: str, where: str) -> int:
    expected = 'expected {"messages": [...]}, perhaps a system message, then user and assistant by turns, the assistant last'
    try:
        messages: list[Turn] = loads(line)["messages"]
        texts, roles = [m["content"] for m in messages], [m["role"] for m in messages]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{where}: {expected}; the line is something else.") from None
    orderly = all(b in _ROLES.get(a, ()) for a, b in pairwise(roles))
    if not orderly or roles[:1] not in (["system"], ["user"]) or roles[-1] != "assistant":
        raise InputError(f"{where}: {expected}; got {', '.join(map(str, roles)) or 'no message'}.")
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise InputError(f"{where}: expected text in every message; one has none.")
    tokens = sum(map(len, texts)) // CHARS_A_TOKEN
    if tokens > LONGEST:
        raise InputError(f"{where}: expected at most {LONGEST:,} tokens, the provider's limit; the example has about {tokens:,}.")
    return tokens
