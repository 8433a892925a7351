"""The question under way: its steps and its draft as they come, or why there is no answer and how to go on."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import streamlit as st

from core.errors import DocumentError, IndexFault, InputError, SwitchyardError
from graph.api import events, resumed
from graph.fitted import unfitted
from graph.services import Services
from graph.state import Context
from ui.chat import markup, review, state, text

BEGINNING = "Choosing the expert …"
UNSETTLED = "source-pending"
"""Where markers lead while the sources are not settled: nowhere, but they already look like markers."""
STOPPED = "Stopped before the answer was complete. Nothing was stored."
GONE = "The picture that came with it was not kept: ask again with it if the answer depends on it."
REDRAW_S = 0.06
"""A growing text is drawn at most this often: each drawing sends the whole of it."""


def draw(shared: Services, context: Context, pending: state.Pending, titles: markup.Titles) -> None:
    """Answer the pending question, or show why it has no answer. Ends the script's run when the answer has come."""
    with st.chat_message("user"):
        st.html(markup.question(pending.question, pending.thumbnails))
    with st.chat_message("assistant"):
        if pending.problem is not None:
            _draw_problem(pending.problem, "problem", final=pending.final)
            return
        if pending.offered and pending.choice is None:
            if pending.gone:
                st.html(f'<div class="sy-notice">{GONE}</div>')
            review.draw(pending.offered, titles)
            return
        # Until the answer is here, an interruption of any kind leaves this behind; the stylesheet shows it once nothing runs any more.
        pending.problem = STOPPED
        line = st.empty()
        line.html(markup.steps(BEGINNING))
        screen = Screen(line, titles)
        _draw_problem(STOPPED, "stopped")
        try:
            _get_ready(shared, titles, line)
            line.html(markup.steps(BEGINNING))
            shown = replace(context, images=pending.pictures)
            last = screen.play(_happening(shared, shown, pending))
        except SwitchyardError as error:
            # A question that cannot be used stays so; a route that waits no longer can be found anew.
            pending.problem, pending.final = str(error), isinstance(error, InputError) and not pending.choice
            st.rerun()
    answer = last["data"]
    if last["type"] == "review":
        state.offer(answer)
        st.rerun()
    state.keep_thumbnails(answer["run_id"], pending.thumbnails)
    state.forget_pending()
    state.open_thread(answer["thread_id"])
    st.rerun()


def _happening(shared: Services, context: Context, pending: state.Pending) -> Iterable[dict[str, Any]]:
    """The events of the turn, from its beginning or from its reviewed route on."""
    if pending.choice and pending.offered:
        return resumed(pending.choice, context, pending.offered["thread_id"], shared)
    return events(pending.question, context, pending.thread, shared)


def _get_ready(shared: Services, titles: markup.Titles, line: Any) -> None:
    """Build and learn what is not there yet, and say so: the first question of all waits for it, a minute or two."""
    for name, title in titles.items():
        if not shared.indexes.version(name):
            line.html(markup.steps(f"Reading the documents of {title}, once …"))
            with suppress(DocumentError, IndexFault):  # that expert says so when it is asked; the others need not wait for it
                shared.index(name)
    for what, learn in unfitted(shared):
        line.html(markup.steps(f"Learning {what} from examples, once …"))
        learn()


def _draw_problem(problem: str, key: str, *, final: bool = False) -> None:
    with st.container(key=key, gap="small"):
        st.html(markup.problem(problem))
        with st.container(horizontal=True, gap="small"):
            if not final:
                st.button("Try again", key=f"{key}-retry", icon=":material/refresh:", on_click=state.retry)
            st.button("Edit the question", key=f"{key}-edit", icon=":material/edit:", on_click=state.edit)


class Screen:
    """Draws the events of one turn. A draft is dim, and leaves when it is rejected or when the answer's own text begins."""

    def __init__(self, line: Any, titles: markup.Titles) -> None:
        self._line = line
        self._titles = titles
        with st.container(key="draft"):
            self._draft = st.empty()
        self._text = st.empty()
        self._written = ""
        self._drawn_at = 0.0
        self._before = ""
        self._several = False
        self._drafting = False

    def play(self, turn: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """Draw until the answer comes, or a route that waits, and give that event."""
        last: dict[str, Any] = {}
        for last in turn:
            kind, data = last["type"], last["data"]
            if kind in ("answer", "review"):
                continue
            if kind == "draft_token":
                self._grow(self._draft, data)
            elif kind == "token":
                self._settle()
                self._grow(self._text, data)
            else:
                self._step(kind, data)
        return last

    def _step(self, kind: str, data: Any) -> None:
        """Say what is being done; drafts end here, because the next model begins."""
        if kind == "route":
            # Two experts write at the same time: their drafts would be one tangle.
            self._several = isinstance(data["expert"], list)
            names = markup.names_of(data["expert"], self._titles)
            self._before = f"{names}: " if names else ""
            self._say("searching …" if names else "No expert covers this …" if data["out_of_scope"] else "One question first …")
        elif kind == "passages":
            self._say(f"reading {len(data)} passages …")
        elif kind == "draft_rejected":
            if data["next"] == "fallback":
                self._before = f"{data['reason']}, fell back to another model: "
                self._say("answering …")
            else:
                again = "asking the superior model" if data["next"] == "superior" else "asking again"
                self._before = f"Not sure enough ({data['reason']}), {again}: "
                self._say("searching …")
        self._settle()

    def _settle(self) -> None:
        """What follows is the answer's own text."""
        if self._drafting:
            self._drafting, self._written, self._drawn_at = False, "", 0.0
            self._draft.empty()

    def _say(self, words: str) -> None:
        self._line.html(markup.steps(self._before + words))

    def _grow(self, place: Any, piece: str) -> None:
        if self._several and place is self._draft:
            return
        self._drafting = place is self._draft
        if not self._written:
            self._say("answering …")
        self._written += piece
        if time.monotonic() - self._drawn_at > REDRAW_S:
            place.markdown(text.markdown(self._written, range(1, 1000), UNSETTLED), anchors=False)
            self._drawn_at = time.monotonic()
