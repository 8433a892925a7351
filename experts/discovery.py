"""Find the experts: every folder with an `expert.toml`."""

from __future__ import annotations

import csv
import importlib.util
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import DocumentError, InputError, UnknownNameError
from core.faults import faults
from core.settings import ExpertModels
from core.types import OUT_OF_SCOPE
from retrieval.loaders import corpus_files

SPLITS = ("train", "dev", "test")
EXAMPLE = "docs/own-expert.md shows what it may hold."
NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")
RESERVED = frozenset({OUT_OF_SCOPE, "auto", "accept", "prepare", "route", "review", "clarify", "decline", "decide", "respond", "superior"})
"""What is something else: other nodes of the graph, and other choices of an expert."""


class SafetyRule(BaseModel):
    """What must not wait. A question like `examples` rather than `harmless` gets the notice and the superior path.

    Further examples stand in `safety.csv` beside the card.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    notice: str
    examples: tuple[str, ...] = Field(min_length=1)
    harmless: tuple[str, ...] = ()


class Card(BaseModel):
    """The content of `expert.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    title: str
    description: str
    examples: tuple[str, ...] = ()
    safety: tuple[SafetyRule, ...] = ()
    models: ExpertModels = ExpertModels()
    passages: int = Field(5, ge=1, le=50, description="passages that the inferior model reads")


@dataclass(frozen=True, slots=True)
class Item:
    """A row of `questions.csv`. `key`: the fact that must appear, alternatives separated by |."""

    question: str
    answer: str
    key: str
    document: str
    split: str


@dataclass(frozen=True)
class Expert:
    """One expert's folder."""

    folder: Path
    card: Card

    @property
    def name(self) -> str:
        """Name of the folder, of the graph's node and of the route."""
        return self.card.name

    @property
    def corpus(self) -> Path:
        """Folder of the documents."""
        return self.folder / "corpus"

    @cached_property
    def prompt(self) -> str:
        """The system prompt. Raises InputError when `prompt.md` cannot be read."""
        path = self.folder / "prompt.md"
        if not path.exists():
            return f"You answer questions about: {self.card.description}"
        try:
            return path.read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: expected UTF-8 text: {error}.") from None

    def questions(self, *splits: str) -> list[Item]:
        """Rows of `questions.csv`, all of them or those of the named splits."""
        rows = read_csv(self.folder / "questions.csv", ("question", "answer", "key", "document", "split"))
        return [Item(**row) for row in rows if not splits or row["split"] in splits]

    def utterances(self, *splits: str) -> list[str]:
        """Texts of `utterances.csv`, all of them or those of the named splits."""
        return labelled_texts(self.folder / "utterances.csv", *splits)

    def depends_on(self) -> list[Path]:
        """The files that the index is built from."""
        extra = [p for p in [self.folder / "questions.csv"] if p.exists()]
        return [*corpus_files(self.corpus), *extra]

    @cached_property
    def overrides(self) -> dict[str, Callable[..., Any]]:
        """Public functions of the optional `expert.py`: `retrieve(index, question, vector, k)` may replace the step of that name."""
        path = self.folder / "expert.py"
        if not path.exists():
            return {}
        spec = importlib.util.spec_from_file_location(f"experts._{self.name}", path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return {k: v for k, v in vars(module).items() if callable(v) and not k.startswith("_")}


def discover(folder: Path) -> dict[str, Expert]:
    """The experts in `folder`, by name, in alphabetical order.

    Raises InputError when there is none or a card is wrong.
    """
    found = [load_expert(p.parent) for p in sorted(folder.glob("*/expert.toml"))]
    if not found:
        raise InputError(f"Expected at least one expert in {folder}; found none. Make one: switchyard expert new NAME --docs PATH")
    return {e.name: e for e in found}


def load_expert(folder: Path) -> Expert:
    """Read one folder. Raises InputError naming the field that is wrong, DocumentError for a row of `safety.csv`."""
    path = folder / "expert.toml"
    try:
        card = Card(**tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: expected readable TOML: {error}. {EXAMPLE}") from None
    except ValidationError as error:
        raise InputError(f"{path}: {faults(error)}. {EXAMPLE}") from None
    check_name(card.name)
    if card.name != folder.name:
        raise InputError(f"{path}: expected name = {folder.name!r} (the folder's); found {card.name!r}.")
    return Expert(folder, card.model_copy(update={"safety": _with_rows(card.safety, folder / "safety.csv")}))


def _with_rows(rules: tuple[SafetyRule, ...], path: Path) -> tuple[SafetyRule, ...]:
    """The rules with their examples in `safety.csv`. Raises DocumentError for a row that is none."""
    rows = read_csv(path, ("rule", "urgent", "text"))
    names = [rule.name for rule in rules]
    for n, row in enumerate(rows, 1):
        if row["rule"] not in names or row["urgent"] not in ("yes", "no") or not row["text"]:
            known = ", ".join(names) or "none there"
            raise DocumentError(
                f"{path}, row {n}: expected a rule of expert.toml ({known}), yes or no, and a text; got {list(row.values())}."
            )

    def texts(rule: SafetyRule, urgent: str) -> tuple[str, ...]:
        return tuple(row["text"] for row in rows if (row["rule"], row["urgent"]) == (rule.name, urgent))

    return tuple(
        rule.model_copy(update={"examples": rule.examples + texts(rule, "yes"), "harmless": rule.harmless + texts(rule, "no")})
        for rule in rules
    )


def check_name(name: str) -> None:
    """Raises InputError when `name` cannot name an expert."""
    if not NAME.fullmatch(name) or name in RESERVED:
        names = ", ".join(sorted(RESERVED))
        raise InputError(f"An expert's name is lower-case letters, digits, - and _, and none of {names}; got {name!r}.")


def pick(experts: dict[str, Expert], name: str) -> Expert:
    """One expert by name. Raises UnknownNameError."""
    if name not in experts:
        raise UnknownNameError("expert", name, list(experts))
    return experts[name]


def out_of_scope(folder: Path, *splits: str) -> list[str]:
    """Texts of `out_of_scope.csv` beside the experts."""
    return labelled_texts(folder / "out_of_scope.csv", *splits)


def has_out_of_scope(folder: Path) -> bool:
    """Whether there are such texts to learn from."""
    return any(row["split"] == "train" for row in _rows(folder / "out_of_scope.csv", ("text", "split")))


def labelled_texts(path: Path, *splits: str) -> list[str]:
    """The `text` column of a CSV with columns text, split."""
    return [row["text"] for row in read_csv(path, ("text", "split")) if not splits or row["split"] in splits]


def read_csv(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of a CSV file, `columns` only; a file that does not exist has none.

    Raises DocumentError when a column is missing, a `split` is none of SPLITS, or the first column is empty beside one.
    """
    return list(_rows(path, columns))


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    if not path.exists():
        return
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if missing := [c for c in columns if c not in header]:
                raise DocumentError(f"{path}: expected the columns {', '.join(columns)}; missing: {', '.join(missing)}.")
            places = [(c, header.index(c)) for c in columns]
            for n, cells in enumerate(filter(None, reader), 1):
                if len(cells) > len(header):
                    raise DocumentError(
                        f"{path}, row {n}: expected {len(header)} cells, got {len(cells)}: put a text with a comma into quotes."
                    )
                row = {c: cells[at].strip() if at < len(cells) else "" for c, at in places}
                if row.get("split", "train") not in SPLITS:
                    raise DocumentError(f"{path}, row {n}: expected the split train, dev or test; got {row['split']!r}.")
                if "split" in row and not row[columns[0]]:
                    raise DocumentError(f"{path}, row {n}: expected a {columns[0]}; it is empty. Write one, or remove the row.")
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DocumentError(f"{path}: expected a CSV file in UTF-8: {error}.") from None
