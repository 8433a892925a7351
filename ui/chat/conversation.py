"""The conversation: what was asked and answered, and the question under way. A new one begins with suggestions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from experts.discovery import Expert
from graph.services import Services
from graph.state import Context
from store.feedback import feedback_of_runs
from store.runs import Run, thread_runs
from ui.chat import feedback, markup, state, text, turn

SUGGESTIONS = 3
HERO = """<div class="sy-hero"><h1>Ask the right expert</h1>
<p>Each question goes to the expert who knows the subject, and is answered from that expert's own documents,
with the passages to check it by.</p></div>"""
LIMITS = """<p class="sy-limits">Answers can be wrong, and sleep is health and cars are safety: open the sources,
and see a doctor or a workshop about anything serious. In an emergency, call your local emergency number.</p>"""


def draw(shared: Services, context: Context, turns: Sequence[Run]) -> None:
    """Everything between the page's top and the input field."""
    titles = {name: expert.card.title for name, expert in shared.experts.items()}
    typed = st.chat_input("Ask a question", key=state.INPUT, submit_mode="stop")
    if typed and typed.strip():
        state.ask(typed)
    pending = state.pending()
    # It follows a text that grows, and nothing else: unfolding a source must not carry the reader away. The stylesheet sets the height.
    running = pending is not None and pending.problem is None
    with st.container(key="log", height=600, border=False, autoscroll=running):
        # A slot of its own, emptied at once: what a run does not draw again would stay, pale, until the answer is complete.
        welcome = st.empty()
        if not turns and not pending:
            with welcome.container():
                _welcome(list(shared.experts.values()))
        else:
            welcome.empty()
        given = feedback_of_runs(shared.engine, [run.run_id for run in turns], None)
        for run in turns:
            _draw_turn(run, titles)
            feedback.draw(shared, run, titles, given.get(run.run_id))
        if pending:
            turn.draw(shared, context, pending, titles)


def stored_turns(shared: Services) -> list[Run]:
    """The open conversation's turns. Those that belong to an owner are not for this page, which has no log-in."""
    thread = state.thread()
    if not thread:
        return []
    found = [run for run in thread_runs(shared.engine, thread) if run.owner is None]
    if not found:
        state.new_chat()
        st.toast("That conversation is not here: it may have been deleted.", icon=":material/info:")
    return found


def _draw_turn(run: Run, titles: markup.Titles) -> None:
    answer = run.answer
    with st.chat_message("user"):
        st.html(markup.question(run.question))
    with st.chat_message("assistant"):
        st.html(markup.summary(answer, titles))
        if urgent := markup.notices(answer, safety=True):
            st.html(urgent)
        st.markdown(text.markdown(markup.body(answer), {c["n"] for c in answer["citations"]}, markup.anchor(answer)), anchors=False)
        if others := markup.notices(answer, safety=False):
            st.html(others)
        st.html(markup.sources(answer) + markup.background(answer, titles))


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
