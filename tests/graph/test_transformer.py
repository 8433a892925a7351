"""The router that fine-tunes its encoder, on a BERT of two thin layers made here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import IndexFault, InputError
from core.settings import ROOT
from core.types import OUT_OF_SCOPE
from graph.routers import transformer
from graph.routers.kinds import load_router
from graph.routers.transformer import FEW_LABELS, TransformerRouter
from retrieval.encoder import Encoder
from tests.graph import tiny_bert
from tests.graph.test_router_kinds import LABELS, TEXTS, WORDS

ASKED = ["oolong teapot leaves", "wax queen worker hive", "museum guitar lottery"]
RIGHT = ["tea", "bees", OUT_OF_SCOPE]
STEMS = "abcdefghijk"
INTENTS = [f"intent{n}" for n in range(FEW_LABELS + 1)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    stems = [*STEMS, *(f"{stem}{n}" for stem in STEMS for n in range(8))]
    return tiny_bert.make(tmp_path_factory.mktemp("base"), [*stems, *" ".join(WORDS.values()).split()])


@pytest.fixture(scope="module")
def trained(base: str) -> TransformerRouter:
    return TransformerRouter(Nothing(), base=base, epochs=4).fit(TEXTS, LABELS)


class Nothing:
    """The application's encoder, which this router has no use for."""

    fingerprint, dimensions = "nothing", 1

    def encode(self, texts: Any) -> Any:
        raise AssertionError("the router brings its own encoder")


def leading(router: Any, texts: list[str]) -> list[str]:
    return [router.labels[n] for n in router.predict_proba(texts).argmax(axis=1)]


def test_the_right_label_leads(trained: TransformerRouter) -> None:
    assert trained.labels == ["bees", "tea", OUT_OF_SCOPE]
    assert leading(trained, ASKED) == RIGHT
    np.testing.assert_allclose(trained.predict_proba(ASKED).sum(axis=1), 1)


def test_every_batch_is_a_step(base: str) -> None:
    steps: list[tuple[str, int]] = []
    TransformerRouter(Nothing(), base=base, epochs=3, on_step=lambda *step: steps.append(step)).fit(TEXTS, LABELS)
    # 84 texts, 75 of them in the first two epochs: two batches of at most 64 each.
    assert steps == [("Training", 6)] * 6


def reopened(router: TransformerRouter, folder: Path, encoder: Encoder) -> Any:
    """The router saved and opened again, which says the same."""
    router.save(folder)
    opened: Any = load_router(folder, encoder)
    np.testing.assert_array_equal(opened.predict_proba(ASKED), router.predict_proba(ASKED))
    np.testing.assert_array_equal(opened.left_out_proba(TEXTS[:3]), router.left_out_proba(TEXTS[:3]))
    assert opened.nearest("honey queen", 2) == router.nearest("honey queen", 2)
    return opened


def test_a_saved_router_says_the_same(trained: TransformerRouter, tmp_path: Path, encoder: Encoder) -> None:
    reopened(trained, tmp_path / "router", encoder)
    about = json.loads((tmp_path / "router" / "about.json").read_text())
    assert about["settings"] == {"balanced": True, "seed": 0, "base": trained.base, "epochs": 4, "blend": 1.0, "layers": 0}


def test_the_nearest_examples(trained: TransformerRouter) -> None:
    first, second = trained.nearest("honey queen", 2)
    assert (first.text, first.label) == ("honey queen", "bees")
    assert first.similarity == pytest.approx(1, abs=0.02)
    assert first.similarity >= second.similarity


def test_a_question_that_another_thread_asks_meanwhile_changes_nothing(trained: TransformerRouter) -> None:
    class Interrupted(str):
        """Whoever compares it is interrupted by another question."""

        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            trained.scores(["oolong teapot leaves"])
            return str.__eq__(self, other)

    expected = trained.nearest("honey queen", 2)
    assert trained.nearest(Interrupted("honey queen"), 2) == expected
    assert [found.label for found in expected] == ["bees", "bees"]


def test_left_out_examples_are_judged_without_their_own_vote(trained: TransformerRouter) -> None:
    own = [trained.labels.index(label) for label in LABELS]
    rows = np.arange(len(TEXTS))
    assert trained.left_out_proba(TEXTS)[rows, own].mean() < trained.predict_proba(TEXTS)[rows, own].mean()
    np.testing.assert_array_equal(trained.left_out_proba(["a text of no example"]), trained.predict_proba(["a text of no example"]))


def test_without_blend_the_encoder_stays_as_it_was(base: str) -> None:
    """Two trainings of other lengths, blended away, leave the same space."""
    short, long = (TransformerRouter(Nothing(), base=base, epochs=n, blend=0.0).fit(TEXTS, LABELS) for n in (1, 3))
    np.testing.assert_array_equal(short.nearest("honey queen", 3), long.nearest("honey queen", 3))
    tuned = TransformerRouter(Nothing(), base=base, epochs=3).fit(TEXTS, LABELS)
    assert tuned.nearest("honey wax guitar", 3) != long.nearest("honey wax guitar", 3)


