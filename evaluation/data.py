"""Evaluation data: the rows that the suites take from JSONL files of anyone's (see `evaluation.rows`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import InputError
from core.types import OUT_OF_SCOPE, Passage
from evaluation.rows import Mapped, read_rows


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text and the label it should get. `groups`: its difficulty and group, where given."""

    text: str
    label: str
    groups: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt and what two models' responses to it scored, on any scale where more is better. `together`: see `Row.together`."""

    prompt: str
    weak_score: float
    strong_score: float
    weak_response: str | None = None
    groups: list[str] = field(default_factory=list)
    together: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A response and whether it is right. `token_logprobs`: natural logarithms, one a token. `together`: see `Row.together`."""

    prompt: str
    response: str
    correct: bool
    token_logprobs: list[float] | None = None
    groups: list[str] = field(default_factory=list)
    together: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """A question, the passages that answer it, and the answers where the file has them."""

    id: str
    question: str
    passages: frozenset[str]
    answers: list[str]


def parse_map(pairs: Sequence[str]) -> dict[str, str]:
    """`["label=intent"]` as a mapping. Raises InputError for anything else, and where one of ours is to be two of theirs."""
    mapping: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not (ours and equals and theirs):
            raise InputError(f"Expected --map OURS=THEIRS, for example --map label=intent; got {pair!r}.")
        if mapping.setdefault(ours, theirs) != theirs:
            raise InputError(f"Expected --map {ours}=THEIRS once; got {mapping[ours]!r} and {theirs!r}. Leave one of the two out.")
    return mapping


def read_labelled(path: Path, mapping: Mapped) -> list[Labelled]:
    """Rows {"text","label"[,"difficulty"][,"group"]}; the label `oos` is read as out_of_scope. Raises InputError."""
    rows = read_rows(path, mapping, '{"text","label"}')
    return [Labelled(r.text("text"), OUT_OF_SCOPE if r.text("label") == "oos" else r.text("label"), r.groups) for r in rows]


def read_pairs(path: Path, mapping: Mapped, group: str | None = None) -> list[Pair]:
    """Rows {"prompt","weak_score","strong_score"[,"weak_response"]}. `group`: a column of rows that stay together. Raises InputError."""
    return [
        Pair(
            r.text("prompt"),
            r.number("weak_score"),
            r.number("strong_score"),
            r.answer("weak_response") if r.fields.get("weak_response") is not None else None,
            r.groups,
            r.together(group),
        )
        for r in read_rows(path, mapping, '{"prompt","weak_score","strong_score"}')
    ]


def read_judged(path: Path, mapping: Mapped, group: str | None = None) -> list[Judged]:
    """Rows {"prompt","response","correct"[,"token_logprobs"]}. `group`: see `read_pairs`. Raises InputError."""
    return [
        Judged(r.text("prompt"), r.answer("response"), r.truth("correct"), r.numbers("token_logprobs"), r.groups, r.together(group))
        for r in read_rows(path, mapping, '{"prompt","response","correct"}')
    ]


def read_corpus(path: Path, mapping: Mapped | None) -> list[Passage]:
    """Passages {"_id","title","text"}, whole; the title may be left out. Raises InputError."""
    passages: dict[str, Passage] = {}
    for row in read_rows(path, mapping, '{"_id","title","text"}'):
        ident = row.text("_id")
        if ident in passages:
            raise row.fault(f"the id {ident!r} occurs twice.")
        passages[ident] = Passage(ident, str(row.fields.get("title") or ""), row.text("text"), path.name, ident)
    return list(passages.values())


def read_queries(path: Path, mapping: Mapped | None, known: set[str], *, with_answers: bool = False, split: str = "") -> list[Query]:
    """Questions {"qid","question","passage_id"[,"answers"]}; lines of one qid are one question with several right passages.

    `split`: lines that name another one are passed over. Raises InputError, also for a passage that is not among the `known` ones, for a
    qid that two questions have, and where no line is left.
    """
    form = '{"qid","question","passage_id","answers":[...]}' if with_answers else '{"qid","question","passage_id"}'
    found: dict[str, Query] = {}
    for row in read_rows(path, mapping, form):
        if split and row.fields.get("split") not in (split, "", None):
            continue
        passage = row.text("passage_id")
        if passage not in known:
            raise row.fault(f"the corpus has no passage {passage!r}.")
        answers = row.texts("answers") if with_answers else []
        if with_answers and not any(map(str.strip, answers)):
            raise row.unlike("answers", "no list of texts")
        query = Query(row.text("qid"), row.text("question"), frozenset({passage}), answers)
        if before := found.get(query.id):
            if before.question != query.question:
                raise row.fault(f"the qid {query.id!r} is that of another question too: {before.question!r}. Give each its own.")
            query = Query(before.id, before.question, before.passages | query.passages, [*before.answers, *answers])
        found[query.id] = query
    if not found:
        raise InputError(f"{path}: expected questions of the split {split!r}, or without a split; all lines name another one.")
    return list(found.values())
