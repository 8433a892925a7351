"""Questions put to passages that hold the answer, and to passages that do not: what the suite `abstention` judges.

From a file; from questions over a corpus of anyone's; or from the experts' own questions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError
from core.types import Passage
from evaluation.data import Query, read_corpus, read_queries
from evaluation.results import Progress
from evaluation.retrieval import Asked, ask, index_of
from evaluation.rows import Mapped, Row, read_rows
from experts.discovery import Expert, Item
from graph.nodes.expert import search
from graph.services import Services
from retrieval.encoder import Encoder
from retrieval.text import contains_key

OWN, NEAR, OTHER = "own", "near", "other"
WITHHELD, WRONG_EXPERT = "withheld", "wrong-expert"
DEEPER = 4
"""So many times the passages that are read are found, so that enough are left when some are withheld."""


@dataclass(frozen=True, slots=True)
class Posed:
    """A question put to passages, best first. `answerable`: they hold the answer. `groups`: what it is reported by."""

    question: str
    passages: list[Passage]
    answerable: bool
    groups: list[str]


def of_file(path: Path, mapping: Mapped) -> list[Posed]:
    """Rows {"question","passages","answerable"}; a passage is a text, or an object with a text and perhaps a title. Raises InputError."""
    rows = read_rows(path, mapping, '{"question","passages":[...],"answerable":true or false}')
    return [Posed(row.text("question"), _passages(row), row.truth("answerable"), row.groups) for row in rows]


def _passages(row: Row) -> list[Passage]:
    given = row.fields.get("passages")
    if not isinstance(given, list):
        raise row.unlike("passages", "no list")
    found = []
    for n, one in enumerate(given, 1):
        title, text = (one.get("title") or "", one.get("text")) if isinstance(one, dict) else ("", one)
        if not isinstance(title, str) or not isinstance(text, str):
            raise row.fault(f'passage {n} is neither a text nor {{"title","text"}}.')
        found.append(Passage(f"{row.line}#{n}", title, text, row.path.name))
    return found


def of_corpus(
    encoder: Encoder, corpus: Path, qrels: Path, against: Path | None, count: int, mapping: Mapped, progress: Progress
) -> list[Posed]:
    """Each question with `count` passages, in three ways.

    `own`: its right ones, filled up with near ones. `near`: those of the same title first, as the search ranks them, without the right
    ones and any that holds an answer. `other`: what the search finds in the corpus `against`, if there is one. Raises InputError.
    """
    passages = read_corpus(corpus, mapping)
    queries = read_queries(qrels, mapping, {p.id for p in passages}, with_answers=True)
    by_id = {p.id: p for p in passages}
    posed = []
    for found in ask(index_of(passages, encoder, progress), encoder, queries, progress):
        right = [by_id[p] for p in sorted(found.query.passages)]
        titles = {p.title for p in right if p.title}
        ranked = _ranked(found)
        near = sorted(_without(found.query, ranked), key=lambda p: p.title not in titles)
        own, place = (right + near)[:count], {p.id: n for n, p in enumerate(ranked)}
        own.sort(key=lambda p: place.get(p.id, len(place)))
        posed += [Posed(found.query.question, own, True, [OWN]), Posed(found.query.question, near[:count], False, [NEAR])]
    if against:
        elsewhere = ask(index_of(read_corpus(against, mapping), encoder, progress), encoder, queries, progress)
        posed += [Posed(a.query.question, _without(a.query, _ranked(a))[:count], False, [OTHER]) for a in elsewhere]
    return [p for p in posed if p.passages]


def _ranked(asked: Asked) -> list[Passage]:
    return [hit.passage for hit in asked.hits(asked.index.manifest.dense_weight, len(asked.ids))]


def _without(query: Query, ranked: Sequence[Passage]) -> list[Passage]:
    key = "|".join(query.answers)
    return [p for p in ranked if p.id not in query.passages and not contains_key(p.text, key)]


def of_experts(services: Services, progress: Progress) -> tuple[list[Posed], int]:
    """The experts' `test` questions in three ways, and how many are left out, because what the search finds does not hold their fact.

    `own`: the passages that the expert reads; `withheld`: the same without those of the right document; `wrong-expert`: another expert's.
    In the last two no passage holds the key fact. Raises InputError without questions.
    """
    asked = [(expert, item) for expert in services.experts.values() for item in expert.questions("test")]
    if not asked:
        raise InputError("Expected questions with the split `test` in an expert's questions.csv; found none. Or pass a file.")
    posed, left_out, advance = [], 0, progress("Searching", len(asked))
    for expert, item in asked:
        ways = list(_ways(services, expert, item))
        left_out += not ways
        posed += ways
        advance(1)
    if not posed:
        raise InputError("Expected test questions whose key fact is found; found none. See: switchyard eval retrieval")
    return posed, left_out


def _ways(services: Services, expert: Expert, item: Item) -> Iterator[Posed]:
    def found(name: str) -> list[Passage]:
        return [hit.passage for hit in search(services, name, item.question, DEEPER * k)]

    def wrong(passages: Sequence[Passage]) -> list[Passage]:
        return [p for p in passages if not contains_key(p.text, item.key)][:k]

    k = expert.card.passages
    own = found(expert.name)
    if not any(p.document == item.document and contains_key(p.text, item.key) for p in own[:k]):
        return
    yield Posed(item.question, own[:k], True, [OWN, expert.name])
    yield Posed(item.question, wrong([p for p in own if p.document != item.document]), False, [WITHHELD, expert.name])
    for other in services.experts:
        if other != expert.name:
            yield Posed(item.question, wrong(found(other)), False, [WRONG_EXPERT, expert.name])
