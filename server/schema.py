"""Requests and responses of the API, in OpenAI's terms. Parameters of OpenAI's that are not named here are accepted and have no effect."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, field_validator

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


class Part(BaseModel):
    """A part of a message: text or a picture. A sound or a file is refused; anything else is not read."""

    type: str
    text: Text | None = None
    image_url: ImageUrl | None = None


class Message(BaseModel):
    """A message. The experts have their own instructions: those of role system, developer, tool and function are not passed on."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | list[Part] | None = None

    @field_validator("content")
    @classmethod
    def _unread(cls, content: str | list[Part] | None) -> str | list[Part] | None:
        for part in content or []:
            if isinstance(part, Part) and part.type in ("input_audio", "file"):
                raise ValueError(f"a part of the type {part.type} is not supported: leave it out")
        return content

    @property
    def text(self) -> str:
        """Its words."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content or [] if part.type == "text" and part.text)

    @property
    def pictures(self) -> list[str]:
        """The URLs of its pictures."""
        if self.content is None or isinstance(self.content, str):
            return []
        return [part.image_url.url if part.image_url else "" for part in self.content if part.type == "image_url"]


class StreamOptions(BaseModel):
    """OpenAI's stream_options."""

    include_usage: bool | None = None


class Extension(BaseModel):
    """What OpenAI's API has no words for."""

    review: bool = Field(False, description="answer with the route, which waits for a `resume`; needs a thread_id")
    resume: str | None = Field(None, description="the answer to a route that waits in the thread: accept, decline or an expert's name")


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

    @field_validator("messages")
    @classmethod
    def _question_last(cls, messages: list[Message]) -> list[Message]:
        if messages[-1].role != "user":
            raise ValueError("expected a message of the role user as the last one")
        return messages

    @field_validator("n", "tools", "functions", "response_format", "logprobs")
    @classmethod
    def _unsupported(cls, value: Any) -> Any:
        # To take them and do something else would be worse than to say so. By the type, too: True is 1 to Python.
        usual: tuple[Any, ...] = (None, 1, False, [], {"type": "text"})
        if not any(type(value) is type(each) and value == each for each in usual):
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
    """A stored conversation with all its turns, oldest first."""

    id: str
    object: Literal["thread"] = "thread"
    turns: list[Turn]


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
