"""What travels through the graph: the state, the run's context, and a draft."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from langchain_core.messages import AnyMessage
from langgraph.channels import UntrackedValue
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict  # pydantic makes no schema of the standard one before Python 3.12

from core.pictures import Picture
from core.types import Citation, Hit, ModelUse, Notice, Tier
from graph.confidence import Confidence

AUTO = "auto"
Ladder = dict[Tier, str]
"""The models of a turn that the recommender has chosen for it."""


@dataclass(frozen=True, slots=True)
class Context:
    """Keywords of one run; see `graph.api.ask`."""

    expert: str = "auto"
    model: str | None = None
    """A spec, `superior`, or `auto`, which says as much as None: the recommender's choice where one is trained, else the inferior one."""
    router: str | None = None
    escalate: bool = True
    images: Sequence[str | Picture] = ()
    """data: URLs, or pictures that were checked before."""
    review: bool = False
    """Wait until the user has accepted the route, or chosen another: LangGraph's interrupt."""
    owner: str | None = None
    key_id: str | None = None
    """Names the API key that asks; it is not the key."""
    live: bool = False
    """Tokens cannot be taken back once they are sent: a draft with strong evidence is streamed as final, and so escapes the ladder."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Judgement of a draft. `confidence`: calibrated P(acceptable) in [0, 1]; `parts`: the signals it was made of."""

    confidence: float
    parts: dict[str, float]
    answers: bool
    citations: list[Citation]


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer that is not yet accepted. `asked`: the tier that was asked; `use.tier` is that of the model which answered in the end.

    broken: of models that broke off before that one was asked.
    """

    expert: str
    text: str
    hits: list[Hit]
    use: ModelUse
    verdict: Verdict
    attempt: int
    finish_reason: str = "stop"
    streamed: bool = False
    notices: list[Notice] = field(default_factory=list)
    asked: Tier = Tier.INFERIOR
    broken: list[ModelUse] = field(default_factory=list)


class Collected(UntrackedValue[list[Any]]):
    """A list that parallel nodes append to, and that never enters a checkpoint: passages belong to the `runs` table."""

    def update(self, values: Sequence[list[Any]]) -> bool:
        """Append what the nodes of one step returned."""
        if not values:
            return False
        before = self.value if self.is_available() else []
        self.value = [*before, *(item for value in values for item in value)]
        return True


class Input(TypedDict):
    """What a caller sends."""

    messages: Annotated[list[AnyMessage], add_messages]


class Output(TypedDict):
    """What a caller gets: the conversation and the answer object."""

    messages: Annotated[list[AnyMessage], add_messages]
    answer: dict[str, Any]


class State(TypedDict, total=False):
    """The graph's state. Only `messages` and `summary`, `question`, `asked`, `topic`, `route` and `answer` are checkpointed.

    question: standing alone; asked: the id of its message; topic: the question before; leans: whether this one leans on it.
    spent, remarks: what was done beside the drafts, and how.
    confidence: what judges the drafts, as it was when the route was found: a turn ends by what it began with.
    """

    messages: Annotated[list[AnyMessage], add_messages]
    question: str
    asked: str | None
    route: dict[str, Any]
    answer: dict[str, Any]
    summary: str
    topic: str | None
    leans: Annotated[bool, UntrackedValue]
    spent: Annotated[list[ModelUse], Collected]
    remarks: Annotated[list[Notice], Collected]
    asks_back: Annotated[bool, UntrackedValue]
    refused: Annotated[bool, UntrackedValue]
    started: Annotated[float, UntrackedValue]
    safety: Annotated[str | None, UntrackedValue]
    notice: Annotated[str | None, UntrackedValue]
    ladder: Annotated[Ladder | None, UntrackedValue]
    confidence: Annotated[Confidence, UntrackedValue]
    attempt: Annotated[int, UntrackedValue]
    pictures: Annotated[tuple[Picture, ...], UntrackedValue]
    description: Annotated[str, UntrackedValue]
    drafts: Annotated[list[Draft], Collected]


class Asked(TypedDict):
    """What an expert is sent. solo: nobody else is asked. history: what the model is shown of the conversation."""

    question: str
    history: list[AnyMessage]
    route: dict[str, Any]
    ladder: Ladder | None
    confidence: Confidence
    attempt: int
    solo: bool
    pictures: tuple[Picture, ...] | None
