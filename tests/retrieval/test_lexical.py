"""BM25: exact words, in memory and mapped."""

import numpy as np
import pytest

from retrieval.lexical import K1, B, Lexical

TEXTS = ["Green tea steeps for two minutes.", "Black tea", "Honey keeps for years", "", "green green green"]


@pytest.fixture(params=["built", "mapped"])
def lexical(request, tmp_path):
    built = Lexical.build(TEXTS)
    if request.param == "built":
        return built
    built.save(tmp_path / "bm25")
    return Lexical.load(tmp_path / "bm25")


def test_scores_are_those_of_bm25(lexical):
    """Lucene's form: idf = ln(1 + (N - df + 0.5) / (df + 0.5)), times tf / (tf + k1 (1 - b + b length / mean length))."""
    stems = [["green", "tea", "steep", "two", "minut"], ["black", "tea"], ["honey", "keep", "year"], [], ["green"] * 3]
    mean = sum(map(len, stems)) / 5
    idf = np.log(1 + (5 - 2 + 0.5) / (2 + 0.5))
    expected = [idf * d.count("tea") / (d.count("tea") + K1 * (1 - B + B * len(d) / mean)) for d in stems]
    np.testing.assert_allclose(lexical.scores("tea?"), expected, rtol=1e-5)


def test_word_forms_and_case_do_not_matter_and_repetition_in_the_question_neither(lexical):
    np.testing.assert_array_equal(lexical.scores("STEEPING minute"), lexical.scores("steeped steep minutes"))
    assert lexical.scores("steeping").argmax() == 0


@pytest.mark.parametrize("question", ["", "what is the", "zebra", "¿?", "日本"])
def test_nothing_shared_scores_nothing(lexical, question):
    assert lexical.scores(question).tolist() == [0.0] * 5


def test_the_more_of_the_question_the_better(lexical):
    scores = lexical.scores("green tea")
    assert scores.argmax() == 0 and scores[2] == scores[3] == 0


@pytest.mark.parametrize("texts", [["", ""], ["the", "of"]])
def test_a_corpus_without_words(texts, tmp_path):
    Lexical.build(texts).save(tmp_path / "bm25")
    assert Lexical.load(tmp_path / "bm25").scores("tea the").tolist() == [0.0, 0.0]
