"""Training a router: what is written, measured and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import IndexFault, InputError, UnknownNameError
from graph.nodes.route import find_route
from graph.routers.saved import FORMAT, read_about
from graph.services import Services
from tests.evaluation.test_data import written
from tests.graph.test_router_kinds import LABELS, TEXTS, WORDS, obedient
from training.router import Data, data_of, own_data, parse_settings, train


def files(folder: Path) -> tuple[Path, Path]:
    rows = [{"text": text, "intent": "oos" if label == "out_of_scope" else label} for text, label in zip(TEXTS, LABELS, strict=True)]
    asked = [{"text": f"the {words.split()[0]} and {words.split()[3]}", "intent": label} for label, words in WORDS.items()]
    return written(folder / "train.jsonl", *rows), written(folder / "test.jsonl", *asked)


def test_a_router_for_the_experts_is_written_found_and_used(tiny: Services) -> None:
    with pytest.raises(IndexFault, match=r"Expected a trained router in .*; found none. Run: switchyard train router --kind logistic"):
        tiny.router("logistic")
    folder = tiny.settings.home / "routers" / "logistic"
    shown: list[tuple[str, int]] = []

    def progress(what: str, total: int) -> Any:
        shown.append((what, total))
        return lambda done: None

    numbers = train(tiny, "logistic", own_data(tiny), folder, progress=progress)
    assert [what for what, _ in shown] == ["Encoding", "Fitting (logistic)", "Measuring"]
    about = read_about(folder)
    assert about["metrics"] == numbers
    assert about["settings"] == {"balanced": True, "seed": 0, "strength": 30.0, "landmarks": 2500}
    assert numbers["accuracy"] > 0.6
    assert {"macro_f1", "ece", "size_mb", "fit_s", "latency_p50_ms"} <= set(numbers)
    found = find_route(tiny, "how is honey made in the hive", kind="logistic")
    assert (found.expert, found.router) == ("bees", "logistic")
    assert find_route(Services(tiny.settings.model_copy(update={"router": "logistic"})), "how is honey made").router == "logistic"


def test_one_that_was_trained_again_is_opened_anew(tiny: Services) -> None:
    folder = tiny.settings.home / "routers" / "logistic"
    train(tiny, "logistic", own_data(tiny), folder)
    first = tiny.router("logistic")
    assert tiny.router("logistic") is first
    train(tiny, "logistic", own_data(tiny), folder, seed=1)
    assert tiny.router("logistic") is not first


def test_any_labels_from_files(tiny: Services, tmp_path: Path) -> None:
    learnt, asked = files(tmp_path)
    numbers = train(tiny, "xgboost", data_of(learnt, asked, {"label": "intent"}), tmp_path / "mine")
    about = json.loads((tmp_path / "mine" / "about.json").read_text())
    assert about["labels"] == ["bees", "tea", "out_of_scope"]
    assert (about["rows"], about["trained_on"]) == (len(TEXTS), "train.jsonl, measured on test.jsonl")
    assert numbers["accuracy"] >= 2 / 3
    assert "accuracy" not in train(tiny, "logistic", data_of(learnt, None, {"label": "intent"}), tmp_path / "other")


def test_a_router_for_other_experts_is_refused(tiny: Services, tmp_path: Path) -> None:
    rows = ({"text": f"{label} {n}", "label": label} for label in ("wasps", "ants") for n in range(5))
    train(tiny, "logistic", data_of(written(tmp_path / "t.jsonl", *rows), None, {}), tiny.settings.home / "routers" / "logistic")
    with pytest.raises(IndexFault, match=r"knows ants, wasps; expected bees, out_of_scope, tea. Run: switchyard train router"):
        tiny.router("logistic")


def test_an_interrupted_training_leaves_the_old_router(tiny: Services) -> None:
    folder = tiny.settings.home / "routers" / "logistic"
    train(tiny, "logistic", own_data(tiny), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def interrupted(what: str, total: int) -> Any:
        if what.startswith("Fitting"):
            raise KeyboardInterrupt
        return lambda done: None

    with pytest.raises(KeyboardInterrupt):
        train(tiny, "logistic", own_data(tiny), folder, seed=5, progress=interrupted)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_routers_that_need_no_training_answer_at_once(tiny: Services) -> None:
    share = tiny.router("majority").predict_proba(["anything", "else"])
    assert share[0].tolist() == share[1].tolist()
    assert tiny.router("random").labels == tiny.router().labels
    with pytest.raises(InputError, match="The router majority has nothing to learn"):
        train(tiny, "majority", own_data(tiny), tiny.settings.home / "x")
    with pytest.raises(UnknownNameError, match="No router is called 'magic'"):
        train(tiny, "magic", own_data(tiny), tiny.settings.home / "x")


def test_a_trained_similarity_takes_the_place_of_the_one_that_fits_itself(tiny: Services) -> None:
    assert tiny.router() is tiny.similarity
    train(tiny, "similarity", own_data(tiny), tiny.settings.home / "routers" / "similarity")
    assert tiny.router() is not tiny.similarity
    np.testing.assert_allclose(tiny.router().predict_proba(["green tea"]), tiny.similarity.predict_proba(["green tea"]), atol=1e-6)


def test_the_llm_keeps_its_model_and_what_it_was_told(tiny: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Services, "ask", lambda self, spec, messages: obedient(spec, messages))
    folder = tiny.settings.home / "routers" / "llm"
    train(tiny, "llm", own_data(tiny), folder, model="openai:weak")
    settings = read_about(folder)["settings"]
    assert settings["model"] == "openai:weak"
    assert settings["descriptions"] == {name: expert.card.description for name, expert in tiny.experts.items()}
    assert tiny.router("llm").predict_proba(["brew steep leaves"])[0].argmax() == tiny.router("llm").labels.index("tea")


def test_settings_are_read_as_what_they_are() -> None:
    assert parse_settings("similarity", ["method=centroids", "ridge=1"]) == {"method": "centroids", "ridge": 1.0}
    assert parse_settings("transformer", ["epochs=3", "base=roberta-base"]) == {"epochs": 3, "base": "roberta-base"}
    with pytest.raises(UnknownNameError, match=r"^No parameter of the router logistic is called 'depth'\. Known: strength, landmarks\.$"):
        parse_settings("logistic", ["depth=3"])
    with pytest.raises(InputError, match=r"^Expected --set epochs=NUMBER, for example epochs=6; got 'epochs=many'\.$"):
        parse_settings("transformer", ["epochs=many"])


def test_a_method_is_saved_with_the_router(tiny: Services, tmp_path: Path) -> None:
    train(tiny, "similarity", own_data(tiny), tmp_path / "router", settings={"method": "centroids"})
    assert read_about(tmp_path / "router")["settings"]["method"] == "centroids"


def test_only_a_transformer_of_the_present_examples_decides(tiny: Services, tmp_path: Path) -> None:
    """`auto` falls back to similarity as soon as an example changes."""
    assert tiny.router_kind == "similarity"
    folder = tiny.settings.home / "routers" / "transformer"
    folder.mkdir(parents=True)
    for examples, kind in ((tiny.examples_hash, "transformer"), ("those of yesterday", "similarity")):
        (folder / "about.json").write_text(json.dumps({"format": FORMAT, "kind": "transformer", "examples": examples}))
        assert Services(tiny.settings).router_kind == kind


def test_a_damaged_transformer_is_told_not_passed_over(tiny: Services) -> None:
    (tiny.settings.home / "routers" / "transformer").mkdir(parents=True)
    (tiny.settings.home / "routers" / "transformer" / "about.json").write_text("{")
    with pytest.raises(IndexFault, match=r"cannot be read: .* Run: switchyard train router --kind transformer"):
        Services(tiny.settings).router()


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("logistic", {"strength": -1.0}, "Expected a strength above 0"),
        ("logistic", {"strength": float("nan")}, "Expected a strength above 0"),
        ("logistic", {"landmarks": -5}, "no fewer than 0 landmarks; got strength=30.0, landmarks=-5"),
        ("similarity", {"sharpness": 0.0}, "Expected a sharpness and a ridge above 0"),
        ("similarity", {"ridge": -1.0}, "Expected a sharpness and a ridge above 0"),
        ("similarity", {"method": "magic"}, "Expected a method of similarity among"),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_encoded(tiny: Services, kind: str, settings: Any, said: str) -> None:
    def progress(what: str, total: int) -> Any:
        raise AssertionError(what)

    with pytest.raises(InputError, match=said):
        train(tiny, kind, own_data(tiny), tiny.settings.home / "x", settings=settings, progress=progress)
    with pytest.raises(InputError, match="at least two labels"):
        train(tiny, kind, Data((["a", "b"], ["tea", "tea"])), tiny.settings.home / "x", progress=progress)
