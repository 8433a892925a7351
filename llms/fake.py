"""Chat models that say what they are told to say. They ship, so that the app and the tests of others run with no key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field

Piece = str | AIMessageChunk


class ScriptedModel(BaseChatModel):
    """Gives its `replies` in order, one a call: a text, the pieces of a text, or an exception that is raised.

    `history` holds the messages of every call. A call beyond the last reply raises AssertionError.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    replies: list[str | list[str] | Exception]
    history: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        self.history.append(list(messages))
        pieces = self._reply(messages)
        for piece in pieces:
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece) if isinstance(piece, str) else piece)
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
        end = AIMessageChunk(content="", usage_metadata=_usage(messages, pieces), response_metadata={"finish_reason": "stop"})
        yield ChatGenerationChunk(message=end)

    def _reply(self, messages: Sequence[BaseMessage]) -> Sequence[Piece]:
        """The pieces of the next reply."""
        if not self.replies:
            raise AssertionError(f"The scripted model has no reply left for call {len(self.history)}: {_last(messages)!r}")
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return [reply] if isinstance(reply, str) else reply


class ObedientModel(ScriptedModel):
    """Does what it reads, wherever that stands: says what every order tells it to say, calls a tool for it, and ends with `answer`.

    orders: an order -> what to say then; `{system}` in it stands for the model's own instructions. An order is known by its letters and
    digits alone, however it was cut, cleaned or wrapped on its way.
    """

    replies: list[str | list[str] | Exception] = Field(default_factory=list)
    orders: Mapping[str, str]
    answer: str

    def _reply(self, messages: Sequence[BaseMessage]) -> Sequence[Piece]:
        said = [says.replace("{system}", messages[0].text) for says in self.told(messages)]
        tools = [tool_call_chunk(name="obey", args="{}", id=str(n), index=n) for n in range(len(said))]
        return [AIMessageChunk(content="", tool_call_chunks=tools), "\n\n".join([*said, self.answer])]

    def told(self, messages: Sequence[BaseMessage]) -> list[str]:
        """What the orders in these messages tell it to say."""
        read = _letters("\n".join(m.text for m in messages))
        return [says for order, says in self.orders.items() if _letters(order) in read]


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()


def _usage(messages: Sequence[BaseMessage], pieces: Sequence[Piece]) -> UsageMetadata:
    read = max(1, sum(len(m.text) for m in messages) // 4)
    written = max(1, sum(len(piece if isinstance(piece, str) else piece.text) for piece in pieces) // 4)
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _last(messages: Sequence[BaseMessage]) -> str:
    return messages[-1].text[:80] if messages else ""
