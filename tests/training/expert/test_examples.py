"""The examples: what the graph sends, the right passage among distractors, and an answer that cites it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from core.errors import InputError
from core.types import NO_ANSWER
from experts.discovery import Item
from graph.nodes.expert import search
from graph.prompts import grounded
from graph.services import Services
from retrieval.text import contains_key
from training.expert.examples import COLUMNS, Maker, by_split, data_hash, read_questions


def nothing(done: int) -> None:
    pass


@pytest.fixture
def maker(tiny: Services) -> Maker:
    return Maker(tiny, "tea")


def train(services: Services) -> list[Item]:
    return services.expert("tea").questions("train")


def test_a_prompt_is_the_graphs_own(tiny: Services, maker: Maker) -> None:
    item = tiny.expert("tea").questions("test")[0]
    (own, *_), _ = maker.served([item], nothing)
    k = tiny.expert("tea").card.passages
    assert own.messages == grounded(tiny.expert("tea").prompt, item.question, search(tiny, "tea", item.question, k), [])
    assert [turn["role"] for turn in own.prompt] == ["system", "user"]
    assert own.prompt[1]["content"].endswith(f"Question: {item.question}")
    assert own.whole[:2] == own.prompt


def test_the_right_passage_stands_among_distractors_and_is_cited(tiny: Services, maker: Maker) -> None:
    for example in maker.learning(train(tiny), 0.0, 0, nothing):
        assert len(example.hits) > 1
        (n, *_) = sorted(example.right)
        assert contains_key(example.hits[n - 1].passage.text, example.item.key)
        assert example.answer == f"{example.item.answer} [{n}]"
        assert {hit.passage.document for hit in example.hits} > {example.item.document}


def test_each_sentence_of_an_answer_cites(tiny: Services, maker: Maker) -> None:
    item = Item("How long does green tea steep?", "Two minutes. Not longer.", "two minutes", "brewing", "train")
    (example,) = maker.learning([item], 0.0, 0, nothing)
    n = min(example.right)
    assert example.answer == f"Two minutes. [{n}] Not longer. [{n}]"


def test_a_share_is_asked_once_more_without_the_right_passage(tiny: Services, maker: Maker) -> None:
    items = train(tiny)
    found = maker.learning(items, 1.0, 0, nothing)
    assert [e.item for e in found] == [item for item in items for _ in range(2)]
    for with_right, without in zip(found[::2], found[1::2], strict=True):
        assert (without.answer, without.right) == (NO_ANSWER, frozenset())
        assert with_right.answer != NO_ANSWER
        assert all(h.passage.document != without.item.document for h in without.hits)
        assert not any(contains_key(h.passage.text, without.item.key) for h in without.hits)


def test_passages_are_shuffled_the_same_way_for_the_same_seed(tiny: Services, maker: Maker) -> None:
    items = train(tiny)
    one, again, other = (maker.learning(items, 0.5, seed, nothing) for seed in (0, 0, 1))
    assert data_hash(one) == data_hash(again) != data_hash(other)
    assert {min(e.right) for e in maker.learning(items * 5, 0.0, 0, nothing)} > {1}


def test_what_is_measured_comes_in_the_order_of_the_search(tiny: Services, maker: Maker) -> None:
    own, withheld = maker.served(tiny.expert("tea").questions("test"), nothing)
    assert [e.item for e in own] == [e.item for e in withheld]
    assert all([h.score for h in e.hits] == sorted((h.score for h in e.hits), reverse=True) for e in own + withheld)
    assert [e.right for e in withheld] == [frozenset()] * len(own)
    assert sum(bool(e.right) for e in own) >= 2


def test_a_passage_that_the_search_does_not_find_is_put_in(tiny: Services, maker: Maker) -> None:
    item = Item("zzz", "Oolong is half oxidised.", "half oxidised", "oxidation", "train")
    (example,) = maker.learning([item], 0.0, 0, nothing)
    assert [example.hits[n - 1].passage.document for n in example.right] == ["oxidation"]


def test_a_document_that_is_not_there_is_refused(maker: Maker) -> None:
    with pytest.raises(InputError, match=r"to name a document of tea; it names 'coffee'\. .* switchyard expert check tea$"):
        maker.learning([Item("Why?", "Because.", "because", "coffee", "train")], 0.0, 0, nothing)


def written(path: Path, columns: tuple[str, ...], *rows: tuple[str, ...]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def test_wrong_columns_are_one_line_with_the_way_on(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.csv", ("question", "reply"), ("Why?", "Because."))
    with pytest.raises(InputError) as told:
        read_questions(path)
    assert "missing: answer, key, document, split" in str(told.value)
    assert str(told.value).endswith(f"switchyard data prepare {path}")
    with pytest.raises(InputError, match=r"with the columns question, answer, key, document, split; there is no file"):
        read_questions(tmp_path / "none.csv")


def test_the_splits_are_checked(tmp_path: Path) -> None:
    row = ("Why?", "Because.", "because", "brewing")
    items = read_questions(written(tmp_path / "q.csv", COLUMNS, (*row, "train"), ("When?", *row[1:], "dev")))
    with pytest.raises(InputError, match=r"^q: .* there are none with the split test\. Run: switchyard data prepare FILE$"):
        by_split(items, "q")
    leaking = [*items, Item("why", *row[1:], "test")]
    with pytest.raises(InputError, match=r"^q: 'why' stands in two splits, so the test would leak\."):
        by_split(leaking, "q")
    fine = by_split([*items, Item("Where?", *row[1:], "test")], "q")
    assert {split: [i.question for i in rows] for split, rows in fine.items()} == {"train": ["Why?"], "dev": ["When?"], "test": ["Where?"]}
