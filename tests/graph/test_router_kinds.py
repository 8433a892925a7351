"""One contract for every kind of router that can be trained here in a moment; the transformer has tests of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import IndexFault, InputError, UnknownNameError
from core.types import OUT_OF_SCOPE
from graph.routers.base import Examples, as_single
from graph.routers.baselines import MajorityRouter, RandomRouter
from graph.routers.boosted import BoostedRouter
from graph.routers.kinds import KINDS, check_kind, load_router, new_router
from graph.routers.llm import ChatRouter
from graph.routers.logistic import LogisticRouter
from graph.routers.similarity import SimilarityRouter
from retrieval.encoder import Encoder
from tests.graph.test_routers import Foreign

WORDS = {
    "tea": "brew steep leaves teapot kettle oolong sencha infusion",
    "bees": "hive honey queen wax worker drone pollen swarm",
    OUT_OF_SCOPE: "norway football ticket weather lottery guitar planet museum",
}
ROWS = [(f"{a} {b}", label) for label, words in WORDS.items() for a, b in combinations(words.split(), 2)]
TEXTS, LABELS = [text for text, _ in ROWS], [label for _, label in ROWS]
ASKED = ["oolong teapot leaves", "wax queen worker hive", "museum guitar lottery"]
RIGHT = ["tea", "bees", OUT_OF_SCOPE]


def obedient(model: str, messages: list[Any]) -> str:
    """A chat model that counts words."""
    asked = set(messages[-1].text.split())
    shares = {label: len(asked & set(words.split())) + 0.1 for label, words in WORDS.items()}
    return f"Sure: {json.dumps({label: n / sum(shares.values()) for label, n in shares.items()})}"


Make = Callable[[Encoder], Any]
MAKES: dict[str, Make] = {
    "similarity": SimilarityRouter,
    "logistic": LogisticRouter,
    "landmarks": partial(LogisticRouter, landmarks=60),
    "xgboost": BoostedRouter,
    "llm": partial(ChatRouter, model="openai:any", ask=obedient),
}
EVERY: dict[str, Make] = MAKES | {"random": RandomRouter, "majority": MajorityRouter}


def opened(router: Any, folder: Path, encoder: Encoder) -> Any:
    return load_router(folder, encoder, **({"ask": obedient} if router.kind == "llm" else {}))


@pytest.fixture(params=EVERY)
def make(request: pytest.FixtureRequest) -> Make:
    return EVERY[request.param]


@pytest.fixture
def router(make: Make, encoder: Encoder) -> Any:
    return make(encoder).fit(TEXTS, LABELS)


@pytest.mark.parametrize("name", MAKES)
def test_the_right_label_leads(name: str, encoder: Encoder) -> None:
    # Of each label one word tells all, as trees like it.
    rows = [(f"{words.split()[0]} {n}", label) for label, words in WORDS.items() for n in range(30)]
    texts, labels = ([*TEXTS, *(t for t, _ in rows)], [*LABELS, *(label for _, label in rows)])
    router = MAKES[name](encoder).fit(texts, labels)
    found = router.predict_proba(["brew 50", "hive 51", "norway 52"])
    assert [router.labels[n] for n in found.argmax(axis=1)] == RIGHT


def test_what_looks_like_no_expert_is_less_familiar(encoder: Encoder) -> None:
    for name in ("similarity", "logistic"):
        inside = MAKES[name](encoder).fit(TEXTS, LABELS).familiarity(ASKED)
        assert min(inside[:2]) > inside[2]


def test_rows_are_distributions_over_sorted_labels_out_of_scope_last(router: Any) -> None:
    assert router.labels == ["bees", "tea", OUT_OF_SCOPE]
    found = router.predict_proba(ASKED)
    assert (found.shape, found.dtype) == ((3, 3), np.float64)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-9)
    assert router.predict_proba([]).shape == (0, 3)
    np.testing.assert_allclose(router.predict_proba(ASKED[1:2])[0], found[1], atol=1e-6)


def test_fitting_twice_and_repeated_rows_change_nothing(make: Make, encoder: Encoder, router: Any) -> None:
    np.testing.assert_array_equal(make(encoder).fit(TEXTS + TEXTS, LABELS + LABELS).predict_proba(ASKED), router.predict_proba(ASKED))


def test_saved_and_opened_it_says_the_same(router: Any, encoder: Encoder, tmp_path: Path) -> None:
    router.calibrate(TEXTS[::2], LABELS[::2])
    router.save(tmp_path / "router")
    found = opened(router, tmp_path / "router", encoder)
    assert (found.kind, found.labels) == (router.kind, router.labels)
    np.testing.assert_allclose(found.predict_proba(ASKED), router.predict_proba(ASKED), atol=1e-9)
    assert {path.suffix for path in (tmp_path / "router").iterdir()} <= {".json", ".npy", ".onnx", ".ubj"}
    assert [path.name for path in tmp_path.iterdir()] == ["router"]


def test_what_was_saved_says_what_it_was_made_of(router: Any, encoder: Encoder, tmp_path: Path) -> None:
    router.save(tmp_path / "router")
    about = json.loads((tmp_path / "router" / "about.json").read_text())
    assert (about["kind"], about["encoder"], about["labels"]) == (router.kind, encoder.fingerprint, router.labels)
    assert set(about["checksums"]) == {path.name for path in (tmp_path / "router").iterdir()} - {"about.json"}


def test_a_router_of_another_encoder_is_refused(router: Any, encoder: Encoder, tmp_path: Path) -> None:
    router.save(tmp_path / "router")
    with pytest.raises(IndexFault, match=r"made by another encoder. Run: switchyard train router --kind \w+"):
        opened(router, tmp_path / "router", Foreign(encoder))


@pytest.mark.parametrize("spoil", [b"", b"{", b"[]", b"{}"])
def test_a_half_written_one_is_refused(router: Any, encoder: Encoder, tmp_path: Path, spoil: bytes) -> None:
    router.save(tmp_path / "router")
    (tmp_path / "router" / "about.json").write_bytes(spoil)
    with pytest.raises(IndexFault, match=r"The router in .* cannot be read: .* Run: switchyard"):
        opened(router, tmp_path / "router", encoder)


def test_one_of_another_kind_is_refused(encoder: Encoder, tmp_path: Path) -> None:
    LogisticRouter(encoder).fit(TEXTS, LABELS).save(tmp_path / "router")
    with pytest.raises(IndexFault, match=r"it holds a router of the kind 'logistic'\. Run: switchyard train router --kind similarity"):
        SimilarityRouter.load(tmp_path / "router", encoder)


@pytest.mark.parametrize("name", ["similarity", "logistic", "xgboost"])
def test_weights_that_were_changed_or_lost_are_refused(name: str, encoder: Encoder, tmp_path: Path) -> None:
    MAKES[name](encoder).fit(TEXTS, LABELS).save(tmp_path / "router")
    weights = max((tmp_path / "router").iterdir(), key=lambda path: (path.name != "about.json", path.stat().st_size))
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(IndexFault, match="its files are not those that were saved"):
        load_router(tmp_path / "router", encoder)
    weights.unlink()
    with pytest.raises(IndexFault, match=f"No such file.*{weights.name}"):
        load_router(tmp_path / "router", encoder)


def test_an_old_router_stays_when_the_new_one_cannot_be_written(encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LogisticRouter(encoder).fit(TEXTS, LABELS).save(tmp_path / "router")
    before = load_router(tmp_path / "router", encoder).predict_proba(ASKED)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("graph.routers.saved.json.dumps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        LogisticRouter(encoder, strength=0.01).fit(TEXTS, LABELS).save(tmp_path / "router")
    monkeypatch.undo()
    np.testing.assert_array_equal(load_router(tmp_path / "router", encoder).predict_proba(ASKED), before)
    assert [path.name for path in tmp_path.iterdir()] == ["router"]


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        ([], [], "at least two labels; got no rows"),
        (["a", "b"], ["tea", "tea"], r"at least two labels; got \['tea'\]"),
        (["same", "other", "same"], ["tea", "bees", OUT_OF_SCOPE], "'same' is labelled both tea and out_of_scope"),
        (["a", " "], ["tea", "bees"], "Example 2: expected a text and a label; the text is empty"),
        (["a", "b"], ["tea", ""], "Example 2: expected a text and a label; the label is empty"),
        (["a", "b"], ["tea"], "got 2 texts and 1 labels"),
    ],
)
def test_rows_that_teach_nothing_are_refused(make: Make, encoder: Encoder, texts: list[str], labels: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(encoder).fit(texts, labels)


@pytest.mark.parametrize("name", ["logistic", "xgboost", "llm"])
def test_held_out_rows_that_cannot_be_used(name: str, encoder: Encoder) -> None:
    router = MAKES[name](encoder).fit(TEXTS, LABELS)
    with pytest.raises(InputError, match=r"label 'wasps', which the training examples lack. Known: bees, tea, out_of_scope"):
        router.calibrate(["a"], ["wasps"])
    with pytest.raises(InputError, match="held-out examples to calibrate on; got no rows"):
        router.calibrate([], [])


def test_a_text_of_two_labels_counts_half_for_each() -> None:
    examples = Examples.of(["a", "b", "a", "c"], ["tea", "bees", "bees", OUT_OF_SCOPE])
    assert examples.targets.tolist() == [[0.5, 0.5, 0], [1, 0, 0], [0, 0, 1]]
    rows, labels, weights = as_single(examples.targets, np.array([1.0, 2.0, 3.0]))
    assert (rows.tolist(), labels.tolist(), weights.tolist()) == ([0, 0, 1, 2], [0, 1, 0, 2], [0.5, 1.0, 1.0, 3.0])


@pytest.mark.parametrize("name", ["logistic", "landmarks", "xgboost"])
def test_features_say_what_no_embedding_does(name: str, encoder: Encoder) -> None:
    def loud(texts: Any) -> Any:
        return np.array([[1000.0 * text.count("!")] for text in texts])

    texts = [f"{word} {n}{'!' * (n % 2)}" for word in WORDS["tea"].split() for n in range(8)]
    router = MAKES[name](encoder, features=loud).fit(texts, ["loud" if "!" in text else "calm" for text in texts])
    found = router.predict_proba(["oolong 3", "oolong 3!"])
    assert [router.labels[n] for n in found.argmax(axis=1)] == ["calm", "loud"]


def test_balanced_or_not_decides_the_prior(encoder: Encoder) -> None:
    texts, labels = [f"{n} thing" for n in range(80)], ["rare" if n % 8 == 0 else "often" for n in range(80)]
    assert LogisticRouter(encoder, balanced=False).fit(texts, labels).predict_proba(["nobody knows"])[0, 1] == pytest.approx(
        0.125, abs=0.08
    )
    assert LogisticRouter(encoder).fit(texts, labels).predict_proba(["nobody knows"])[0, 1] == pytest.approx(0.5, abs=0.15)


def test_guesses_repeat_and_the_majority_states_the_shares(encoder: Encoder) -> None:
    texts = [*TEXTS, "more tea"]
    guess, shares = (cls(encoder).fit(texts, [*LABELS, "tea"]) for cls in (RandomRouter, MajorityRouter))
    found = guess.predict_proba(["a", "b", "a"])
    assert found[0].tolist() == found[2].tolist() != found[1].tolist()
    assert RandomRouter(encoder, seed=1).fit(TEXTS, LABELS).predict_proba(["a"])[0].tolist() != found[0].tolist()
    np.testing.assert_allclose(shares.predict_proba(["a", "b"]), [[28 / 85, 29 / 85, 28 / 85]] * 2)


def test_kinds_are_found_by_name(encoder: Encoder) -> None:
    assert KINDS == ("similarity", "logistic", "xgboost", "transformer", "llm", "random", "majority")
    assert new_router("logistic", encoder, strength=2.0).strength == 2.0
    with pytest.raises(UnknownNameError, match=r"No router is called 'magic'\. Known: similarity, logistic"):
        check_kind("magic")
