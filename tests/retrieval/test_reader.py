"""The reader: which passage answers, where, and that none does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import IndexFault
from core.settings import ROOT
from core.types import Hit, Passage
from retrieval.encoder import Encoder
from retrieval.pairs import Pair
from retrieval.reader import LONGEST, Reader, Sentence, span_scores
from retrieval.tokens import MAX_TOKENS

PASSAGES = [
    {"title": "Brewing", "text": "Tea is old. Green tea steeps for two minutes. It then turns bitter.", "score": 2.0},
    {"title": "The plant", "text": "Camellia sinensis is the plant that tea comes from. It is evergreen.", "score": 1.0},
    {
        "title": "Honey",
        "text": "Honey keeps for years because it is too dry for microbes. Karl von Frisch decoded the dance in 1927.",
        "score": -0.5,
    },
]


@pytest.fixture(scope="module")
def reader(minilm: Encoder) -> Reader:
    return Reader(ROOT / "artifacts" / "reader", minilm)


@pytest.mark.parametrize(
    ("question", "answer", "words"),
    [
        ("How long does green tea steep?", Sentence("Green tea steeps for two minutes.", 0, 1, 0), "two minutes"),
        ("Which plant does tea come from?", Sentence("Camellia sinensis is the plant that tea comes from.", 1, 0, 0), "Camellia"),
        ("Why does honey keep?", Sentence("Honey keeps for years because it is too dry for microbes.", 2, 0, 0), "too dry"),
        ("Who decoded the dance?", Sentence("Karl von Frisch decoded the dance in 1927.", 2, 1, 0), "Frisch"),
    ],
)
def test_the_sentence_that_answers_comes_first(question, answer, words, reader):
    ranked = reader.rank(question, PASSAGES)
    assert replace(ranked[0], score=0) == answer
    assert len(ranked) == 7
    scores = [s.score for s in ranked]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    readings = reader.read(question, PASSAGES)
    assert max(range(3), key=lambda n: readings[n].answers) == answer.passage
    assert words in readings[answer.passage].span.text


def test_what_no_passage_answers_is_believed_less(reader):
    asked, strange = reader.answers("How long does green tea steep?", PASSAGES), reader.answers("Who won the election of 1860?", PASSAGES)
    assert asked > 2 * strange


def test_what_was_ranked_is_not_worked_out_again(reader):
    """Before the answer, for the answer, and when it is judged: the passages are the same."""
    question = "How long does the queen of a hive live?"
    before, known = reader.answers(question, PASSAGES), reader._ranked.cache_info()
    ranked = reader.rank(question, [{**p, "cosines": ()} for p in PASSAGES])
    assert sum(sentence.score for sentence in ranked) == pytest.approx(before)
    assert (reader._ranked.cache_info().hits, reader._ranked.cache_info().misses) == (known.hits + 1, known.misses)


def test_hits_are_put_in_the_order_of_what_answers(reader):
    hits = [Hit(Passage(f"p{n}", p["title"], p["text"], ""), 0.0, 0.5) for n, p in enumerate(PASSAGES)]
    ranked = reader.rerank("Why does honey keep?", hits)
    assert ranked[0].passage.id == "p2"
    readings = reader.read("Why does honey keep?", PASSAGES)
    assert {h.passage.id: h.score for h in ranked} == {f"p{n}": pytest.approx(r.answers) for n, r in enumerate(readings)}
    assert [h.score for h in ranked] == sorted((h.score for h in ranked), reverse=True)


def test_the_exact_words_and_where_they_stand(reader):
    hits = [Hit(Passage(f"p{n}", p["title"], p["text"], ""), 0.0, 0.5) for n, p in enumerate(PASSAGES)]
    hit, span = reader.find("Who decoded the dance?", hits)
    assert hit.passage.id == "p2"
    assert "Frisch" in span.text
    assert reader.find("Why?", []) is None


def test_no_passages_no_sentences(reader):
    assert reader.rank("Why?", []) == []
    assert reader.rank("Why?", [{"title": "", "text": " ", "score": 0}]) == []
    assert reader.answers("Why?", []) == 0.0
    assert reader.rerank("Why?", []) == []


def test_a_passage_reads_the_same_alone_and_among_others(reader, minilm):
    question = "How long does green tea steep?"
    assert reader.read(question, PASSAGES)[0] == Reader(reader.folder, minilm).read(question, PASSAGES[:1])[0]


@pytest.mark.parametrize("question", ["", "?", "why " * 2000, "\x00\u202e \U0001f600", "长" * 500])
@pytest.mark.parametrize("text", ["x", "no end " * 3000, "。、", "One. Two. Three."])
def test_strange_questions_and_passages_are_read(question, text, reader):
    found = reader.read(question, [{"title": text[:20], "text": text}])[0]
    assert np.isfinite(found.answers)
    assert all(np.isfinite(sentence.score) for sentence in found.sentences)
    assert found.span is None or found.span.text in text


def test_the_end_of_a_long_passage_is_not_read(reader):
    text = "Nothing is said here. " * MAX_TOKENS + "Green tea steeps for two minutes."
    found = reader.read("How long does green tea steep?", [{"title": "", "text": text}])[0]
    assert found.sentences[-1].text == "Green tea steeps for two minutes."
    assert -100 < found.sentences[-1].score == min(s.score for s in found.sentences)


def test_a_span_goes_forward_is_short_and_stays_in_the_passage():
    pair = Pair(np.arange(60), np.ones(60, np.int64), np.array([(-1, -1)] * 3 + [(n, n + 1) for n in range(57)]))
    rng = np.random.default_rng(0)
    start, end = rng.normal(size=60).astype(np.float32), rng.normal(size=60).astype(np.float32)
    sums = span_scores(pair, start, end)
    for first, last in ((5, 5), (5, 4 + LONGEST), (10, 12)):
        assert sums[first, last] == pytest.approx(start[first] + end[last] - start[0] - end[0])
    for first, last in ((5, 4), (5, 5 + LONGEST), (2, 5), (0, 0)):
        assert sums[first, last] < -5000


def test_a_reader_without_its_network_says_what_is_missing(tmp_path: Path, minilm: Encoder):
    with pytest.raises(IndexFault, match=r"reader.*cannot be opened.*switchyard train reader"):
        Reader(tmp_path, minilm).read("Why?", PASSAGES)
