"""What the three servers of the benchmark serve. The settings come from the environment; the model is scripted and takes 300 ms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

from fastapi import FastAPI
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from benchmarks.load import MODEL_S
from graph.app import Compiled, build_graph
from graph.services import Services
from server.app import serve
from server.schema import ChatRequest


class TimedModel(BaseChatModel):
    """Waits for MODEL_S, and quotes the beginning of the first passage. Waiting costs no CPU, as with a hosted model."""

    @property
    def _llm_type(self) -> str:
        return "timed"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        time.sleep(MODEL_S)
        return _result(messages)

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        await asyncio.sleep(MODEL_S)
        return _result(messages)

    def _stream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        time.sleep(MODEL_S)
        yield ChatGenerationChunk(message=AIMessageChunk(content=_quote(messages), response_metadata={"finish_reason": "stop"}))


def _result(messages: list[BaseMessage]) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=AIMessage(_quote(messages)))])


def _quote(messages: list[BaseMessage]) -> str:
    passages = messages[-1].additional_kwargs.get("passages")
    return str(passages[0]["text"]).partition(". ")[0] + "." if passages else "Yes."


@cache
def _services() -> Services:
    return Services(load=lambda *_: TimedModel())


def ours() -> FastAPI:
    """Switchyard's own server."""
    return serve(_services)


async def make_graph() -> Compiled:
    """The same graph, for the LangGraph server."""
    return await asyncio.to_thread(lambda: build_graph(_services()))


def bare() -> FastAPI:
    """The floor: a route that takes the same request, awaits the model and stores nothing."""
    app, model = FastAPI(), TimedModel()

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/v1/chat/completions")
    async def chat(body: ChatRequest) -> dict[str, Any]:
        said = await model.ainvoke([HumanMessage(body.messages[-1].text)])
        return {"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": said.text}}]}

    return app
