"""One document that cannot be read: its expert says so, and the others answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.errors import DocumentError
from core.settings import Settings
from core.types import Notice, Outcome
from tests.graph.conftest import BAD, GOOD, QUESTION, Table

Make = Callable[..., Table]


@pytest.fixture
def broken(own_experts: Settings) -> dict[str, object]:
    """Settings over experts of which `bees` has a document that cannot be read."""
    (own_experts.experts_dir / "bees" / "corpus" / "broken.txt").write_bytes(b"\xff\xfe\xff")
    return {"experts_dir": own_experts.experts_dir, "indexes_dir": own_experts.indexes_dir}


def fault(own_experts: Settings) -> str:
    path = own_experts.experts_dir / "bees" / "corpus" / "broken.txt"
    return f"{path}: expected UTF-8 text. Convert it, or move it out of the corpus."


def test_the_other_experts_answer_and_escalate(table: Make, broken: dict[str, object]) -> None:
    answer = table([BAD, BAD], [GOOD], **broken).ask()
    assert (answer.outcome, answer.expert, answer.answer) == (Outcome.ESCALATED, "tea", f"{GOOD} [1]")


def test_the_expert_itself_says_which_document_it_is(table: Make, broken: dict[str, object], own_experts: Settings) -> None:
    with pytest.raises(DocumentError) as info:
        table([GOOD], **broken).ask("Who decoded the dance of the bees?")
    assert str(info.value) == fault(own_experts)


@pytest.mark.parametrize(("weak", "strong", "outcome"), [([GOOD], [], Outcome.ANSWERED), ([BAD, BAD], [GOOD], Outcome.ESCALATED)])
def test_of_two_experts_the_one_that_can_be_read_answers(
    table: Make, broken: dict[str, object], own_experts: Settings, weak: list[str], strong: list[str], outcome: Outcome
) -> None:
    answer = table(weak, strong, policy={"both_at": 0.0}, **broken).ask(QUESTION)
    assert (answer.outcome, answer.answer, answer.expert) == (outcome, f"{GOOD} [1]", ["tea", "bees"])
    assert answer.notices == [Notice("fallback", f"bees could not be asked: {fault(own_experts)}")]
    assert {m.model for m in answer.models} == ({"fake:weak", "fake:strong"} if strong else {"fake:weak"})


def test_an_expert_that_is_mended_answers_at_once(table: Make, broken: dict[str, object], own_experts: Settings) -> None:
    t = table(["Karl von Frisch decoded the dance of the bees."], **broken)
    with pytest.raises(DocumentError):
        t.ask("Who decoded the dance of the bees?")
    (own_experts.experts_dir / "bees" / "corpus" / "broken.txt").unlink()
    assert t.ask("Who decoded the dance of the bees?").outcome is Outcome.ANSWERED
