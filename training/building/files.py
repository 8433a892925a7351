"""The files of a data set: JSONL, Parquet, the forms that models are trained on, and the manifest, written last."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.files import check_writable, checksums, manifests, write_files
from core.settings import settings
from llms import prices
from store.ledger import Entry
from training.building import exports, judging
from training.building.dataset import Answer, Dataset, Plan
from training.building.scoring import MEASURES

FORMAT = 1
MANIFEST = "manifest.json"
OPTIONAL = ("judgements.jsonl", "difficulty.jsonl", "recommender.jsonl", "preferences.jsonl", "sft.jsonl", "unusable.jsonl")
"""What only some data sets have: an earlier one's does not stay beside another."""
NAMES = ("dataset.jsonl", "dataset.parquet", *OPTIONAL)
_LIBRARIES = ("switchyard", "langchain-core", "langchain-openai", "langchain-deepseek", "langchain-google-genai")
Row = dict[str, Any]


def rows(made: Dataset) -> list[Row]:
    """One row for each answer, its scores among its fields."""
    return [_row(answer) for answer in made.answers]


def _row(answer: Answer) -> Row:
    one, reply = answer.instruction, answer.reply
    taken = ("finish_reason", "input_tokens", "output_tokens", "cost_usd", "latency_ms")
    return {
        "id": one.id,
        "prompt": one.prompt,
        "references": list(one.references),
        "passages": [hit.passage.text for hit in one.passages],
        "model": answer.model,
        "answer": reply.text if reply else None,
        "fault": answer.fault,
        **{name: getattr(reply, name, None) for name in taken},
        **asdict(answer.scores),
        "score": answer.scores.score,
    }


def judgements(made: Dataset, judge: str | None) -> list[Row]:
    """The comparisons in the form of lmsys/mt_bench_human_judgments, which `data label --from-judgements` reads."""
    answers = {(a.instruction.id, a.model): a.reply.text for a in made.answers if a.reply}
    found = []
    for compared, won in made.verdicts:
        if won is None:
            continue
        one, sides = compared.instruction, dict(zip("ab", compared.models, strict=True))
        said = {f"conversation_{side}": _conversation(one.prompt, answers[one.id, model]) for side, model in sides.items()}
        models = {f"model_{side}": model for side, model in sides.items()}
        found.append({"question_id": one.id, **models, "winner": won, "judge": judge, **said, "turn": 1})
    return found


