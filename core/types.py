"""The value objects that travel between the parts. All frozen; `asdict` gives their JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

OUT_OF_SCOPE = "out_of_scope"
NO_ANSWER = "The passages do not answer this question."
"""What every model says, and is told to say, when the evidence is not there."""


class Outcome(StrEnum):
    """How a turn ended."""

    ANSWERED = "answered"
    ESCALATED = "escalated"
    DECLINED = "declined"
    UNKNOWN = "unknown"
    CLARIFY = "clarify"


class Tier(StrEnum):
    """The two tiers of models."""

    INFERIOR = "inferior"
    SUPERIOR = "superior"


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document: the unit that is indexed, retrieved and cited."""

    id: str
    title: str
    text: str
    source: str
    document: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A retrieved passage. `score` orders hits of one search (higher is better, unbounded); `cosine` is in [-1, 1].

    sentences: the cosine of each sentence in reading order, where the search knows them; else empty.
    """

    passage: Passage
    score: float
    cosine: float
    sentences: tuple[float, ...] = field(default=(), compare=False, repr=False)

    def to_read(self) -> dict[str, Any]:
        """What a reader is given: `as_dict`, and the cosines that need not be computed again."""
        return {**self.as_dict(), "cosines": self.sentences}

    def as_dict(self) -> dict[str, Any]:
        """The `passages` entry of the answer object."""
        p = self.passage
        return {"id": p.id, "title": p.title, "text": p.text, "source": p.source, "score": round(self.score, 4)}


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An example that lies near the question. `similarity` is a cosine in [-1, 1]."""

    text: str
    label: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Route:
    """Where a question belongs, as numbers; the decision is the policy's.

    scores: a probability per expert and for `out_of_scope`, sums to 1.
    confidence: the largest of them. superior_probability: P(the superior model is needed), null while no difficulty router is trained.
    """

    expert: str | list[str] | None
    scores: dict[str, float]
    confidence: float
    out_of_scope: bool
    router: str
    nearest: list[Neighbour] = field(default_factory=list)
    thresholds: dict[str, float] = field(default_factory=dict)
    superior_probability: float | None = None

    @property
    def experts(self) -> list[str]:
        """The experts to ask: none, one, or several."""
        if self.expert is None:
            return []
        return [self.expert] if isinstance(self.expert, str) else list(self.expert)


@dataclass(frozen=True, slots=True)
class Citation:
    """`[n]` in the answer. `quote` stands word for word in the passage; `score` is the support in [0, 1]."""

    n: int
    passage_id: str
    title: str
    source: str
    quote: str
    score: float


@dataclass(frozen=True, slots=True)
class ModelUse:
    """One model call. `cost_usd` is null when the price is unknown."""

    model: str
    tier: str
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    latency_ms: float

    def as_dict(self) -> dict[str, Any]:
        """The `models` entry of the answer object."""
        return {**asdict(self), "tier": str(self.tier)}


@dataclass(frozen=True, slots=True)
class Escalation:
    """A hand-over from one model to another."""

    from_: str
    to: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """The JSON form: `from` is a word of Python's."""
        return {"from": self.from_, "to": self.to, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should read beside the answer. kind: safety, fallback, image, truncated, injection or model."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer object: the same keys in every interface."""

    answer: str
    expert: str | list[str] | None
    route: Route
    citations: list[Citation]
    passages: list[Hit]
    confidence: float
    confidence_parts: dict[str, float]
    outcome: Outcome
    grounded: bool
    escalation: Escalation | None
    notices: list[Notice]
    models: list[ModelUse]
    cost_usd: float | None
    cost_always_superior_usd: float | None
    latency_ms: float
    thread_id: str
    run_id: str
    cached: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "answer": self.answer,
            "expert": self.expert,
            "route": asdict(self.route),
            "citations": [asdict(c) for c in self.citations],
            "passages": [h.as_dict() for h in self.passages],
            "confidence": self.confidence,
            "confidence_parts": self.confidence_parts,
            "outcome": str(self.outcome),
            "grounded": self.grounded,
            "cached": self.cached,
            "escalation": self.escalation.as_dict() if self.escalation else None,
            "notices": [asdict(n) for n in self.notices],
            "models": [m.as_dict() for m in self.models],
            "cost_usd": self.cost_usd,
            "cost_always_superior_usd": self.cost_always_superior_usd,
            "latency_ms": self.latency_ms,
            "thread_id": self.thread_id,
            "run_id": self.run_id,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Answer:
        """The inverse of `as_dict`, for answers that come back from the store or the graph's state."""
        route = dict(data["route"])
        route["nearest"] = [Neighbour(**n) for n in route["nearest"]]
        hits = [Hit(Passage(p["id"], p["title"], p["text"], p["source"]), p["score"], cosine=0.0) for p in data["passages"]]
        moved = data["escalation"]
        return cls(
            **{
                **data,
                "route": Route(**route),
                "citations": [Citation(**c) for c in data["citations"]],
                "passages": hits,
                "outcome": Outcome(data["outcome"]),
                "escalation": Escalation(moved["from"], moved["to"], moved["reason"]) if moved else None,
                "notices": [Notice(**n) for n in data["notices"]],
                "models": [ModelUse(**m) for m in data["models"]],
            }
        )
