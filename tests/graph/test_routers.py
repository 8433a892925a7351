"""The router by similarity, in all its methods; what all kinds have in common is in test_router_kinds.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import IndexFault, InputError
from core.types import OUT_OF_SCOPE
from graph.routers import votes
from graph.routers.base import Router
from graph.routers.saved import add_to_about, read_about, read_router, write_router
from graph.routers.similarity import SimilarityRouter
from retrieval.encoder import Encoder, Vectors
from retrieval.vectors import FaissStore

NAMES = ("neighbours", "kernel", "centroids")
METHODS: dict[str, Callable[[Encoder], SimilarityRouter]] = {method: partial(SimilarityRouter, method=method) for method in NAMES}
TEA = ["brew green tea", "steep tea leaves", "teapot kettle leaves", "milk in tea", "oolong leaves"]
BEES = ["queen bee hive", "hive honey wax", "worker bee dance", "smoke a hive", "honey mites"]
OTHER = ["capital of Norway", "football score", "train ticket price", "reverse a list", "weather tomorrow"]
TEXTS = [*TEA, *BEES, *OTHER]
LABELS = ["tea"] * 5 + ["bees"] * 5 + [OUT_OF_SCOPE] * 5
ASKED = ["green tea leaves", "the queen of the hive", "weather in Norway", "something else"]


class Counting:
    """An encoder that remembers what it was asked."""

    def __init__(self, inner: Encoder) -> None:
        self.inner, self.asked = inner, list[list[str]]()
        self.fingerprint, self.dimensions = inner.fingerprint, inner.dimensions

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.asked.append(list(texts))
        return self.inner.encode(texts)


class Foreign(Counting):
    """The same vectors under another name."""

    def __init__(self, inner: Encoder) -> None:
        super().__init__(inner)
        self.fingerprint = "another"


@pytest.fixture(params=METHODS)
def make(request: pytest.FixtureRequest) -> Callable[[Encoder], SimilarityRouter]:
    return METHODS[request.param]


@pytest.fixture
def router(make: Callable[[Encoder], SimilarityRouter], encoder: Encoder) -> SimilarityRouter:
    return make(encoder).fit(TEXTS, LABELS)


def test_labels_are_sorted_with_out_of_scope_last(router: Router) -> None:
    assert router.labels == ["bees", "tea", OUT_OF_SCOPE]


def test_rows_are_distributions_and_the_right_label_leads(router: Router) -> None:
    found = router.predict_proba(ASKED)
    assert found.shape == (4, 3)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-9)
    assert [router.labels[n] for n in found[:3].argmax(axis=1)] == ["tea", "bees", OUT_OF_SCOPE]


def test_the_examples_themselves_are_routed_right(router: Router) -> None:
    found = router.predict_proba(TEXTS).argmax(axis=1)
    assert [router.labels[n] for n in found] == LABELS


def test_no_texts_give_no_rows(router: Router) -> None:
    assert router.predict_proba([]).shape == (0, 3)


def test_a_question_scores_the_same_alone_and_in_a_batch(router: Router) -> None:
    whole = router.predict_proba(ASKED)
    for row, text in zip(whole, ASKED, strict=True):
        np.testing.assert_allclose(router.predict_proba([text])[0], row, atol=1e-6)


def test_fitting_twice_gives_the_same(make: Callable[[Encoder], SimilarityRouter], encoder: Encoder, router: Router) -> None:
    np.testing.assert_array_equal(make(encoder).fit(TEXTS, LABELS).predict_proba(ASKED), router.predict_proba(ASKED))


def test_repeated_rows_weigh_once(make: Callable[[Encoder], SimilarityRouter], encoder: Encoder, router: Router) -> None:
    doubled = make(encoder).fit(TEXTS + TEXTS, LABELS + LABELS)
    np.testing.assert_array_equal(doubled.predict_proba(ASKED), router.predict_proba(ASKED))


def test_saved_and_loaded_it_says_the_same(router: SimilarityRouter, encoder: Encoder, tmp_path: Path) -> None:
    router.save(tmp_path / "router")
    loaded = type(router).load(tmp_path / "router", encoder)
    assert loaded.labels == router.labels
    np.testing.assert_array_equal(loaded.predict_proba(ASKED), router.predict_proba(ASKED))
    assert loaded.nearest("green tea", 3) == router.nearest("green tea", 3)


def test_saving_again_replaces_the_old_one_and_leaves_nothing_behind(router: SimilarityRouter, encoder: Encoder, tmp_path: Path) -> None:
    router.save(tmp_path / "router")
    router.fit(["green tea", "blue sea"], ["tea", "sea"]).save(tmp_path / "router")
    assert type(router).load(tmp_path / "router", encoder).labels == ["sea", "tea"]
    assert [path.name for path in tmp_path.iterdir()] == ["router"]


def test_no_pickle_is_written(router: SimilarityRouter, tmp_path: Path) -> None:
    router.save(tmp_path / "router")
    assert {path.suffix for path in (tmp_path / "router").iterdir()} == {".json", ".npy", ".onnx"}
    for path in (tmp_path / "router").glob("*.npy"):
        assert np.load(path, allow_pickle=False).dtype in (np.float16, np.float32)


def test_another_encoder_is_refused_with_the_command_that_mends_it(router: SimilarityRouter, encoder: Encoder, tmp_path: Path) -> None:
    router.save(tmp_path / "router")
    with pytest.raises(IndexFault, match=r"another encoder.*switchyard train router --kind similarity"):
        type(router).load(tmp_path / "router", Foreign(encoder))


@pytest.mark.parametrize(
    ("name", "content"),
    [("about.json", b"{"), ("about.json", b"[]"), ("about.json", b"{}"), ("vectors.npy", b""), ("left_out.npy", b"\x93NUMPY")],
)
def test_a_broken_file_is_refused(router: SimilarityRouter, encoder: Encoder, tmp_path: Path, name: str, content: bytes) -> None:
    router.save(tmp_path / "router")
    (tmp_path / "router" / name).write_bytes(content)
    with pytest.raises(IndexFault, match=r"cannot be read.*switchyard train router --kind similarity"):
        type(router).load(tmp_path / "router", encoder)


def test_a_missing_one_is_refused(make: Callable[[Encoder], SimilarityRouter], encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(IndexFault, match=r"No such file.*switchyard train router --kind similarity"):
        type(make(encoder)).load(tmp_path / "none", encoder)


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        ([], [], "at least two labels; got no rows"),
        (["a", "b"], ["tea", "tea"], r"at least two labels; got \['tea'\]"),
        (["same", "other", "same"], ["tea", "bees", OUT_OF_SCOPE], "'same' is labelled both tea and out_of_scope"),
    ],
)
def test_rows_that_teach_nothing_are_refused(
    make: Callable[[Encoder], SimilarityRouter], encoder: Encoder, texts: list[str], labels: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make(encoder).fit(texts, labels)


def test_an_example_of_two_experts_belongs_to_both(encoder: Encoder) -> None:
    router = SimilarityRouter(encoder).fit([*TEXTS, "honey in tea", "honey in tea"], [*LABELS, "tea", "bees"])
    tea, bees = (router.predict_proba(["honey in tea"])[0][router.labels.index(name)] for name in ("tea", "bees"))
    assert min(tea, bees) > 0.3
    assert [n.label for n in router.nearest("honey in tea", 1)] == ["tea+bees"]


def test_own_examples_are_judged_as_if_never_seen(router: SimilarityRouter) -> None:
    own, stranger = TEXTS[0], "a text that no example resembles"
    column = router.labels.index(LABELS[0])
    assert router.left_out_proba([own])[0][column] < router.predict_proba([own])[0][column]
    np.testing.assert_array_equal(router.left_out_proba([stranger]), router.predict_proba([stranger]))


def test_two_experts_without_an_out_of_scope_bank(make: Callable[[Encoder], SimilarityRouter], encoder: Encoder) -> None:
    found = make(encoder).fit([*TEA, *BEES], LABELS[:10])
    assert found.labels == ["bees", "tea"]
    assert found.predict_proba(["green tea leaves"])[0, 1] > 0.7


def test_forty_intents(make: Callable[[Encoder], SimilarityRouter], minilm: Encoder) -> None:
    things = [
        "piano",
        "violin",
        "trumpet",
        "drum",
        "flute",
        "harp",
        "bread",
        "cheese",
        "butter",
        "honey",
        "pepper",
        "salt",
        "wolf",
        "tiger",
        "rabbit",
        "eagle",
        "salmon",
        "spider",
        "river",
        "mountain",
        "desert",
        "island",
        "glacier",
        "volcano",
        "carpenter",
        "plumber",
        "surgeon",
        "lawyer",
        "baker",
        "pilot",
        "chess",
        "tennis",
        "football",
        "skiing",
        "cricket",
        "boxing",
        "copper",
        "silver",
        "iron",
        "gold",
    ]
    forms = ("tell me about the {}", "I want to know more of {}", "a picture of a {}", "{}")
    rows = [(form.format(thing), thing) for thing in things for form in forms]
    found = make(minilm).fit([text for text, _ in rows], [label for _, label in rows])
    assert found.labels == sorted(things)
    guesses = found.predict_proba([f"what is a {thing} like?" for thing in found.labels]).argmax(axis=1)
    assert [found.labels[n] for n in guesses] == found.labels


def test_documents_speak_for_what_no_example_mentions(encoder: Encoder, tmp_path: Path) -> None:
    stores = {
        "tea": FaissStore.build(encoder.encode([*TEA, "peppermint infusion", "chamomile infusion", "rooibos infusion"])),
        "bees": FaissStore.build(encoder.encode(BEES)),
    }
    asked = ["peppermint or chamomile infusion"]
    without = SimilarityRouter(encoder).fit(TEXTS, LABELS).predict_proba(asked)[0]
    router = SimilarityRouter(encoder, stores.get).fit(TEXTS, LABELS)
    found = router.predict_proba(asked)[0]
    assert found.sum() == pytest.approx(1.0)
    assert found[1] > max(found[0], found[2], without[1])
    router.save(tmp_path / "router")
    np.testing.assert_array_equal(SimilarityRouter.load(tmp_path / "router", encoder, stores.get).predict_proba(asked)[0], found)


def test_nearest_are_the_most_similar_examples_best_first(router: Router) -> None:
    near = router.nearest("brew green tea", 4)
    assert (near[0].text, near[0].label, near[0].similarity) == ("brew green tea", "tea", pytest.approx(1.0, abs=5e-4))
    assert [n.similarity for n in near] == sorted((n.similarity for n in near), reverse=True)
    assert len({n.text for n in near}) == 4
    assert len(router.nearest("brew green tea", 99)) == len(TEXTS)


def test_each_question_is_encoded_once(make: Callable[[Encoder], SimilarityRouter], encoder: Encoder) -> None:
    counting = Counting(encoder)
    found = make(counting).fit(TEXTS, LABELS)
    assert counting.asked == [TEXTS]
    found.predict_proba(ASKED)
    assert counting.asked[1:] == [ASKED]


def test_of_very_many_examples_a_part_holds_the_votes(encoder: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = SimilarityRouter(encoder, method="kernel").fit(TEXTS, LABELS).predict_proba(ASKED)
    monkeypatch.setattr("graph.routers.similarity.EXACT_UP_TO", 10)
    monkeypatch.setattr(votes, "EXACT_UP_TO", 10)
    monkeypatch.setattr(votes, "LANDMARKS", 12)
    router = SimilarityRouter(encoder, method="kernel").fit(TEXTS, LABELS)
    found = router.predict_proba(ASKED)
    assert found[:3].argmax(axis=1).tolist() == whole[:3].argmax(axis=1).tolist()
    router.save(tmp_path / "router")
    assert np.load(tmp_path / "router" / "votes.npy").shape == (12, 3)
    np.testing.assert_array_equal(SimilarityRouter.load(tmp_path / "router", encoder).predict_proba(ASKED), found)
    assert router.nearest("brew green tea", 1)[0].text == "brew green tea"


@pytest.mark.parametrize(("labels", "many", "method"), [(10, 29, "neighbours"), (10, 30, "kernel"), (11, 29, "kernel")])
def test_by_default_few_wide_labels_with_very_many_examples_have_neighbours(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch, labels: int, many: int, method: str
) -> None:
    monkeypatch.setattr("graph.routers.similarity.MANY", many)
    texts = [f"{word} {n}" for n in range(labels) for word in ("tea", "hive", "train")]
    of = [f"intent {n}" for n in range(labels) for _ in range(3)]
    found = SimilarityRouter(encoder).fit(texts, of).predict_proba(texts[:5])
    expected = SimilarityRouter(encoder, method=method).fit(texts, of).predict_proba(texts[:5])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("exact_up_to", [5, 1000])
def test_left_out_scores_are_those_of_a_fit_without_the_example(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch, exact_up_to: int
) -> None:
    vectors, rng = encoder.encode(TEXTS), np.random.default_rng(0)
    vectors = (vectors + rng.normal(0, 0.05, vectors.shape)).astype(np.float32)
    targets = np.where(np.eye(3)[np.repeat([0, 1, 2], 5)] > 0, 1.0, -1.0)
    monkeypatch.setattr(votes, "EXACT_UP_TO", exact_up_to)
    monkeypatch.setattr(votes, "LANDMARKS", 6)
    monkeypatch.setattr(votes, "JITTER", 0.0)

    def learnt(rows: list[int]) -> votes.Votes:
        return votes.learn("kernel", vectors[rows], targets[rows], np.ones(len(rows)), 0.7, 0.03)

    left = 14
    without = learnt([n for n in range(15) if n != left])
    scores = votes.tally("kernel", vectors[[left]] @ without.anchors.T, without.votes, 0.7)
    np.testing.assert_allclose(learnt(list(range(15))).left_out[left], scores[0], atol=1e-3)


def test_an_unknown_method_is_refused(encoder: Encoder) -> None:
    with pytest.raises(InputError, match="Expected a method of similarity among auto, neighbours, kernel, centroids; got 'magic'"):
        SimilarityRouter(encoder, method="magic").fit(TEXTS, LABELS)


def test_what_a_router_says_of_itself_is_parsed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    read = Path.read_text

    def counted(path: Path, *given: Any, **named: Any) -> str:
        parsed.append(path.name)
        return read(path, *given, **named)

    write_router(tmp_path / "r", {"kind": "majority", "encoder": "e", "labels": ["bees"]}, {"weights": np.zeros(3)})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", counted)
        assert read_about(tmp_path / "r")["labels"] == ["bees"]
        about, arrays = read_router(tmp_path / "r", "majority", "e")
    assert (about["labels"], arrays["weights"].tolist(), parsed) == (["bees"], [0.0] * 3, ["about.json"])
    add_to_about(tmp_path / "r", labels=["tea"])
    assert read_router(tmp_path / "r", "majority", "e")[0]["labels"] == ["tea"]
    write_router(tmp_path / "r", {"kind": "majority", "encoder": "e", "labels": ["owl"]}, {"weights": np.zeros(3)})
    assert read_about(tmp_path / "r")["labels"] == ["owl"]
