"""What the page remembers: the open conversation is in the address, the questions without an answer in the session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.errors import InputError
from core.pictures import Picture, open_pictures, read_mark, thumbnail

INPUT = "question"
"""Key of the input field."""
_PENDING = "pending"
"""Questions without an answer, by conversation: one that waits in another one is not forgotten."""
_THREAD = "thread"
_LEFT = "left"
_HIDDEN = "hidden"
_LOOKED = "looked"
_ALL_THREADS = "all"
_THUMBNAILS = "thumbnails"
_UNDELETED = "undeleted"
MOST_TURNS_WITH_PICTURES = 50


@dataclass(slots=True)
class Pending:
    """A question without an answer yet. `problem`: why it has none; None asks it now.

    final: asking it again as it is gives the same problem. offered: the route that waits for the user's `choice`, as in the event `review`;
    gone: its pictures were not kept until now.
    """

    question: str
    thread: str | None
    problem: str | None = None
    final: bool = False
    pictures: Sequence[Picture] = ()
    thumbnails: Sequence[str] = ()
    offered: Mapping[str, Any] | None = None
    choice: str | None = None
    gone: bool = False


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


def ask(question: str, pictures: Sequence[Picture] = ()) -> None:
    """Have the question answered in the open conversation."""
    asked = Pending(question, thread(), pictures=pictures)
    with suppress(InputError):  # whoever asks says what is wrong with them
        asked.pictures = open_pictures(pictures)
        asked.thumbnails = [thumbnail(picture) for picture in asked.pictures]
    _all_pending()[asked.thread] = asked


def offer(offered: Mapping[str, Any]) -> None:
    """Have the pending question wait until its route is decided on. From here on it has a conversation of its own."""
    if found := pending():
        forget_pending()
        found.offered, found.thread, found.problem = offered, offered["thread_id"], None
        _all_pending()[found.thread] = found
        open_thread(offered["thread_id"])


def offer_again(question: str, offered: Mapping[str, Any]) -> None:
    """Have a stored question, whose route still waits, be the pending one. Nothing keeps its pictures."""
    words, _ = read_mark(question)
    _all_pending()[thread()] = Pending(words, thread(), offered=offered, gone=words != question)


def turned() -> bool:
    """Whether the page has just turned to the open conversation, or was loaded with it."""
    before, st.session_state[_LOOKED] = st.session_state.get(_LOOKED), thread()
    return before != thread()


def decide(choice: str) -> None:
    """Go on with the pending question as the user wants it."""
    if found := pending():
        found.choice = choice


def retry() -> None:
    """Ask the pending question again."""
    if found := pending():
        ask(found.question, found.pictures)


def edit() -> None:
    """Put the pending question back into the input field."""
    if found := pending():
        st.session_state[INPUT] = found.question
        forget_pending()


def pending() -> Pending | None:
    """The question without an answer of the open conversation."""
    return _all_pending().get(thread())


def waiting() -> list[Pending]:
    """The questions whose routes wait, in whatever conversation, the latest first."""
    return [found for found in reversed(_all_pending().values()) if found.offered]


def all_threads() -> bool:
    """Whether to list all conversations, or the latest only."""
    return bool(st.session_state.get(_ALL_THREADS))


def show_all_threads() -> None:
    """List all conversations."""
    st.session_state[_ALL_THREADS] = True


def not_deleted(problem: str) -> None:
    """Keep why a conversation was not deleted until it is shown: what is drawn before the page runs again is lost."""
    st.session_state[_UNDELETED] = problem


def undeleted() -> str | None:
    """Why a conversation was not deleted, once."""
    problem: str | None = st.session_state.pop(_UNDELETED, None)
    return problem


def hidden(turns: int, shown: int) -> int:
    """How many turns at the open conversation's beginning are not drawn: all but the last `shown` when it is opened, and these only."""
    name, count = st.session_state.get(_HIDDEN, (None, 0))
    if name != thread():
        # One that begins here is drawn as a whole.
        count = max(0, turns - shown)
        st.session_state[_HIDDEN] = thread(), count
    return min(int(count), turns)


def show_earlier(more: int) -> None:
    """Draw `more` of the turns that are not drawn."""
    name, count = st.session_state[_HIDDEN]
    st.session_state[_HIDDEN] = name, max(0, count - more)


def keep_thumbnails(run_id: str, urls: Sequence[str]) -> None:
    """Show these with a turn for as long as the page is open: nothing else keeps a picture."""
    kept = st.session_state.setdefault(_THUMBNAILS, {})
    if urls:
        kept[run_id] = urls
    while len(kept) > MOST_TURNS_WITH_PICTURES:
        del kept[next(iter(kept))]


def thumbnails(run_id: str) -> Sequence[str]:
    """The pictures of a turn, small, as data: URLs."""
    kept: dict[str, Sequence[str]] = st.session_state.get(_THUMBNAILS, {})
    return kept.get(run_id, ())


def forget_pending(name: str | None = None) -> None:
    """It was answered or given up. name: of another conversation than the open one."""
    _all_pending().pop(name or thread(), None)


def _all_pending() -> dict[str | None, Pending]:
    found: dict[str | None, Pending] = st.session_state.setdefault(_PENDING, {})
    return found