@pytest.fixture(scope="module")
def in_two_steps(base: str) -> TransformerRouter:
    steps: list[tuple[str, int]] = []
    router = TransformerRouter(Nothing(), base=base, epochs=4, layers=1, on_step=lambda *step: steps.append(step)).fit(TEXTS, LABELS)
    # 84 texts, each of them altered twice: three batches of at most 96, ten times.
    assert [step for step in steps if step[0] == "Distilling"] == [("Distilling", 30)] * 30
    return router


def test_the_small_encoder_decides_what_is_clear_and_the_whole_one_the_rest(
    in_two_steps: TransformerRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert leading(in_two_steps, ASKED) == RIGHT
    small, whole = in_two_steps._small, in_two_steps._whole
    assert small and whole
    by_small = in_two_steps._small_calibration.probabilities(small.scores(ASKED))
    by_whole = in_two_steps.calibration.probabilities(whole.scores(ASKED))
    for bounds, expected in (((0.0, 0.0), by_small), ((0.0, 1.1), by_whole)):
        monkeypatch.setattr(transformer, "CLEAR", bounds)
        np.testing.assert_allclose(in_two_steps.predict_proba(ASKED), expected, atol=1e-9)
    # Out of scope to the one, not clearly to the other: the rows in between are the whole one's.
    monkeypatch.setattr(transformer, "CLEAR", (by_small[2, -1], 1.1))
    np.testing.assert_allclose(in_two_steps.predict_proba(ASKED), np.vstack([by_small[:2], by_whole[2:]]), atol=1e-9)


def test_both_encoders_are_saved_and_calibrated(in_two_steps: TransformerRouter, tmp_path: Path, encoder: Encoder) -> None:
    opened = reopened(in_two_steps, tmp_path / "router", encoder)
    whole, small = ((tmp_path / "router" / name).stat().st_size for name in ("model.onnx", "small-model.onnx"))
    assert small < whole
    opened.calibrate(ASKED, RIGHT)
    assert opened._small_calibration != in_two_steps._small_calibration


def test_layers_that_the_base_lacks_are_refused_before_training(base: str) -> None:
    steps: list[str] = []
    router = TransformerRouter(Nothing(), base=base, layers=99, on_step=lambda what, total: steps.append(what))
    with pytest.raises(InputError, match=r"layers from 1 to \d+, as many as the base model has; got 99"):
        router.fit(TEXTS, LABELS)
    assert steps == []


def test_no_small_encoder_where_nothing_is_out_of_scope(base: str) -> None:
    inside = [(text, label) for text, label in zip(TEXTS, LABELS, strict=True) if label != OUT_OF_SCOPE]
    router = TransformerRouter(Nothing(), base=base, epochs=1, layers=1).fit(*zip(*inside, strict=True))
    assert router._small is None


@pytest.mark.parametrize("bank", [[], [(f"{word} {n}", OUT_OF_SCOPE) for n, word in enumerate(WORDS[OUT_OF_SCOPE].split())]])
def test_many_labels_have_prototypes(base: str, bank: list[tuple[str, str]]) -> None:
    rows = [(f"{stem}{n} {stem}", intent) for stem, intent in zip(STEMS, INTENTS, strict=True) for n in range(8)] + bank
    router = TransformerRouter(Nothing(), base=base, epochs=8).fit([t for t, _ in rows], [label for _, label in rows])
    asked = [f"{stem} {stem}1" for stem in STEMS]
    inside = router.predict_proba(asked)[:, : len(INTENTS)]
    assert sum(router.labels[n] == intent for n, intent in zip(inside.argmax(axis=1), INTENTS, strict=True)) >= 9
    strange = ["museum planet weather"]
    assert router.nearest(asked[0], 3) == []
    assert router.familiarity(strange)[0] < router.familiarity(asked).min()
    if bank:
        assert router.predict_proba(strange)[0, -1] > router.predict_proba(asked)[:, -1].max()


def test_a_base_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^Expected a BERT or RoBERTa model at .*nothing'; it cannot be loaded: "):
        TransformerRouter(Nothing(), base=str(tmp_path / "nothing")).fit(TEXTS, LABELS)


def test_a_broken_model_says_what_to_do(trained: TransformerRouter, tmp_path: Path, encoder: Encoder) -> None:
    trained.save(tmp_path / "router")
    (tmp_path / "router" / "model.onnx").write_bytes(b"cut short")
    with pytest.raises(IndexFault, match=r"cannot be read: its files are not those .* Run: switchyard train router --kind transformer$"):
        load_router(tmp_path / "router", encoder)


def test_serving_needs_no_torch(trained: TransformerRouter, tmp_path: Path) -> None:
    trained.save(tmp_path / "router")
    code = (
        "import sys; from pathlib import Path; from graph.routers.transformer import TransformerRouter;"
        "router = TransformerRouter.load(Path(sys.argv[1]), None); p = router.predict_proba(['honey queen'])[0];"
        "print(router.labels[p.argmax()], [m for m in ('torch', 'transformers', 'sklearn', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "router")], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("bees []\n", "")
