"""POST /v1/chat/completions: OpenAI's chat, streamed or whole. Only final text is streamed, never a draft."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.runtime import RunControl
from starlette.concurrency import run_in_threadpool

from core.pictures import marked, open_pictures
from graph.api import lone_turn, resumed_turn, turn
from graph.nodes.prepare import clean_question
from graph.services import Services
from graph.state import Context
from graph.telling import Event, Play, Tell, unheard
from graph.tracing.collector import within
from server import errors
from server.access import Caller, KeyFirst, Who
from server.budget import Account, check_budget
from server.errors import Refused
from server.markdown import Inert, sources, without_sources
from server.models import context
from server.review import shown
from server.schema import THREAD_ID, ChatCompletion, ChatRequest, Error, Message
from server.state import Shared, State
from server.threads import published, stored_name
from server.turns import Start

router = APIRouter(tags=["chat"], route_class=KeyFirst)
CLIENT_LEFT = 499
_SSE = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_STREAMED = {"text/event-stream": {"schema": {"type": "string"}}}


@router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    responses={200: {"content": _STREAMED}, **{status: {"model": Error} for status in (400, 401, 403, 404, 413, 429, 502, 503, 504)}},
)
async def chat(
    body: ChatRequest, request: Request, shared: Shared, who: Who, x_thread_id: Annotated[str | None, Header()] = None
) -> Response:
    """Ask the last message's question; the messages before it are the conversation so far.

    metadata.thread_id, or the header X-Thread-Id, goes on with a stored conversation, or begins one; then only the last message counts.
    With switchyard.review the route is answered, and waits for switchyard.resume; with that no message counts.
    """
    in_body = (body.metadata or {}).get("thread_id")
    if in_body and x_thread_id and in_body != x_thread_id:
        raise Refused(400, "thread_id: expected one; metadata.thread_id and X-Thread-Id differ. Send either.", param="thread_id")
    thread = in_body or x_thread_id or None
    if thread and not re.fullmatch(THREAD_ID, thread):
        raise Refused(400, "thread_id: expected 1 to 64 letters, digits, - and _.", param="thread_id")
    # What may wait for a file, the database or a picture does so in a thread; the rest is done before one would have begun.
    waits = shared.not_ready or who.key or body.messages[-1].pictures
    given = shared, who, body, thread, request.headers
    start = await run_in_threadpool(_prepared, *given) if waits else _prepared(*given)
    played = shared.turns.play(start)
    reply = _Reply(body.model, who)
    if body.stream:
        usage = bool(body.stream_options and body.stream_options.include_usage)
        return StreamingResponse(reply.streamed(played, usage=usage), media_type="text/event-stream", headers=_SSE)
    return await _unless_left(request, reply.whole(played))


def _prepared(shared: State, who: Caller, body: ChatRequest, thread: str | None, headers: Mapping[str, str]) -> Start:
    """What a thread will do for the answer. Whatever is wrong with the request is said now, before a stream begins."""
    services, asked = shared.services(), body.messages[-1]
    pictures = open_pictures(asked.pictures)
    chosen = replace(context(services, body.model, who.owner, pictures), key_id=who.key_id, live=bool(body.stream))
    question = clean_question(asked.text, services.settings.max_question_chars, needed=not pictures)
    check_budget(services, who)
    review, resume = body.switchyard.review, body.switchyard.resume
    if (review or resume) and not thread:
        raise Refused(400, "switchyard.review and switchyard.resume need a thread_id: the route waits in its thread.", param="thread_id")
    chosen = replace(chosen, review=review or resume is not None)

    def start(control: RunControl, tell: Tell) -> None:
        play = _play(services, question, chosen, body, thread and stored_name(who, thread))
        with within(headers, services.settings), Account(services, who) as account:
            last = play(control, _of_tokens(tell) if body.stream else unheard)
            # A route that waits is paid for now: the answer, should there be one, does not count it again.
            account.pay(last["data"]["cost_usd"])
            shared.metrics.asked(last["data"]["models"])
            if last["type"] == "answer":
                shared.metrics.answered(last["data"])
        for event in shown(last["data"]) if last["type"] == "review" else [last]:
            tell(event)

    return start


def _play(services: Services, question: str, chosen: Context, body: ChatRequest, thread: str | None) -> Play:
    if thread and body.switchyard.resume:
        return resumed_turn(body.switchyard.resume, chosen, thread, services)
    if thread:
        return turn(question, chosen, thread, services)
    said = history(body.messages[:-1], services.settings.max_question_chars)
    return lone_turn([*said, HumanMessage(question)], chosen, services)


def _of_tokens(tell: Tell) -> Tell:
    """What passes on only the answer's text: every event wakes the event loop, and the others are not sent."""

    def pass_on(event: Event) -> None:
        if event["type"] == "token":
            tell(event)

    return pass_on


