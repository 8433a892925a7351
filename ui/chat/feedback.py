"""What the reader says of an answer: thumbs, and a form that corrects it. Every change is saved at once."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import streamlit as st

from core.errors import SwitchyardError
from core.types import OUT_OF_SCOPE
from graph.feedback import MAX_TEXT_CHARS, give, take_back
from graph.services import Services
from store.feedback import Feedback, feedback_of_runs
from store.runs import Run
from ui.chat import text
from ui.chat.markup import Titles, copy
from ui.transcript import answer_markdown

THUMBS = {0: -1, 1: 1}
"""What `st.feedback` gives -> a rating."""
AS_ANSWERED = ""
TITLE_CHARS = 40
PARTS = ("thumb", "expert", "sources", "text")


@st.fragment
def draw(shared: Services, run: Run, titles: Titles, given: Feedback | None) -> None:
    """Draw it below an answer. `given`: what was said of it before.

    A fragment: whoever rates an answer does not end the one that is being written. It is saved as soon as that is complete.
    """
    keys = _keys(run)
    stored = _stored(given)
    for part, key in keys.items():
        st.session_state.setdefault(key, stored[part])
    args = shared, run
    with st.container(key=f"said-{run.run_id}", horizontal=True, gap="small", vertical_alignment="center"):
        st.html(copy(answer_markdown(run.answer)), width="content")
        st.feedback("thumbs", key=keys["thumb"], on_change=_save, args=args)
        with st.popover("Correct", type="tertiary", icon=":material/edit_note:"):
            known = {AS_ANSWERED: "As answered", **titles, OUT_OF_SCOPE: "No expert"}
            st.selectbox("Belongs to", list(known), format_func=known.__getitem__, key=keys["expert"], on_change=_save, args=args)
            if sources := _sources(run):
                name, key = sources.__getitem__, keys["sources"]
                st.pills("Wrong sources", list(sources), selection_mode="multi", format_func=name, key=key, on_change=_save, args=args)
            hint = "Saved when you leave the field"
            st.text_area(
                "A better answer", max_chars=MAX_TEXT_CHARS, height=110, placeholder=hint, key=keys["text"], on_change=_save, args=args
            )
        st.html(_status(run, given))


def _save(shared: Services, run: Run) -> None:
    """Store what the widgets hold now, and what was said that none of them holds; nothing at all takes it back."""
    thumb, expert, sources, better = (st.session_state.get(key) for key in _keys(run).values())
    st.session_state.pop(_problem(run), None)
    try:
        stored = feedback_of_runs(shared.engine, [run.run_id], run.owner).get(run.run_id)
        comment = stored.comment if stored else None
        # POST /feedback takes a rating of 0, too.
        neither = 0 if stored and stored.rating == 0 else None
        rating = neither if thumb is None else THUMBS[thumb]
        if rating is None and not (expert or sources or comment or (better or "").strip()):
            take_back(shared, run.run_id, owner=run.owner)
            st.session_state[_saved(run)] = False
        else:
            belongs, wrong = expert or None, sources or ()
            give(shared, run.run_id, owner=run.owner, rating=rating, expert=belongs, wrong_citations=wrong, text=better, comment=comment)
            st.session_state[_saved(run)] = True
    except SwitchyardError as error:
        st.session_state[_problem(run)] = str(error)


def _status(run: Run, given: Feedback | None) -> str:
    """One quiet line: saved, or why not."""
    if problem := st.session_state.get(_problem(run)):
        return f'<p class="sy-said" role="alert">Not saved. {escape(problem)}</p>'
    # `given` is as old as the page's last whole run.
    saved = st.session_state.get(_saved(run), given is not None)
    return f'<p class="sy-said" role="status">{"Saved, thank you" if saved else ""}</p>'


def _sources(run: Run) -> dict[int, str]:
    """The numbers of the citations, each with its title."""
    return {c["n"]: f"{c['n']} {text.label(c['title'], limit=TITLE_CHARS)}" for c in sorted(run.answer["citations"], key=lambda c: c["n"])}


def _stored(given: Feedback | None) -> Mapping[str, object]:
    """What the widgets show at first."""
    if given is None:
        return {"thumb": None, "expert": AS_ANSWERED, "sources": [], "text": ""}
    thumb = next((value for value, rating in THUMBS.items() if rating == given.rating), None)
    return {"thumb": thumb, "expert": given.expert or AS_ANSWERED, "sources": given.wrong_citations, "text": given.text or ""}


def _keys(run: Run) -> dict[str, str]:
    return {part: f"feedback-{part}-{run.run_id}" for part in PARTS}


def _saved(run: Run) -> str:
    return f"feedback-saved-{run.run_id}"


def _problem(run: Run) -> str:
    return f"feedback-problem-{run.run_id}"
