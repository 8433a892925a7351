"""The answer object keeps its keys, and comes back whole from JSON."""

import json
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import Answer, Citation, Escalation, Hit, ModelUse, Neighbour, Notice, Outcome, Passage, Route, Tier

KEYS = [
    "answer", "expert", "route", "citations", "passages", "confidence", "confidence_parts", "outcome", "grounded", "cached", "escalation",
    "notices", "models", "cost_usd", "cost_always_superior_usd", "latency_ms", "thread_id", "run_id",
]  # fmt: skip
INNER = {
    "route": {"expert", "scores", "confidence", "out_of_scope", "superior_probability", "router", "nearest", "thresholds"},
    "citations": {"n", "passage_id", "title", "source", "quote", "score"},
    "passages": {"id", "title", "text", "source", "score"},
    "escalation": {"from", "to", "reason"},
    "notices": {"kind", "text"},
    "models": {"model", "tier", "input_tokens", "output_tokens", "cost_usd", "latency_ms"},
}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
unit = st.floats(0, 1)
amounts = st.floats(0, 1e6)
names = st.sampled_from(["tea", "bees"])
experts = st.none() | names | st.just(["tea", "bees"])
numbers = st.dictionaries(names, unit, max_size=2)
routes = st.builds(
    Route,
    experts,
    numbers,
    unit,
    st.booleans(),
    texts,
    st.lists(st.builds(Neighbour, texts, names, unit), max_size=2),
    numbers,
    st.none() | unit,
)
hits = st.builds(Hit, st.builds(Passage, texts, texts, texts, texts), st.integers(-50_000, 50_000).map(lambda n: n / 10_000), st.just(0.0))
answers = st.builds(
    Answer,
    answer=texts,
    expert=experts,
    route=routes,
    citations=st.lists(st.builds(Citation, st.integers(1, 9), texts, texts, texts, texts, unit), max_size=2),
    passages=st.lists(hits, max_size=2),
    confidence=unit,
    confidence_parts=numbers,
    outcome=st.sampled_from(Outcome),
    grounded=st.booleans(),
    escalation=st.none() | st.builds(Escalation, texts, texts, texts),
    notices=st.lists(st.builds(Notice, texts, texts), max_size=2),
    models=st.lists(
        st.builds(ModelUse, texts, st.sampled_from(Tier), st.integers(0, 999), st.integers(0, 999), st.none() | amounts, amounts),
        max_size=2,
    ),
    cost_usd=st.none() | amounts,
    cost_always_superior_usd=st.none() | amounts,
    latency_ms=amounts,
    thread_id=texts,
    run_id=texts,
    cached=st.booleans(),
)


@given(answers)
def test_an_answer_survives_json(answer):
    assert Answer.from_dict(json.loads(json.dumps(answer.as_dict()))) == answer


@given(answers)
def test_the_keys_are_the_agreed_ones(answer):
    body = answer.as_dict()
    assert list(body) == KEYS
    for key, inner in INNER.items():
        for entry in body[key] if isinstance(body[key], list) else [body[key]]:
            assert entry is None or set(entry) == inner


@given(answers)
def test_json_holds_plain_words(answer):
    body = answer.as_dict()
    assert type(body["outcome"]) is str and body["outcome"] in {"answered", "escalated", "declined", "unknown", "clarify"}
    assert all(type(m["tier"]) is str and m["tier"] in {"inferior", "superior"} for m in body["models"])


def test_the_experts_of_a_route():
    def route(expert: str | list[str] | None) -> Route:
        return Route(expert, {}, 0.5, expert is None, "similarity")

    assert [route(e).experts for e in (None, "tea", ["tea", "bees"])] == [[], ["tea"], ["tea", "bees"]]


def test_values_are_frozen():
    with pytest.raises(FrozenInstanceError):
        Notice("safety", "x").kind = "model"  # type: ignore[misc]
