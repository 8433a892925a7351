"""Files of judgements: JSONL, JSON, CSV or Parquet in, tables, labels and a plot out. Each output is written whole or not at all."""

from __future__ import annotations

import ast
import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.files import write_files
from core.text import has_lone_surrogate, loads
from graph.difficulty import ROUTE_TO_SUPERIOR
from training.judgements import TIES, WINNERS, Judgement, Models, Question, WinRate
from training.parquet import parquet_rows

COLUMNS = ("question_id", "model_a", "model_b", "winner", "conversation_a", "turn")
FORM = "the columns question_id, model_a, model_b, winner, conversation_a and turn"
Raw = tuple[int, dict[str, Any]]


def read_judgements(path: Path) -> tuple[list[Judgement], dict[str, int]]:
    """The judgements, and how often each winner stood there that is none of WINNERS (those rows are left out).

    Raises InputError with file and row.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise InputError(f"{path}: expected a file of judgements that ends in {', '.join(READERS)}.")
    found, unknown = [], dict[str, int]()
    try:
        for n, row in read(path):
            if missing := [name for name in COLUMNS if row.get(name) is None]:
                raise InputError(f"{path}, row {n}: expected {FORM}; {missing[0]} is missing.")
            winner = str(row["winner"]).strip()
            if winner in WINNERS:
                found.append(_judgement(path, n, row, winner))
            else:
                unknown[winner] = unknown.get(winner, 0) + 1
    except OSError as error:
        raise InputError(f"Expected a file of judgements at {path}; it cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected text in UTF-8. Convert the file first.") from None
    if not found:
        raise InputError(f"{path}: expected at least one row with {FORM}, and a winner among {', '.join(WINNERS)}; got none.")
    return found, unknown


def _judgement(path: Path, n: int, row: dict[str, Any], winner: str) -> Judgement:
    try:
        turn = int(row["turn"])
        said = [_text(m["content"]) for m in messages(row["conversation_a"]) if m["role"] == "user"]
    except (ValueError, SyntaxError, KeyError, TypeError, OverflowError):
        hint = " pandas writes no list that can be read back: use the Parquet or JSONL file." if path.suffix.lower() == ".csv" else ""
        raise InputError(f"{path}, row {n}: expected a turn (1, 2 ...) and a conversation_a, a list of role and content.{hint}") from None
    if not (0 < turn <= len(said) and all(said[:turn])):
        raise InputError(f"{path}, row {n}: the conversation has {len(said)} user messages; expected one for turn {turn}.")
    models = str(row["model_a"]), str(row["model_b"])
    if models[0] == models[1]:
        raise InputError(f"{path}, row {n}: expected two models; {models[0]!r} is compared with itself.")
    if has_lone_surrogate("".join([str(row["question_id"]), *models, *said])):
        raise InputError(f"{path}, row {n}: expected text in UTF-8, without lone surrogates.")
    won = None if winner in TIES else models[winner == "model_b"]
    return Judgement(str(row["question_id"]), turn, "\n\n".join(said[:turn]), models, won)


def _text(content: Any) -> str:
    """What somebody said. Raises TypeError for what is no text."""
    if not isinstance(content, str):
        raise TypeError("expected text")
    return content.strip()


def messages(value: Any) -> list[dict[str, Any]]:
    """A conversation; a table's cell holds it as JSON, or as Python writes a list."""
    return list(_literal(value) if isinstance(value, str) else value)


def _literal(text: str) -> Any:
    """Raises ValueError, SyntaxError."""
    try:
        return loads(text)
    except json.JSONDecodeError:
        pass
    try:
        return ast.literal_eval(text)
    except (MemoryError, RecursionError):  # how Python says that a literal is nested too deeply
        raise ValueError("nested too deeply") from None


def _read_jsonl(path: Path) -> Iterator[Raw]:
    for n, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if line.strip():
            yield n, _object(path, n, line)


def _object(path: Path, n: int, line: str) -> dict[str, Any]:
    try:
        value = loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, row {n}: expected a JSON object; {error.msg}.") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}, row {n}: expected a JSON object with {FORM}.")
    return value


