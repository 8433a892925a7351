"""The router that asks a chat model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from core.errors import InputError
from core.types import OUT_OF_SCOPE
from graph.routers.llm import ChatRouter, distribution
from llms.fake import ScriptedModel
from tests.graph.conftest import GOOD, Table
from tests.graph.test_router_kinds import LABELS, TEXTS

SPEC = "openai:weak"


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ('{"tea": 0.7, "bees": 0.3}', [0.3, 0.7, 0.0]),
        ('Here you are:\n```json\n{"tea": 3, "out_of_scope": 1}\n```', [0.0, 0.75, 0.25]),
        ("tea", None),
        ("{tea: 1}", None),
        ('{"wasps": 1}', None),
        ('{"tea": "much"}', None),
        ('{"tea": -1, "bees": 2}', None),
        ('{"tea": true}', None),
        ('{"tea": 0}', None),
        ('{"tea": NaN}', None),
        ("[0.5, 0.5]", None),
        (f'{{"tea": {"9" * 400}}}', None),
        (f'{{"tea": {"9" * 5_000}}}', None),
        ('{"tea": 1e308, "bees": 1e308}', None),
        (f'{{"tea": {"[" * 100_000}}}', None),
    ],
)
def test_only_a_stated_distribution_counts(reply: str, found: list[float] | None) -> None:
    stated = distribution(reply, ["bees", "tea", OUT_OF_SCOPE])
    assert (None if stated is None else stated.tolist()) == (None if found is None else pytest.approx(found))


def test_it_is_told_labels_descriptions_and_examples(scripted: Any, encoder: Any) -> None:
    model = ScriptedModel(replies=['{"tea": 0.9, "bees": 0.1}', "I think it is tea."])
    services = scripted({SPEC: model})
    router = ChatRouter(encoder, model=SPEC, ask=services.ask, descriptions={"tea": "All about tea."}).fit(TEXTS, LABELS)
    assert model.history == []
    found = router.predict_proba(["brew oolong", "green tea"])
    np.testing.assert_allclose(found[0], np.array([0.1, 0.9, 0.01]) / 1.01, atol=1e-9)
    # What is no distribution tells nothing, and is counted.
    np.testing.assert_allclose(found[1], [1 / 3] * 3)
    assert router.unparsable == 1
    system, human = model.history[0]
    lines = str(system.content).splitlines()
    assert any(line.startswith("- tea: All about tea. (examples: ") and "oolong" in line for line in lines)
    assert any(line.startswith("- out_of_scope: belongs to none of the others (examples: ") for line in lines)
    assert human.content == "Question: brew oolong"


def test_a_model_that_is_too_sure_is_calibrated(encoder: Any) -> None:
    # Drawn at random, the held-out questions come in another order: the reply goes by the question's number.
    def sure(spec: str, messages: Any) -> str:
        return '{"tea": 0.99, "bees": 0.01}' if int(messages[-1].text.split()[-1]) % 2 == 0 else '{"bees": 0.99, "tea": 0.01}'

    router = ChatRouter(encoder, model=SPEC, ask=sure).fit(TEXTS, LABELS)
    truth = [label for n in range(40) for label in (("tea", "bees") if n % 4 else ("bees", "tea"))]
    router.calibrate([f"question {n}" for n in range(80)], truth)
    # It was right three times in four.
    assert router.predict_proba(["question 90"])[0, 1] == pytest.approx(0.75, abs=0.08)


def test_a_reader_of_passages_is_no_chat_model(encoder: Any) -> None:
    with pytest.raises(InputError, match=r"needs a chat model; local:reader only reads passages. Name one: SWITCHYARD_INFERIOR=.+--model"):
        ChatRouter(encoder, model="local:reader", ask=lambda spec, messages: "")


def test_its_call_is_in_the_turns_models_and_cost(table: Callable[..., Table]) -> None:
    made = table([GOOD], models={"openai:router": ScriptedModel(replies=['{"tea": 1}'])})
    services, home = made.services, made.services.settings.home
    ChatRouter(services.encoder, model="openai:router", ask=services.ask).fit(TEXTS, LABELS).save(home / "routers" / "llm")
    (home / "prices.toml").write_text('["openai:router"]\ninput = 0\noutput = 1000000\n')
    answer = made.ask(router="llm")
    assert [(use.model, use.cost_usd) for use in answer.models] == [("openai:router", 2.0), ("fake:weak", 0.0)]
    assert (answer.outcome, answer.cost_usd) == ("answered", 2.0)


def test_each_text_is_asked_once(encoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(spec: str, messages: Any) -> str:
        asked.append(messages[-1].text)
        return '{"tea": 1}' if "tea" in messages[-1].text else "no idea"

    router = ChatRouter(encoder, model=SPEC, ask=ask).fit(TEXTS, LABELS)
    first, familiar = router.predict_proba(["green tea", "wasps"]), router.familiarity(["green tea", "wasps"])
    assert router.predict_proba(["wasps", "green tea"]).tolist() == first[::-1].tolist()
    assert familiar[0] < familiar[1]  # what cannot be read counts as 1 for each label
    assert asked == ["Question: green tea", "Question: wasps"]
    assert (router.asked, router.unparsable) == (2, 1)
    # Other examples to show are another question.
    router.fit([*TEXTS[3:], "a new text on tea"], [*LABELS[3:], "tea"])
    router.predict_proba(["green tea"])
    assert len(asked) == 3


def test_a_model_whose_replies_all_say_nothing_calibrates_nothing(encoder: Any) -> None:
    router = ChatRouter(encoder, model=SPEC, ask=lambda spec, messages: "no idea").fit(TEXTS, LABELS)
    with pytest.raises(InputError, match=r"^None of the 3 replies of openai:weak stated probabilities\. Name another chat model"):
        router.calibrate(["a", "b", "c"], LABELS[:3])
