"""The reader: which sentence answers, and whether its weights are for these features."""

import json
from dataclasses import replace

import numpy as np
import pytest

from core.errors import InputError
from core.settings import ROOT
from retrieval.reader import (
    FEATURES,
    Sentence,
    Weights,
    fits_kind,
    load_weights,
    needs_context,
    rank_sentences,
    sentence_features,
    split_passages,
)

KINDS = ("number", "date", "name", "cause", "advice")
SHIPPED = ROOT / "artifacts" / "reader" / "weights.json"
PASSAGES = [
    {"title": "Brewing", "text": "Tea is old. Green tea steeps for two minutes. It then turns bitter.", "score": 2.0},
    {"title": "The plant", "text": "Camellia sinensis is the plant that tea comes from. It is evergreen.", "score": 1.0},
    {
        "title": "Honey",
        "text": "Honey keeps for years because it is too dry for microbes. Karl von Frisch decoded the dance in 1927.",
        "score": -0.5,
    },
]


@pytest.mark.parametrize(
    ("question", "yes", "no", "kind"),
    [
        ("How long does it steep?", "For two minutes.", "For a while.", "number"),
        ("How many eggs?", "About 2,000 a day.", "Very many.", "number"),
        ("What percent is water?", "Less than 20.", "Little of it.", "number"),
        ("When was it introduced?", "It came in 1908.", "It came late.", "date"),
        ("Which year did it end?", "It ended in 1927.", "It ended.", "date"),
        ("Who decoded it?", "It was Karl von Frisch.", "Somebody did.", "name"),
        ("Where does it grow?", "It grows in India.", "It grows on slopes.", "name"),
        ("Why does honey keep?", "Because it is dry.", "Honey is sweet.", "cause"),
        ("How does smoke work?", "It makes them eat.", "Smoke is grey.", "cause"),
        ("Should I see a doctor?", "You must see one.", "A doctor came.", "advice"),
        ("can I open the hive", "Never in rain.", "The hive was open.", "advice"),
    ],
)
def test_the_kind_of_answer(question, yes, no, kind):
    assert dict(zip(KINDS, fits_kind(question, yes), strict=True)) == {k: k == kind for k in KINDS}
    assert not any(fits_kind(question, no))


def test_a_question_of_no_kind_fits_nothing():
    assert not any(fits_kind("Tell me about bees", "Karl von Frisch found 2,000 of them in 1927, because he must."))


def test_sentences_that_point_back():
    assert needs_context("It is evergreen.") and needs_context("Their queen left.")
    assert not needs_context("Italy is warm.") and not needs_context("The queen left.")


def test_passages_are_split_in_reading_order():
    assert split_passages(PASSAGES)[2:4] == [
        (0, 2, "It then turns bitter."),
        (1, 0, "Camellia sinensis is the plant that tea comes from."),
    ]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How long does green tea steep?", Sentence("Green tea steeps for two minutes.", 0, 1, 0)),
        ("Which plant does tea come from?", Sentence("Camellia sinensis is the plant that tea comes from.", 1, 0, 0)),
        ("Why does honey keep?", Sentence("Honey keeps for years because it is too dry for microbes.", 2, 0, 0)),
        ("Who decoded the dance?", Sentence("Karl von Frisch decoded the dance in 1927.", 2, 1, 0)),
    ],
)
def test_the_sentence_that_answers_comes_first(question, answer, minilm):
    ranked = rank_sentences(question, PASSAGES, minilm, load_weights(SHIPPED))
    assert replace(ranked[0], score=0) == answer
    assert len(ranked) == 7
    scores = [s.score for s in ranked]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


def test_no_passages_no_sentences(minilm):
    assert rank_sentences("Why?", [], minilm, load_weights(SHIPPED)) == []
    assert rank_sentences("Why?", [{"title": "", "text": " ", "score": 0}], minilm, load_weights(SHIPPED)) == []


def test_the_features_are_what_their_names_say(encoder):
    split = split_passages(PASSAGES)
    question = "How long does green tea steep?"
    rows = sentence_features(question, PASSAGES, split, encoder)
    assert rows.shape == (len(split), len(FEATURES))
    column = dict(zip(FEATURES, rows.T, strict=True))
    vector = encoder.encode([question])[0]
    np.testing.assert_allclose(column["cosine"], encoder.encode([text for _, _, text in split]) @ vector, atol=1e-6)
    assert column["overlap"].argmax() == 1 and column["overlap"][2] == 0
    assert column["overlap_previous"].tolist()[2] == column["overlap"][1]
    assert column["overlap_previous"].tolist()[3] == 0
    assert column["number"].tolist() == [0, 1, 0, 0, 0, 0, 1]
    assert not any(column[kind].any() for kind in KINDS[1:])
    assert column["passage_rank"].tolist() == [1, 1, 1, 1 / 2, 1 / 2, 1 / 3, 1 / 3]
    assert column["passage_score"].tolist() == [0, 0, 0, -1, -1, -2.5, -2.5]
    assert column["first"].tolist() == [1, 0, 0, 1, 0, 1, 0]
    assert column["pronoun"].tolist() == [0, 0, 1, 0, 1, 0, 0]
    assert column["best_cosine_gap"].max() == column["best_overlap_gap"].max() == 0


def test_a_question_of_common_words_only(encoder):
    rows = sentence_features("what is it", PASSAGES, split_passages(PASSAGES), encoder)
    assert np.isfinite(rows).all()
    assert not rows[:, FEATURES.index("overlap")].any()


def test_probabilities():
    weights = Weights((1.0, *[0.0] * (len(FEATURES) - 1)), -1.0)
    rows = np.zeros((3, len(FEATURES)))
    rows[:, 0] = [1, 2, -700]
    np.testing.assert_allclose(weights.probabilities(rows), [0.5, 1 / (1 + np.exp(-1)), 0], atol=1e-12)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"features": [*FEATURES[:-1], "luck"], "coefficients": [0] * len(FEATURES), "intercept": 0}, "fitted for other features"),
        ({"features": FEATURES[::-1], "coefficients": [0] * len(FEATURES), "intercept": 0}, "fitted for other features"),
        ({"features": FEATURES, "coefficients": [0], "intercept": 0}, "there is not one coefficient a feature"),
        ({"features": FEATURES, "intercept": 0}, "expected the reader's weights: 'coefficients'"),
        ([], "expected the reader's weights: "),
        ("text", "expected the reader's weights: "),
    ],
)
def test_weights_of_other_features_are_refused(tmp_path, content, said):
    path = tmp_path / "weights.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=said + ".*Run: switchyard train reader$") as caught:
        Weights.read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_missing_and_broken_weights(tmp_path):
    with pytest.raises(InputError, match=r"No such file.*Run: switchyard train reader$"):
        Weights.read(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"features": [')
    with pytest.raises(InputError, match=r"expected the reader's weights.*Run: switchyard train reader$"):
        Weights.read(tmp_path / "half.json")


def test_the_shipped_weights_fit():
    assert len(load_weights(SHIPPED).coefficients) == len(FEATURES)