def _read_json(path: Path) -> Iterator[Raw]:
    try:
        rows = loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: expected one JSON list of rows; {error.msg}.") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: expected one JSON list of objects with {FORM}.")
    yield from enumerate(rows, 1)


def _read_csv(path: Path) -> Iterator[Raw]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            yield from ((n, dict(row)) for n, row in enumerate(csv.DictReader(file), 1))
        except csv.Error as error:
            raise InputError(f"{path}: expected CSV with {FORM}: {error}.") from None


READERS: dict[str, Callable[[Path], Iterator[Raw]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": parquet_rows,
}


WRITTEN = ("win_rates.csv", "models.toml", "difficulty.csv", "difficulty.png", "labels.jsonl")


def write_labels(folder: Path, rates: Sequence[WinRate], models: Models, ranked: Sequence[Question]) -> list[Path]:
    """The files WRITTEN, all or none; their paths. Raises InputError."""
    texts = {
        "win_rates.csv": _table(
            ["model", "games", "wins", "ties", "win_rate", "low", "high"],
            [[r.model, r.games, r.wins, r.ties, *(round(v, 4) for v in (r.rate, *r.interval))] for r in rates],
        ),
        "models.toml": as_toml(models),
        "difficulty.csv": _table(
            ["rank", "question_id", "turn", "score", "label", "games", "superior_wins", "inferior_wins", "ties", "prompt"],
            [
                [n, q.id, q.turn, round(q.score, 4), q.label, q.games, q.superior_wins, q.inferior_wins, q.ties, q.prompt]
                for n, q in enumerate(ranked, 1)
            ],
        ),
        "labels.jsonl": "".join(
            json.dumps({"prompt": q.prompt, "label": q.label, "score": round(q.score, 4), "question_id": q.id}, ensure_ascii=False) + "\n"
            for q in ranked
        ),
    }
    contents = {name: text.encode() for name, text in texts.items()} | {"difficulty.png": plot(ranked)}
    try:
        write_files(folder, contents)
    except OSError as error:
        raise InputError(f"Expected a folder to write to; {folder} cannot be written: {error.strerror}.") from None
    return [folder / name for name in contents]


def check_unedited(folder: Path, models: Models, *, given: bool = False) -> None:
    """Raises InputError where files of somebody else, or lists of models that were edited and are not those `given`, would be lost."""
    path = folder / "models.toml"
    if not path.exists():
        if foreign := [name for name in WRITTEN if (folder / name).exists()]:
            raise InputError(f"{folder} holds a {foreign[0]} that was not written here. Choose another --output.")
    elif not given and path.read_text(encoding="utf-8") != as_toml(models):
        raise InputError(f"{path} holds other lists of models. Use them with --models {path}, or choose another --output.")


def as_toml(models: Models) -> str:
    """models.toml, which `read_models` reads."""
    lines = ["# Move or remove names, then label anew with --models and this file."]
    for side, names in (("superior", models.superior), ("inferior", models.inferior)):
        lines += [f"{side} = [", *(f"    {json.dumps(name)}," for name in names), "]"]
    return "\n".join(lines) + "\n"


def plot(ranked: Sequence[Question]) -> bytes:
    """PNG: the difficulty of every question, the hardest first. Colours are Okabe and Ito's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    for to_superior, colour, name in ((True, "#D55E00", "to the superior model"), (False, "#0072B2", "to the inferior model")):
        places = [n for n, q in enumerate(ranked, 1) if (q.label == ROUTE_TO_SUPERIOR) == to_superior]
        axes.bar(places, [ranked[n - 1].score for n in places], width=0.9, color=colour, label=f"{name} ({len(places)})")
    axes.axhline(0.5, color="#4d4d4d", linewidth=1, linestyle="--")
    axes.set(
        ylim=(0, 1), xlabel="Question, the hardest first", ylabel="Superior models' share of games", title="Difficulty of the questions"
    )
    axes.legend(frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _table(header: list[str], rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()
