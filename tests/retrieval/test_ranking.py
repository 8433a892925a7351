"""The ranking of sentences: its features are what they say, and its weights are for these features."""

import json

import numpy as np
import pytest

from core.errors import InputError
from retrieval.ranking import EVIDENCE, FEATURES, Weights, asks_for, evidence, fits_kind, needs_context, sentence_features
from retrieval.reader import Reading, Span
from retrieval.text import sentences

KINDS = ("number", "date", "name", "cause", "advice")
PASSAGES = [
    {"title": "Brewing", "text": "Tea is old. Green tea steeps for two minutes. It then turns bitter."},
    {"title": "The plant", "text": "Camellia sinensis is the plant that tea comes from. It is evergreen."},
    {
        "title": "Honey",
        "text": "Honey keeps for years because it is too dry for microbes. Karl von Frisch decoded the dance in 1927.",
    },
]


def read(*scores: tuple[float, ...]) -> list[Reading]:
    """Readings of PASSAGES: log-odds that the passage answers, then the score of each sentence."""
    return [
        Reading(own[0], None, tuple(Span(text, score) for text, score in zip(sentences(p["text"]), own[1:], strict=True)))
        for p, own in zip(PASSAGES, scores, strict=True)
    ]


WHOLE = {"features": FEATURES, "coefficients": [0] * len(FEATURES), "evidence": [0] * 4, "intercept": 0, "retrieval": 0}
READINGS = read((2.0, -3.0, 5.0, -1.0), (-1.0, -2.0, -4.0), (-3.0, -6.0, -7.0))


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
    assert dict(zip(KINDS, fits_kind(asks_for(question), yes), strict=True)) == {k: k == kind for k in KINDS}
    assert not any(fits_kind(asks_for(question), no))


def test_a_question_of_no_kind_fits_nothing():
    assert not any(fits_kind(asks_for("Tell me about bees"), "Karl von Frisch found 2,000 of them in 1927, because he must."))


def test_sentences_that_point_back():
    assert needs_context("It is evergreen.") and needs_context("Their queen left.")
    assert not needs_context("Italy is warm.") and not needs_context("The queen left.")


def test_the_features_are_what_their_names_say(encoder):
    rows = sentence_features("How long does green tea steep?", PASSAGES, READINGS, encoder)
    assert rows.shape == (7, len(FEATURES))
    column = dict(zip(FEATURES, rows.T, strict=True))
    assert column["answers"].tolist() == [2, 2, 2, -1, -1, -3, -3]
    vector = encoder.encode(["How long does green tea steep?"])[0]
    np.testing.assert_allclose(column["cosine"], encoder.encode([s.text for r in READINGS for s in r.sentences]) @ vector, atol=1e-6)
    known = [{**p, "cosines": (0.5,) * len(r.sentences)} if n else p for n, (p, r) in enumerate(zip(PASSAGES, READINGS, strict=True))]
    given = sentence_features("How long does green tea steep?", known, READINGS, encoder)[:, FEATURES.index("cosine")]
    assert given.tolist() == pytest.approx([*column["cosine"][:3], 0.5, 0.5, 0.5, 0.5]), "the search's cosines stand where it gave them"
    assert column["cosine_gap"].max() == 0
    assert column["span"].tolist() == [-3, 5, -1, -2, -4, -6, -7]
    assert column["span_gap"].tolist() == [-8, 0, -6, -7, -9, -11, -12]
    assert column["overlap"].argmax() == 1 and column["overlap"][2] == 0
    assert column["overlap_previous"].tolist()[2] == column["overlap"][1]
    assert column["overlap_previous"].tolist()[3] == 0
    assert column["number"].tolist() == [0, 1, 0, 0, 0, 0, 1]
    assert not any(column[kind].any() for kind in KINDS[1:])
    assert column["passage_rank"].tolist() == [1, 1, 1, 1 / 2, 1 / 2, 1 / 3, 1 / 3]
    assert column["first"].tolist() == [1, 0, 0, 1, 0, 1, 0]
    assert column["pronoun"].tolist() == [0, 0, 1, 0, 1, 0, 0]


def test_a_question_of_common_words_only(encoder):
    rows = sentence_features("what is it", PASSAGES, READINGS, encoder)
    assert np.isfinite(rows).all()
    assert not rows[:, FEATURES.index("overlap")].any()


def test_each_sentence_has_its_share_of_the_evidence():
    rows = np.zeros((3, len(FEATURES)))
    rows[:, FEATURES.index("span")] = [1, 2, -700]
    rows[:, FEATURES.index("answers")] = [0.5, 0.5, -3]
    coefficients = tuple(float(name == "span") for name in FEATURES)
    found = Weights(coefficients, (0.25, 1.0, 0.0, 0.0), -1.0, 0.0).probabilities(rows)
    assert found.sum() == pytest.approx(0.5), "log-odds: 0.25 of the best score, 2, the highest value of `answers`, and -1"
    np.testing.assert_allclose(found, [0.5 / (1 + np.e), 0.5 * np.e / (1 + np.e), 0], atol=1e-12)


def test_the_evidence_is_the_highest_of_each():
    rows = np.zeros((2, len(FEATURES)))
    rows[:, [FEATURES.index(name) for name in EVIDENCE]] = [[-2, 0.1, 0.9], [-3, 0.4, 0.2]]
    assert evidence(rows, np.array([0.0, 7.0])).tolist() == [7.0, -2, 0.4, 0.9]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({**WHOLE, "features": [*FEATURES[:-1], "luck"]}, "fitted for other features"),
        ({**WHOLE, "features": FEATURES[::-1]}, "fitted for other features"),
        ({**WHOLE, "coefficients": [0]}, "there is not one coefficient a feature"),
        ({**WHOLE, "evidence": [0] * 3}, "there is not one coefficient a feature"),
        ({"features": FEATURES, "intercept": 0, "retrieval": 0}, "expected the reader's weights: 'coefficients'"),
        ({k: v for k, v in WHOLE.items() if k != "retrieval"}, "expected the reader's weights: 'retrieval'"),
        ({k: v for k, v in WHOLE.items() if k != "evidence"}, "expected the reader's weights: 'evidence'"),
        ([], "expected the reader's weights: "),
        ("text", "expected the reader's weights: "),
    ],
)
def test_weights_of_other_features_are_refused(tmp_path, content, said):
    path = tmp_path / "weights.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=said + ".*Run: switchyard train reader --ranking$") as caught:
        Weights.read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_missing_and_broken_weights(tmp_path):
    with pytest.raises(InputError, match=r"No such file.*Run: switchyard train reader --ranking$"):
        Weights.read(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"features": [')
    with pytest.raises(InputError, match=r"expected the reader's weights.*Run: switchyard train reader --ranking$"):
        Weights.read(tmp_path / "half.json")