def _conversation(prompt: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def jsonl(found: Iterable[Mapping[str, Any]]) -> bytes:
    """A line of JSON each."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found).encode()


def parquet(found: Sequence[Row]) -> bytes:
    """The rows of a data set as a table, whose columns have the same types whatever stands in them."""
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import parquet as pq

    texts = pa.list_(pa.string())
    special = {"references": texts, "passages": texts, "input_tokens": pa.int64(), "output_tokens": pa.int64()}
    numbers = {"cost_usd", "latency_ms", "score", *MEASURES}
    fields = [(name, special.get(name) or (pa.float64() if name in numbers else pa.string())) for name in found[0]]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(found), schema=pa.schema(fields)), buffer)
    return buffer.getvalue()


def manifest(made: Dataset, plan: Plan, about: Mapping[str, Any], home: Path) -> Row:
    """What the data set was made of, by whom and how; `about`: what only the caller knows (source, counts of calls, money)."""
    prompts = judging.PROMPTS[plan.rubric] if plan.judge else None
    judge = plan.judge and {
        "model": plan.judge,
        "price": price(plan.judge, home),
        "rubric": plan.rubric,
        "prompt_version": judging.VERSION,
        "prompt": prompts,
        "unparsable": len(made.unparsable),
        "not_judged": len(made.unjudged),
        "verdicts": dict(Counter(won for _, won in made.verdicts if won)),
    }
    return {
        "format": FORMAT,
        "complete": not made.missing,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "models": {model: {"price": price(model, home), **_counts(made, model)} for model in plan.models},
        "judge": judge,
        "settings": {"max_tokens": plan.max_tokens, "seed": None},
        "versions": {name: version(name) for name in _LIBRARIES},
        **about,
    }


def _counts(made: Dataset, model: str) -> Row:
    own = [answer for answer in made.answers if answer.model == model]
    replies = [answer.reply for answer in own if answer.reply]
    means = {
        name: round(sum(values) / len(values), 4)
        for name in (*MEASURES, "score")
        if (values := [v for a in own if (v := getattr(a.scores, name)) is not None])
    }
    return {
        "answers": len(replies),
        "cut_at_max_tokens": sum(reply.finish_reason == "length" for reply in replies),
        "failures": dict(Counter(answer.fault for answer in own if answer.fault).most_common()),
        "cost_usd": sum_usd({reply.key: reply for reply in replies}.values()),  # prompts that are alike were paid once
        "means": means,
    }


def sum_usd(replies: Iterable[Entry]) -> float | None:
    """What replies cost together; None where the price of one is unknown."""
    costs = [reply.cost_usd for reply in replies]
    return None if None in costs else sum(cost for cost in costs if cost)


def price(model: str, home: Path) -> Row:
    """USD per 1 M tokens, None where unknown, and the date of the list that ships."""
    million = 1_000_000
    return {
        "input": prices.cost_usd(model, million, 0, home),
        "output": prices.cost_usd(model, 0, million, home),
        "as_of": prices.shipped().as_of,
    }


def is_complete(folder: Path) -> bool:
    """Whether a data set lies there that lacks nothing."""
    try:
        return bool(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["complete"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def check_folder(folder: Path, source: str, names: Sequence[str]) -> None:
    """Raises InputError where the folder cannot be written, or where the source, or another file of the user's, has one of our names.

    Also for the folder in SWITCHYARD_HOME that is named after the source, where it holds what was made of another of that name.
    """
    check_writable(folder)
    if folder.parent.parent == settings().home and (other := _other_source(folder, source)):
        raise InputError(f"{folder} holds what was made of {other}: it is not overwritten. Choose another folder: --output DIR")
    ours, read = _listed(folder), Path(source)
    for path in (folder / name for name in (*names, MANIFEST) if (folder / name).exists()):
        if path.name not in ours or (read.exists() and path.samefile(read)):
            why = "is what is read" if path.name in ours else "was not made here"
            raise InputError(f"{path} {why}: it is not overwritten. Choose another folder: --output DIR")


def _other_source(folder: Path, source: str) -> str | None:
    """What the data set in the folder was made of, where that is not this source."""
    for one in manifests(folder / MANIFEST):
        with suppress(KeyError, TypeError, OSError):
            name, read = str(one["source"]["name"]), Path(source)
            if name != source and not (read.exists() and Path(name).exists() and read.samefile(name)):
                return name
    return None


def _listed(folder: Path) -> set[str]:
    """The files that a data set in the folder consists of; those, too, of one whose writing was cut off."""
    found = set[str]()
    for one in manifests(folder / MANIFEST):
        with suppress(KeyError, TypeError):
            found |= {MANIFEST, *one["sha256"]}
    return found


def of(made: Dataset, plan: Plan) -> dict[str, bytes]:
    """Name -> content of all files but the manifest."""
    found = rows(made)
    lines = {"dataset.jsonl": found, "judgements.jsonl": judgements(made, plan.judge), **exports.files(made)}
    return {name: jsonl(of) for name, of in lines.items() if of} | {"dataset.parquet": parquet(found)}


def write(folder: Path, contents: Mapping[str, bytes], about: Row) -> None:
    """All files, each whole or not at all, and the manifest with their checksums last. Raises InputError where they cannot be written."""
    gone = _listed(folder) & set(OPTIONAL) - set(contents)
    manifest = json.dumps({**about, "sha256": checksums(contents)}, ensure_ascii=False, indent=1) + "\n"
    try:
        write_files(folder, {**contents, MANIFEST: manifest.encode()})
        for name in gone:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}. Nothing paid is lost: mend that and run it again.") from None
