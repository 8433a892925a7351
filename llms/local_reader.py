"""The two models that need no key and no download: they quote the sentences of the passages that answer the question.

`local:reader` reads the few passages it is given; `local:deep-reader` is given more, of all experts. Both answer in up to eight sentences,
fewer where the first ones are likely enough. They read only `additional_kwargs["passages"]` of the last human message, say so when the
passages do not answer, and invent nothing: each sentence stands word for word in the passage that is cited behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict

from core.errors import RejectedRequestError
from core.types import NO_ANSWER
from retrieval.ranking import needs_context
from retrieval.reader import Reader, Sentence
from retrieval.text import sentences

_SENTENCES = 8
_CLOSE = 0.035
"""A further sentence is added when its probability is at least this share of the best one's."""
_LEADS = 0.25
"""A sentence before the best one of its passage is quoted when its probability is at least this share of that one's."""
_CITED = re.compile(r"(?<=\]\s)")
"""Where a sentence with its marker ends."""
FLOOR = 0.06
"""Passages that answer with less than this probability are not quoted: 99% of the experts' `dev` questions lie above."""


class LocalReader(BaseChatModel):
    """Extractive answers. `name` is reader or deep-reader. Quoted sentences have no token log-probabilities."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    name: str = "reader"
    reader: Any

    @property
    def _llm_type(self) -> str:
        return f"local-{self.name}"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages))

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        question, passages = _last_question(messages)
        taken = self._taken(question, passages)
        text = _compose(taken, passages) if taken else NO_ANSWER
        for cited in _CITED.split(text):
            piece = ChatGenerationChunk(message=AIMessageChunk(content=cited))
            if run_manager:
                run_manager.on_llm_new_token(piece.text, chunk=piece)
            yield piece
        read = sum(len(str(p["text"])) for p in passages) + len(question)
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata={"input_tokens": read // 4, "output_tokens": len(text) // 4, "total_tokens": read // 4 + len(text) // 4},
                response_metadata={"finish_reason": "stop"},
            )
        )

    def _taken(self, question: str, passages: Sequence[Mapping[str, Any]]) -> list[Sentence]:
        reader: Reader = self.reader
        ranked = reader.rank(question, passages)
        if sum(sentence.score for sentence in ranked) < FLOOR:
            return []
        taken: dict[str, Sentence] = {}
        for sentence in ranked:
            if len(taken) == _SENTENCES or sentence.score < _CLOSE * ranked[0].score:
                break
            taken.setdefault(sentence.text, sentence)
        return list(taken.values())


def _last_question(messages: Sequence[BaseMessage]) -> tuple[str, list[dict[str, Any]]]:
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            extra = message.additional_kwargs
            return str(extra.get("question") or message.text), list(extra.get("passages") or [])
    raise RejectedRequestError("A local reader expects a human message with passages; it got none.")


def _compose(taken: Sequence[Sentence], passages: Sequence[Mapping[str, Any]]) -> str:
    """The best sentence's passage first; of each passage its own best sentence and what follows it, in reading order.

    What stands before that comes along when it is nearly as good: an answer begins with what was asked.
    """
    parts = []
    for n in dict.fromkeys(s.passage for s in taken):
        split = sentences(str(passages[n]["text"]))
        best, *others = (s for s in taken if s.passage == n)
        positions = {best.position, *(s.position for s in others if s.position > best.position or s.score >= _LEADS * best.score)}
        # A sentence that points back is only understood together with the one before it.
        positions |= {p - 1 for p in positions if p and needs_context(split[p])}
        parts.append(" ".join(f"{split[p]} [{n + 1}]" for p in sorted(positions)))
    return "\n\n".join(parts)
