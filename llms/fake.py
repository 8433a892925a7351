"""A chat model that says what it was told to say. It ships, so that the app and the tests of others run with no key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field


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
        if not self.replies:
            raise AssertionError(f"The scripted model has no reply left for call {len(self.history)}: {_last(messages)!r}")
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        pieces = [reply] if isinstance(reply, str) else reply
        for piece in pieces:
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if run_manager:
                run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk
        end = AIMessageChunk(content="", usage_metadata=_usage(messages, pieces), response_metadata={"finish_reason": "stop"})
        yield ChatGenerationChunk(message=end)


def _usage(messages: Sequence[BaseMessage], pieces: Sequence[str]) -> UsageMetadata:
    read = max(1, sum(len(m.text) for m in messages) // 4)
    written = max(1, len("".join(pieces)) // 4)
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _last(messages: Sequence[BaseMessage]) -> str:
    return messages[-1].text[:80] if messages else ""
