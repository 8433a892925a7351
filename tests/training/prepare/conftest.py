from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from training.prepare.rows import Row


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """`file("q.csv", ["question", "answer"], ["Why?", "So."], ...)`: a CSV file of these lines."""

    def make(name: str, *lines: list[str]) -> Path:
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as out:
            csv.writer(out, lineterminator="\n").writerows(lines)
        return tmp_path / name

    return make


def row(at: str, question: str, answer: str = "Yes.", key: str = "", document: str = "", split: str = "") -> Row:
    return Row(at, question, answer, key, document, split, (answer,))
