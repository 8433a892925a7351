"""What the page remembers: the open conversation is in the address, the question under way in the session."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

INPUT = "question"
"""Key of the input field."""
_PENDING = "pending"
_THREAD = "thread"
_LEFT = "left"


@dataclass(slots=True)
class Pending:
    """A question without an answer yet. `problem`: why it has none; None asks it now."""

    question: str
    thread: str | None
    problem: str | None = None


def thread() -> str | None:
    """The open conversation; None is a new one."""
    return st.query_params.get(_THREAD) or None


def address(*, on_chat: bool) -> dict[str, str]:
    """The query of the chat's address: that of the open conversation, also while another page is looked at."""
    if on_chat:
        st.session_state[_LEFT] = thread()
    left = st.session_state.get(_LEFT)
    return {_THREAD: left} if left else {}


def open_thread(name: str) -> None:
    """Turn to a conversation. A question that was under way in another one waits there."""
    st.query_params[_THREAD] = name


def new_chat() -> None:
    """Turn to a new conversation."""
    if _THREAD in st.query_params:
        del st.query_params[_THREAD]
    else:
        forget_pending()


def ask(question: str) -> None:
    """Have the question answered in the open conversation."""
    st.session_state[_PENDING] = Pending(question, thread())


def retry() -> None:
    """Ask the pending question again."""
    if found := pending():
        found.problem = None


def edit() -> None:
    """Put the pending question back into the input field."""
    if found := pending():
        st.session_state[INPUT] = found.question
        forget_pending()


def pending() -> Pending | None:
    """The question without an answer, of the open conversation only."""
    found: Pending | None = st.session_state.get(_PENDING)
    return found if found and found.thread == thread() else None


def forget_pending() -> None:
    """It was answered or given up."""
    st.session_state.pop(_PENDING, None)
