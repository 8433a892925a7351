"""The Streamlit application, five pages: chat, route lab, evaluation, models, runs. Run by `switchyard ui`, or: streamlit run ui/app.py."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.errors import SwitchyardError
from ui.chat import state
from ui.chat.markup import problem

HERE = Path(__file__).parent
ABOUT = "**Switchyard** answers each question from the documents of the right expert, with citations, and says how sure it is."


def main() -> None:
    """Draw the page once."""
    # An own icon: Streamlit fetches its named ones from the network.
    st.set_page_config("Switchyard", HERE / "chat" / "icon.svg", layout="centered", menu_items={"About": ABOUT})
    st.html(HERE / "chat" / "style.css")
    chat = st.Page(HERE / "chat" / "page.py", title="Chat", default=True)
    lab = st.Page(HERE / "lab" / "page.py", title="Route lab", url_path="lab")
    reports = st.Page(HERE / "reports" / "evaluation.py", title="Evaluation", url_path="evaluation")
    models = st.Page(HERE / "reports" / "models.py", title="Models", url_path="models")
    runs = st.Page(HERE / "reports" / "runs.py", title="Runs", url_path="runs")
    page = st.navigation([chat, lab, reports, models, runs], position="hidden")
    with st.sidebar:
        script = (HERE / "chat" / "page.js").read_text(encoding="utf-8")
        st.html(f'<div class="sy-brand">Switchyard</div><script>{script}</script>', unsafe_allow_javascript=True)
        with st.container(key="pages"):
            st.page_link(chat, icon=":material/forum:", query_params=state.address(on_chat=page == chat))
            st.page_link(lab, icon=":material/alt_route:")
            st.page_link(reports, icon=":material/monitoring:")
            st.page_link(models, icon=":material/memory:")
            st.page_link(runs, icon=":material/history:")
    try:
        page.run()
    except SwitchyardError as error:
        # Nothing can be asked before this is mended: an expert's card, the settings, or the database.
        with st.container(key="fault"):
            st.html(problem(str(error)))
            st.button("Try again", key="fault-retry", icon=":material/refresh:")


if __name__ == "__main__":
    main()
