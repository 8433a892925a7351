"""`switchyard train confidence` from the command line."""

from __future__ import annotations

import pytest


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


def test_a_check_shows_the_choice_and_writes_nothing(switchyard, tiny_settings):
    path = tiny_settings.home / "policy.toml"
    shown = switchyard("train", "confidence", "--target", "superior-share=0.3", "--check")
    assert (shown.status, path.exists()) == (0, False), shown.err
    written = switchyard("train", "confidence", "--target", "superior-share=0.3")
    assert written.out == f"{shown.out}Policy: {path}\n"
    assert path.exists()
