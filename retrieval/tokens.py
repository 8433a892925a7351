"""Tokenizers. Several models bring the same one, which takes a thirtieth of a second to open: it is opened once."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_TOKENS = 320
"""A longer text, or pair of texts, is read up to here."""


def open_tokenizer(path: Path, max_tokens: int = MAX_TOKENS) -> Tokenizer:
    """The tokenizer of a tokenizer.json, which cuts what is longer than `max_tokens`; the same one for files with the same content."""
    return _opened(path.read_bytes(), max_tokens)


@lru_cache(maxsize=4)
def _opened(content: bytes, max_tokens: int) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_buffer(content)
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    return tokenizer
