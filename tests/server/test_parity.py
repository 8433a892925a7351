"""The same questions through Python, the command, HTTP and OpenAI's client: the same expert, citations, confidence and cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from openai import OpenAI

import graph
from tests.server.conftest import Running, chat, streamed
from tests.ui.conftest import run, switchyard  # noqa: F401  # the command in this process

QUESTIONS = [
    "How long does green tea steep?",
    "How long does black tea steep, and why is it bitter?",
    "How long does a summer worker live?",
    "Who decoded the dance of the bees?",
    "How hot should the water be for green tea?",
    "What is honey made of?",
    "Who won the world cup in 1966?",
    "Thank you!",
    "2 + 2",
    "Wie lange zieht grüner Tee?",
]


def told(answer: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on the way in."""
    return {name: answer[name] for name in ("answer", "expert", "citations", "confidence", "outcome", "cost_usd", "notices", "grounded")}


def test_one_answer_whatever_the_way_in(serve: Callable[..., Running], switchyard: Any) -> None:  # noqa: F811
    from graph.services import Services

    services = Services()
    on = serve(services)
    with OpenAI(base_url=f"{on.url}/v1", api_key="unused", max_retries=0) as client:
        for question in QUESTIONS:
            python = told(graph.ask(question).as_dict())
            command = told(json.loads(switchyard("ask", question, "--json").out))
            http = told(chat(on.http, question).json()["switchyard"])
            stream = told(streamed(on.http, question)[-1].whole["switchyard"])
            completion = client.chat.completions.create(model="switchyard", messages=[{"role": "user", "content": question}])
            openai = told((completion.model_extra or {})["switchyard"])
            assert command == http == stream == openai == python, question
    services.engine.dispose()
