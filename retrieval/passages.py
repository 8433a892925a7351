"""Passages on disk: JSON lines and an array of offsets, so that one is read without reading all."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from core.types import Passage


class PassageFile(Sequence[Passage]):
    """Read-only view of `passages.jsonl` and `passages.npy`. Raises OSError, EOFError or ValueError when they are broken."""

    def __init__(self, folder: Path) -> None:
        self._offsets = np.load(folder / "passages.npy", mmap_mode="r")
        with (folder / "passages.jsonl").open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if self._offsets[-1] != len(self._data):
            raise ValueError(f"passages.jsonl has {len(self._data)} bytes; expected {self._offsets[-1]}")

    @staticmethod
    def write(folder: Path, passages: Sequence[Passage]) -> None:
        """Write both files."""
        offsets = [0]
        with (folder / "passages.jsonl").open("wb") as file:
            for passage in passages:
                line = json.dumps(asdict(passage), ensure_ascii=False).encode() + b"\n"
                file.write(line)
                offsets.append(offsets[-1] + len(line))
        np.save(folder / "passages.npy", np.array(offsets, np.int64))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, n: int) -> Passage:  # type: ignore[override]  # int only; Sequence's overloads ask for slices
        n = range(len(self))[n]
        start, end = int(self._offsets[n]), int(self._offsets[n + 1])
        return Passage(**json.loads(self._data[start:end]))

    def __iter__(self) -> Iterator[Passage]:
        return (self[n] for n in range(len(self)))
