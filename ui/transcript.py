"""An answer and a conversation, to take along: as Markdown with the sources, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from core.text import count
from server.markdown import Inert, sources
from store.runs import Run
from ui.chat.markup import Titles, who

TITLE_CHARS = 120


def answer_markdown(answer: Mapping[str, Any]) -> str:
    """An answer's text, and below it its sources: number, title, origin and the words that it rests on. No picture or HTML is alive."""
    return Inert().feed(answer["answer"]) + sources(answer["citations"])


def conversation_markdown(turns: Sequence[Run], titles: Titles) -> str:
    """A conversation of at least one turn, under its first question as the title."""
    title = " ".join(turns[0].question.split())
    title = title if len(title) <= TITLE_CHARS else f"{title[: TITLE_CHARS - 1].rstrip()}…"
    begun = datetime.fromtimestamp(turns[0].created_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    head = f"# {Inert().feed(title)}\n\n{begun}, {count(len(turns), 'turn')}"
    return "\n\n---\n\n".join([head, *(_turn(run, titles) for run in turns)]) + "\n"


def conversation_json(turns: Sequence[Run]) -> dict[str, Any]:
    """A conversation of at least one turn with everything that is stored of it: what GET /v1/threads/{id} gives."""
    kept = [{"question": run.question, "created_at": run.created_at, "switchyard": run.answer} for run in turns]
    return {"id": turns[0].thread_id, "turns": kept}


def _turn(run: Run, titles: Titles) -> str:
    asked = "\n".join(f"> {line}".rstrip() for line in Inert().feed(run.question).splitlines())
    return f"{asked}\n\n**{who(run.answer, titles)}**\n\n{answer_markdown(run.answer)}"
