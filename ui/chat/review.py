"""A route that waits: whom the question would go to, and who else could be asked. Only finding the route may have cost anything."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import streamlit as st

from graph.review import ACCEPT, DECLINE
from ui.chat import figures, markup, state

CHOICE = "review-choice"
NOBODY = "no expert"


def draw(offered: Mapping[str, Any], titles: markup.Titles) -> None:
    """Show the route with its likelihoods, and take the decision. `offered`: the data of a `review` event."""
    route = offered["route"]
    names = markup.names_of(route["expert"], titles) or NOBODY
    st.html(f'<p class="sy-line" role="status">This would go to <b>{escape(names)}</b>. Who should answer?</p>')

    def named(choice: str) -> str:
        return f"{names}, as found" if choice == ACCEPT else f"{titles[choice]} ({figures.percent(route['scores'].get(choice, 0.0))})"

    experts = [choice for choice in offered["choices"] if choice not in (ACCEPT, DECLINE, route["expert"])]
    with st.container(key="review", gap="small"):
        # A key of its own: the choice in one conversation is none in another.
        key = f"{CHOICE}-{offered['thread_id']}"
        st.selectbox("Who should answer?", [ACCEPT, *experts], format_func=named, key=key, label_visibility="collapsed")
        with st.container(horizontal=True, gap="small"):
            st.button("Ask", key="review-ask", type="primary", icon=":material/check:", on_click=_decide, args=(key,))
            st.button("Ask nobody", key="review-decline", icon=":material/block:", on_click=state.decide, args=(DECLINE,))


def _decide(key: str) -> None:
    state.decide(st.session_state[key])
