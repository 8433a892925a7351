"""What people say of answers: checked here, for the command, the page and the server alike, and kept in the store."""

from __future__ import annotations

import time
from collections.abc import Sequence

from core.errors import InputError, UnknownNameError
from core.pictures import unmarked
from core.text import plain
from core.types import OUT_OF_SCOPE, Answer
from graph.services import Services
from store.feedback import Feedback, delete_feedback, feedback_id, save
from store.runs import Run, find_run

MAX_TEXT_CHARS, MAX_COMMENT_CHARS = 20_000, 2_000
RATINGS = (-1, 0, 1)


def give(
    services: Services,
    run_id: str,
    *,
    owner: str | None,
    rating: int | None = None,
    expert: str | None = None,
    wrong_citations: Sequence[int] = (),
    text: str | None = None,
    comment: str | None = None,
) -> str:
    """Store what `owner` says of the answer of `run_id`, in the place of what they said of it before; gives the feedback's id.

    rating: -1, 0 or 1. expert: where the question belongs, a name or `out_of_scope`. wrong_citations: numbers of the answer's citations
    that do not say what they are cited for. text: the answer as it should be. comment: anything else.
    Raises InputError when the run is not the owner's, or something cannot be; UnknownNameError for an expert.
    """
    run = find_run(services.engine, run_id)
    if run is None or run.owner != owner:
        raise InputError(f"Expected the run_id of an answer of yours; got {run_id[:40]!r}. Every answer has its own.")
    if rating is not None and (isinstance(rating, bool) or rating not in RATINGS):
        raise InputError(f"Expected a rating of -1, 0 or 1; got {rating!r}.")
    known = [*services.experts, OUT_OF_SCOPE]
    if expert is not None and expert not in known:
        raise UnknownNameError("expert", expert[:40], known)
    given = Feedback(
        run_id,
        owner,
        time.time(),
        unmarked(run.question) or run.question,
        rating,
        expert,
        _citations(run, wrong_citations),
        _bounded("text", text, MAX_TEXT_CHARS),
        _bounded("comment", comment, MAX_COMMENT_CHARS),
        Answer.from_dict(run.answer).route.experts,
        run.answer["confidence_parts"],
    )
    if (rating, expert, given.text, given.comment, given.wrong_citations) == (None, None, None, None, []):
        raise InputError("Expected a rating, an expert, wrong_citations, a text or a comment; got none of them.")
    save(services.engine, given)
    return given.id


def take_back(services: Services, run_id: str, *, owner: str | None) -> bool:
    """Delete what `owner` said of a run; gives whether there was anything."""
    return delete_feedback(services.engine, [feedback_id(run_id, owner)]) > 0


def _citations(run: Run, wrong: Sequence[int]) -> list[int]:
    there = {citation["n"] for citation in run.answer["citations"]}
    if unknown := [n for n in wrong if isinstance(n, bool) or n not in there]:
        numbers = ", ".join(map(str, sorted(there))) or "none"
        raise InputError(f"Expected wrong_citations among the answer's own ({numbers}); got {str(unknown[0])[:20]}.")
    return sorted(set(wrong))


def _bounded(name: str, value: str | None, limit: int) -> str | None:
    """The text without control characters; None when nothing is left."""
    if value is not None and len(value) > limit:
        raise InputError(f"Expected a {name} of at most {limit:,} characters; got {len(value):,}. Shorten it.")
    return (plain(value).strip() or None) if value is not None else None
