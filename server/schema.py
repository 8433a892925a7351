"""Requests and responses of the API, in OpenAI's terms. Parameters of OpenAI's that are not named here are accepted and have no effect."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationInfo, field_validator

THREAD_ID = r"^[A-Za-z0-9_-]{1,64}$"
ThreadId = Annotated[str, Field(pattern=THREAD_ID)]


def _sound(text: str) -> str:
    """Without what JSON may hold and no database or tokenizer takes: NUL, and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


Text = Annotated[str, AfterValidator(_sound)]
MOST_MESSAGES = 1000


class ImageUrl(BaseModel):
    """A picture as a data: URL. Addresses are refused: nothing is fetched."""

    url: str = Field("", examples=["data:image/png;base64,iVBORw0KGgo..."])


def _with_url(given: Any) -> Any:
    if given is not None and not isinstance(given, (str, dict)):
        raise ValueError('expected {"url": "data:image/...;base64,..."}')
    return {"url": given} if isinstance(given, str) else given


class Part(BaseModel):
    """A part of a message: text or a picture. A sound or a file is refused; anything else is not read."""

    type: str
    text: Text | None = None
    image_url: Annotated[ImageUrl | None, BeforeValidator(_with_url, json_schema_input_type=ImageUrl | str | None)] = None

    @field_validator("type")
    @classmethod
    def _unread(cls, kind: str) -> str:
        if kind in ("input_audio", "file"):
            raise ValueError(f"a part of the type {kind} is not supported: leave it out")
        return kind


def _in_parts(given: Any) -> Any:
    # And not a union of the two: an error would tell what is wrong with the one that was not meant, too, and first.
    if given is not None and not isinstance(given, (str, list)):
        raise ValueError("expected a text, or a list of parts")
    return [{"type": "text", "text": given}] if isinstance(given, str) else given


Content = Annotated[list[Part] | None, BeforeValidator(_in_parts, json_schema_input_type=str | list[Part] | None)]


class Message(BaseModel):
    """A message. The experts have their own instructions: those of role system, developer, tool and function are not passed on."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content = None

    @property
    def text(self) -> str:
        """Its words."""
        return "\n".join(part.text for part in self.content or [] if part.type == "text" and part.text)

    @property
    def pictures(self) -> list[str]:
        """The URLs of its pictures."""
        return [part.image_url.url if part.image_url else "" for part in self.content or [] if part.type == "image_url"]


class StreamOptions(BaseModel):
    """OpenAI's stream_options."""

    include_usage: bool | None = None


class Extension(BaseModel):
    """What OpenAI's API has no words for."""

    review: bool = Field(False, description="answer with the route, which waits for a `resume`; needs a thread_id")
    resume: str | None = Field(
        None, min_length=1, description="the answer to a route that waits in the thread: accept, decline or an expert's name"
    )


_USUAL = {
    "n": 1,
    "tools": [],
    "functions": [],
    "response_format": {"type": "text"},
    "logprobs": False,
    "top_logprobs": 0,
    "modalities": ["text"],
}
"""What is done anyway."""


class ChatRequest(BaseModel):
    """OpenAI's chat completion request. The conversation is the messages'; with a thread_id it is the thread's, and the last one counts."""

    model: Text = Field(max_length=200, examples=["switchyard", "switchyard/sleep", "switchyard/superior"])
    messages: list[Message] = Field(
        min_length=1, max_length=MOST_MESSAGES, examples=[[{"role": "user", "content": "How long is a sleep cycle?"}]]
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: dict[str, str] | None = Field(None, description="thread_id: a stored conversation to go on with, or to begin")
    switchyard: Annotated[Extension, BeforeValidator(lambda given: {} if given is None else given)] = Extension()
    n: int | None = None
    tools: list[dict[str, Any]] | None = None
    functions: list[dict[str, Any]] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None

    @field_validator("messages")
    @classmethod
    def _question_last(cls, messages: list[Message]) -> list[Message]:
        if messages[-1].role != "user":
            raise ValueError("expected a message of the role user as the last one")
        return messages

    @field_validator(*_USUAL, "audio")
    @classmethod
    def _unsupported(cls, value: Any, info: ValidationInfo) -> Any:
        # To take them and do something else would be worse than to say so.
        if value is not None and value != _USUAL.get(info.field_name or ""):
            raise ValueError("is not supported: leave it out")
        return value


class RouteRequest(BaseModel):
    """A question to route. router: a kind, by default the one that decides."""

    text: Text = Field(examples=["How long is a sleep cycle?"])
    router: Text | None = None


class FeedbackRequest(BaseModel):
    """See `graph.feedback.give`. run_id stands in the answer's field `switchyard`."""

    run_id: Text
    rating: int | None = Field(None, ge=-1, le=1, description="-1 bad, 0 neither, 1 good")
    expert: Text | None = Field(None, description="where the question belongs: an expert, or out_of_scope")
    wrong_citations: list[int] = Field([], max_length=1000, description="numbers of citations that do not say what they are cited for")
    text: Text | None = Field(None, description="the answer as it should be")
    comment: Text | None = None


class FeedbackGiven(BaseModel):
    """It is stored."""

    id: str
    object: Literal["feedback"] = "feedback"


class Usage(BaseModel):
    """Tokens of all models that were asked."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AssistantMessage(BaseModel):
    """The answer as Markdown, with its sources below."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: str | None = None


class Choice(BaseModel):
    """The one answer. finish_reason: length when a model stopped at its limit."""

    index: int = 0
    message: AssistantMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class ChatCompletion(BaseModel):
    """OpenAI's chat completion, and the answer object: route, citations, passages, confidence, outcome, models, cost and the rest."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    switchyard: dict[str, Any]


class Model(BaseModel):
    """A model that can be asked for."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "switchyard"
    name: str


class Models(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]


class ThreadSummary(BaseModel):
    """A stored conversation. title: its first question; updated_at: seconds since the epoch, UTC."""

    id: str
    object: Literal["thread"] = "thread"
    title: str
    turns: int
    updated_at: float


class Threads(BaseModel):
    """The caller's conversations, last used first."""

    object: Literal["list"] = "list"
    data: list[ThreadSummary]


class Turn(BaseModel):
    """A question and its answer object."""

    question: str
    created_at: float
    switchyard: dict[str, Any]


class ThreadDetail(BaseModel):
    """A stored conversation with all its turns, oldest first. review: the question, route and choices that wait for a `resume`."""

    id: str
    object: Literal["thread"] = "thread"
    turns: list[Turn]
    review: dict[str, Any] | None = None


class Deleted(BaseModel):
    """What was deleted."""

    id: str
    object: Literal["thread.deleted"] = "thread.deleted"
    deleted: bool = True


class ErrorDetail(BaseModel):
    """What went wrong, and OpenAI's words for it."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Error(BaseModel):
    """An error."""

    error: ErrorDetail
