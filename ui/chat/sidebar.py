"""The sidebar: whom to ask, what the conversation cost, and the conversations so far."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape

import streamlit as st

from core.errors import StoreError
from core.text import count
from core.types import Tier
from graph.api import forget
from graph.services import Services
from graph.state import Context
from llms.registry import configured
from store.runs import Run, Thread, threads
from ui.chat import figures, state
from ui.chat.markup import Answer, Titles
from ui.chat.text import label
from ui.transcript import conversation_json, conversation_markdown

AUTO, DEFAULT = "auto", ""
EXPERT, MODEL, REVIEW = "ask-expert", "ask-model", "review-routes"
"""Keys of what is chosen for the next question."""
Models = Sequence[tuple[str, str | None]]
"""(spec, why it cannot be used) of each."""
TITLE_CHARS = 60
THREADS_AT_FIRST = 25
"""Each one's two buttons are drawn with every answer."""


def draw(shared: Services, turns: Sequence[Run]) -> Context:
    """Draw it, and give what was chosen."""
    if problem := state.undeleted():
        st.toast(f"It was not deleted. {problem}", icon=":material/error:", duration="long")
    with st.sidebar:
        st.button("New chat", key="new-chat", icon=":material/add:", width="stretch", on_click=state.new_chat)
        # Found out here, for what a fragment raises ends in it, and ui/app.py would not say what to do.
        names = {AUTO: "Automatic", **{name: expert.card.title for name, expert in shared.experts.items()}}
        tiers = shared.tiers(None)
        _choices(names, configured(shared.settings), tiers, recommended=shared.recommender is not None)
        chosen = st.session_state
        context = Context(expert=chosen[EXPERT], model=chosen[MODEL] or None, review=chosen[REVIEW])
        if turns:
            _meter([run.answer for run in turns])
            _take_along(shared, turns)
        _threads(shared)
    return context


@st.fragment
def _choices(names: Titles, models: Models, tiers: Mapping[Tier, str], *, recommended: bool) -> None:
    """A fragment: whoever chooses for the next question does not end the answer that is being written."""
    _expert(names)
    _model(models, tiers, recommended=recommended)
    _review()


def _expert(names: Titles) -> None:
    explained = "Automatic: the router chooses the expert."
    st.selectbox("Expert", list(names), format_func=names.__getitem__, help=explained, key=EXPERT, persist_state="session")


def _review() -> None:
    """Whether each route is shown before it runs."""
    explained = "See which expert a question goes to before anything runs, or choose another."
    st.toggle("Review the route", help=explained, key=REVIEW, persist_state="session")


def _model(models: Models, tiers: Mapping[Tier, str], *, recommended: bool) -> None:
    """The model that answers first, or what the settings say. Unusable ones are named below with the reason."""
    usable = [spec for spec, problem in models if problem is None]
    explained = "Answers first. When that answer is not sure enough, the superior model is asked."
    # Not None, which Streamlit would take for no choice at all when it comes back to this page.
    known = [DEFAULT, *usable]
    chosen = st.selectbox("Model", known, format_func=lambda spec: spec or "Default", help=explained, key=MODEL, persist_state="session")
    first, then = escape(chosen or tiers[Tier.INFERIOR]), escape(tiers[Tier.SUPERIOR])
    said = f"{first} first, {then} when unsure" if chosen or not recommended else "As recommended for each question"
    st.html(f'<div class="sy-side sy-tiers"><p>{said}</p></div>')
    missing = {problem: [s for s, p in models if p == problem] for _, problem in models if problem is not None}
    if missing:
        with st.expander("Models not available", type="compact"):
            lines = "".join(f"<p><b>{escape(', '.join(specs))}</b><br>{escape(problem)}</p>" for problem, specs in missing.items())
            st.html(f'<div class="sy-side">{lines}</div>')


def _meter(answers: Sequence[Answer]) -> None:
    """Tokens and cost of the open conversation, against always asking the superior model."""
    used = f"{count(len(answers), 'turn')}, {count(sum(map(figures.tokens, answers)), 'token')}"
    st.html(f'<div class="sy-side sy-meter"><p><b>This conversation</b></p><p>{used}</p><p>{escape(figures.saving(answers))}</p></div>')


def _take_along(shared: Services, turns: Sequence[Run]) -> None:
    """The open conversation as a file, made when it is asked for."""
    titles = {name: expert.card.title for name, expert in shared.experts.items()}
    kinds: tuple[tuple[str, str, str, Callable[[], str]], ...] = (
        ("Markdown", "md", "text/markdown", lambda: conversation_markdown(turns, titles)),
        ("JSON", "json", "application/json", lambda: json.dumps(conversation_json(turns), ensure_ascii=False, indent=2)),
    )
    with st.container(key="take-along", horizontal=True, gap="small"):
        for name, ending, mime, text in kinds:
            file, said = f"conversation.{ending}", f"Save this conversation as {name}"
            st.download_button(
                name, text, file, mime, key=f"save-{ending}", help=said, on_click="ignore", type="tertiary", icon=":material/download:"
            )


def _threads(shared: Services) -> None:
    waiting = {waits.thread: waits.question for waits in state.waiting() if waits.thread}
    found = threads(shared.engine)
    known = {thread.thread_id for thread in found}
    # A conversation may begin with a question whose route waits: it has no turn yet.
    found = [*(Thread(name, title, 0, 0.0) for name, title in waiting.items() if name not in known), *found]
    if not found:
        return
    st.html('<div class="sy-side sy-heading"><b>Conversations</b></div>')
    with st.container(key="threads"):
        shown = found if state.all_threads() else found[:THREADS_AT_FIRST]
        for thread in shown:
            _row(shared, thread, waits=thread.thread_id in waiting)
        if more := len(found) - len(shown):
            st.button(f"Show {more} more", key="all-threads", type="tertiary", on_click=state.show_all_threads)


def _row(shared: Services, thread: Thread, *, waits: bool) -> None:
    name, title = thread.thread_id, label(thread.title, limit=TITLE_CHARS)
    kind = "current" if name == state.thread() else "other"
    icon, said = (":material/hourglass_top:", "The route of a question waits for your decision") if waits else (None, None)
    with st.container(key=f"row-{kind}-{name}", horizontal=True, wrap=False, gap=None, vertical_alignment="center"):
        st.button(
            title, key=f"open-{name}", type="tertiary", width="stretch", icon=icon, help=said, on_click=state.open_thread, args=(name,)
        )
        if st.button("Delete", key=f"delete-{name}", type="tertiary", icon=":material/delete:", help="Delete this conversation"):
            _confirm(shared, thread)


@st.dialog("Delete this conversation?")
def _confirm(shared: Services, thread: Thread) -> None:
    turns = f" and its {count(thread.turns, 'turn')}" if thread.turns else ""
    st.markdown(f"**{label(thread.title, limit=200)}**{turns} will be gone for good.")
    with st.container(horizontal=True):
        if st.button("Delete", type="primary", key="confirm-delete", on_click=_delete, args=(shared, thread.thread_id)):
            st.rerun()
        if st.button("Keep it", key="confirm-keep"):
            st.rerun()


def _delete(shared: Services, name: str) -> None:
    try:
        forget(name, shared)
    except StoreError as error:
        state.not_deleted(str(error))
        return
    state.forget_pending(name)
    if state.thread() == name:
        state.new_chat()
