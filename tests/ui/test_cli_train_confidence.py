"""`switchyard train confidence` from the command line."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from core.files import write_json
from graph.learnt import Recalibration, confidence_identity
from graph.policy import load_policy
from graph.services import Services
from graph.versions import CONFIDENCE, NAME, packed
from store.versions import Version, add
from tests.ui.conftest import point_at


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "Expected 5 or more different questions with the split `dev` in the experts' questions.csv; found 4. Add some."),
        (["--delta", "0.1"], "Expected --target superior-share=0.3, max-risk=0.05 or budget=0.002; got ''."),
        (["--target", "superior-share=0.3", "--delta", "0.1"], "Expected --delta with --target max-risk alone;"),
    ],
)
def test_what_cannot_be_done_is_one_line_before_anything_is_answered(switchyard, arguments, line):
    result = switchyard("train", "confidence", *arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"Error: {line}")
    assert result.err.count("\n") == 1


def test_nothing_can_be_shown_without_test_questions(switchyard, own_experts, monkeypatch):
    for path in own_experts.experts_dir.glob("*/questions.csv"):
        path.write_text(path.read_text().replace(",test", ",dev"))
    monkeypatch.setenv("SWITCHYARD_EXPERTS", str(own_experts.experts_dir))
    result = switchyard("train", "confidence", "--check")
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("Error: Expected 1 or more different questions with the split `test`")


def test_a_check_measures_what_ships_whatever_feedback_taught(switchyard, tiny, tmp_path):
    before = switchyard("train", "confidence", "--check").out
    assert before.splitlines()[-1] == f"Weights: {tiny.settings.artifacts_dir / 'confidence' / 'weights.json'}"
    taught = Recalibration(confidence_identity(tiny.shipped_confidence), (1.0, -3.0), (1.0, -3.0), [])
    (tmp_path / "version").mkdir()
    write_json(tmp_path / "version" / CONFIDENCE, asdict(taught))
    add(tiny.engine, NAME, Version(1, 0, 1.0, True, {}), packed(tmp_path / "version"))
    assert Services(tiny.settings).confidence == taught.applied(tiny.shipped_confidence)
    assert switchyard("train", "confidence", "--check").out == before


@pytest.mark.parametrize(
    ("variable", "folder", "arguments"),
    [("SWITCHYARD_ARTIFACTS", "file/confidence", []), ("SWITCHYARD_HOME", "file", ["--target", "superior-share=0.3"])],
)
def test_what_cannot_be_written_is_said_before_anything_is_answered(run, tiny_settings, monkeypatch, tmp_path, variable, folder, arguments):
    monkeypatch.setattr("evaluation.cases.cases", lambda *_, **__: pytest.fail("answered"))
    (tmp_path / "file").touch()
    point_at(monkeypatch, tiny_settings)
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    monkeypatch.setattr("experts.check.check_questions", lambda *_: None)
    monkeypatch.setattr("training.thresholds.read_candidates", lambda *_: pytest.fail("read"))
    result = run("train", "confidence", *arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"Error: Cannot write to {tmp_path / folder}: ")
    assert result.err.endswith(f"file is no folder that you may write to. Choose another: {variable}=DIR\n")


def test_a_check_shows_the_choice_and_writes_nothing(switchyard, tiny_settings):
    path = tiny_settings.home / "policy.toml"
    shown = switchyard("train", "confidence", "--target", "superior-share=0.3", "--check")
    assert (shown.status, path.exists()) == (0, False), shown.err
    written = switchyard("train", "confidence", "--target", "superior-share=0.3")
    assert written.out == f"{shown.out}Policy: {path}\n"
    assert load_policy(tiny_settings.home, path).confidence == confidence_identity(Services(tiny_settings).confidence)
