"""The Streamlit chat. Run by `switchyard ui`, or: streamlit run ui/app.py."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.errors import SwitchyardError
from graph.services import services
from ui.chat import conversation, sidebar
from ui.chat.text import label

HERE = Path(__file__).parent
ABOUT = "**Switchyard** answers each question from the documents of the right expert, with citations, and says how sure it is."


def main() -> None:
    """Draw the page once."""
    # An own icon: Streamlit fetches its named ones from the network.
    st.set_page_config("Switchyard", HERE / "chat" / "icon.svg", layout="centered", menu_items={"About": ABOUT})
    st.html(HERE / "chat" / "style.css")
    try:
        shared = services()
        turns = conversation.stored_turns(shared)
        conversation.draw(shared, sidebar.draw(shared, turns), turns)
    except SwitchyardError as error:
        # Nothing can be asked before this is mended: an expert's card, the settings, or the database.
        st.error(label(str(error), limit=2_000), icon=":material/error:")


if __name__ == "__main__":
    main()
