"""The conversation: what was asked and answered, and the question under way. A new one begins with suggestions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from core.pictures import MOST_BYTES, Picture, read_mark
from experts.discovery import Expert
from graph.api import waiting
from graph.confidence import Logistic
from graph.services import Services
from graph.state import Context
from store.feedback import feedback_of_runs
from store.runs import Run, thread_runs
from ui.chat import feedback, markup, state, text, turn

SUGGESTIONS = 3
PICTURES = ["png", "jpg", "jpeg", "gif", "webp"]
AT_ONCE = 20
"""Turns that are drawn at first, and added by each wish to see earlier ones: a hundred would take seconds."""
HERO = """<div class="sy-hero"><h1>Ask the right expert</h1>
<p>Each question goes to the expert who knows the subject, and is answered from that expert's own documents,
with the passages to check it by.</p></div>"""
LIMITS = """<p class="sy-limits">Answers can be wrong: open the sources, and ask a professional, such as a doctor or a workshop,
about anything serious. In an emergency, call your local emergency number.</p>"""


def draw(shared: Services, context: Context, turns: Sequence[Run]) -> None:
    """Everything between the page's top and the input field."""
    titles = {name: expert.card.title for name, expert in shared.experts.items()}
    typed = st.chat_input(
        "Ask a question", key=state.INPUT, submit_mode="stop", accept_file="multiple", file_type=PICTURES, max_upload_size=MOST_BYTES >> 20
    )
    if typed and (typed.text.strip() or typed.files):
        state.ask(typed.text, [Picture(file.name, "", file.getvalue()) for file in typed.files])
    pending = state.pending()
    # page.js keeps the last turn in view, the stylesheet sets the height. Streamlit would scroll to the end of a long answer.
    with st.container(key="log", height=600, border=False, autoscroll=False):
        st.html(markup.opened(state.thread(), asking=pending is not None))
        # A slot of its own, emptied at once: what a run does not draw again would stay, pale, until the answer is complete.
        welcome = st.empty()
        if not turns and not pending:
            with welcome.container():
                _welcome(list(shared.experts.values()))
        else:
            welcome.empty()
        shown = _without_earlier(turns)
        given = feedback_of_runs(shared.engine, [run.run_id for run in shown], None)
        for run in shown:
            _draw_turn(run, titles, shared.confidence.after)
            feedback.draw(shared, run, titles, given.get(run.run_id))
        if shown and not pending and _cut_off(shown[-1]):
            st.button("Try again", key="again", icon=":material/refresh:", on_click=state.ask, args=(shown[-1].question,))
        if pending:
            turn.draw(shared, context, pending, titles)


def stored_turns(shared: Services) -> list[Run]:
    """The open conversation's turns. Those that belong to an owner are not for this page, which has no log-in."""
    thread = state.thread()
    if state.turned() and thread and not state.pending() and (waits := waiting(thread, None, shared)):
        state.offer_again(*waits)
    if not thread:
        return []
    found = [run for run in thread_runs(shared.engine, thread) if run.owner is None]
    # A conversation may begin with a question whose route waits.
    if not found and not state.pending():
        state.new_chat()
        st.toast("That conversation is not here: it may have been deleted.", icon=":material/info:")
    return found


def _without_earlier(turns: Sequence[Run]) -> Sequence[Run]:
    """The turns to draw: the last ones, and with each click on the button above them some before these."""
    if hidden := state.hidden(len(turns), AT_ONCE):
        st.button(
            f"Show earlier turns ({hidden})", key="earlier", icon=":material/expand_less:", on_click=state.show_earlier, args=(AT_ONCE,)
        )
    return turns[hidden:]


def _draw_turn(run: Run, titles: markup.Titles, weighed: Logistic) -> None:
    answer = run.answer
    with st.chat_message("user"):
        st.html(markup.question(run.question, state.thumbnails(run.run_id)))
    with st.chat_message("assistant"):
        st.html(markup.summary(answer, titles))
        if urgent := markup.notices(answer, safety=True):
            st.html(urgent)
        st.markdown(text.markdown(markup.body(answer), {c["n"] for c in answer["citations"]}, markup.anchor(answer)), anchors=False)
        if others := markup.notices(answer, safety=False):
            st.html(others)
        st.html(markup.sources(answer) + markup.background(answer, titles, weighed))


def _cut_off(run: Run) -> bool:
    """Whether the answer is not whole, and can be asked for again: nothing keeps the pictures of a question."""
    return any(notice["kind"] == "truncated" for notice in run.answer["notices"]) and read_mark(run.question)[0] == run.question


def _welcome(experts: list[Expert]) -> None:
    st.html(HERO)
    for expert in experts:
        with st.container(key=f"suggest-{expert.name}", gap="xsmall"):
            st.html(f'<p class="sy-group">{escape(expert.card.title)}</p>')
            for n, question in enumerate(_suggestions(expert)):
                key = f"suggest-{expert.name}-{n}"
                st.button(text.label(question), key=key, width="stretch", on_click=state.ask, args=(question,))
    st.html(LIMITS)


def _suggestions(expert: Expert) -> list[str]:
    examples = expert.card.examples or [item.question for item in expert.questions("train")[:SUGGESTIONS]]
    return list(examples[:SUGGESTIONS])