def history(messages: Sequence[Message], limit: int) -> list[AnyMessage]:
    """The conversation before the question: what was asked and answered, each at most `limit` characters, a mark for its pictures."""
    said: list[AnyMessage] = []
    for message in messages:
        words = without_sources(message.text) if message.role == "assistant" else message.text
        text = marked(words[:limit], len(message.pictures))
        if text.strip() and message.role in ("user", "assistant"):
            said.append(HumanMessage(text) if message.role == "user" else AIMessage(text))
    return said


class _Reply:
    """One answer in OpenAI's form."""

    def __init__(self, model: str, who: Caller) -> None:
        self._model, self._who = model, who
        self._created = int(time.time())
        self._id = f"chatcmpl-{time.time_ns():x}"

    async def whole(self, played: AsyncIterator[Event]) -> Response:
        """Wait for the end of the turn."""
        answer = None
        async for event in played:
            answer = event["data"] if event["type"] == "answer" else answer
        if answer is None:
            raise Refused(503, "The server is stopping. Try again in a moment.", code="busy", retry_after_s=1)
        text = Inert().feed(answer["answer"]) + sources(answer["citations"])
        choice = {"index": 0, "message": {"role": "assistant", "content": text, "refusal": None}, "logprobs": None}
        return JSONResponse(
            {
                "id": self._id,
                "object": "chat.completion",
                "created": self._created,
                "model": self._model,
                "choices": [choice | {"finish_reason": _finish_reason(answer)}],
                "usage": _usage(answer),
                "switchyard": published(self._who, answer),
            }
        )

    async def streamed(self, played: AsyncIterator[Event], *, usage: bool) -> AsyncIterator[str]:
        """Server-sent events. The last chunk before [DONE] comes once the turn is stored; an error takes its place."""
        inert = Inert()
        answer: Mapping[str, Any] | None = None
        yield self._chunk({"role": "assistant", "content": ""})
        try:
            async for event in played:
                if event["type"] == "token":
                    yield self._chunk({"content": inert.feed(event["data"])})
                elif event["type"] == "answer":
                    answer = event["data"]
                elif event["type"] == "waiting":
                    yield ": waiting\n\n"
            if answer is None:
                raise Refused(503, "The server is stopping. Try again in a moment.", code="busy")
        except Exception as error:
            yield _event(errors.body(errors.refusal(error)))
            return
        if listed := sources(answer["citations"]):
            yield self._chunk({"content": listed})
        yield self._chunk({}, _finish_reason(answer), switchyard=published(self._who, answer))
        if usage:
            yield _event(self._frame([]) | {"usage": _usage(answer)})
        yield "data: [DONE]\n\n"

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None, **more: Any) -> str:
        return _event(self._frame([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]) | more)

    def _frame(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self._id, "object": "chat.completion.chunk", "created": self._created, "model": self._model, "choices": choices}


def _event(value: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def _finish_reason(answer: Mapping[str, Any]) -> str:
    return "length" if any(notice["kind"] == "truncated" for notice in answer["notices"]) else "stop"


def _usage(answer: Mapping[str, Any]) -> dict[str, int]:
    read = sum(use["input_tokens"] for use in answer["models"])
    written = sum(use["output_tokens"] for use in answer["models"])
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


async def _unless_left(request: Request, reply: Any) -> Response:
    """The reply, unless the client leaves before: then its turn is stopped."""
    work, left = asyncio.ensure_future(reply), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else Response(status_code=CLIENT_LEFT)
    finally:
        work.cancel()
        left.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
