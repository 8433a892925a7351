"""The page "Models": which models there are, what they cost, what was measured of them, and a prompt to try. Run by ui/app.py."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.errors import InputError, ModelError
from graph.nodes.prepare import clean_question
from graph.recommendation import choosable, recommend
from graph.recommender import LLM
from graph.services import Services, services
from ui.chat.markup import problem
from ui.reports import markup
from ui.reports.catalogue import entries

TIERS = "The inferior model answers first; the superior one is asked when that answer is not sure enough. Keys and models are set in .env."
LADDER = "The recommended model answers first; the one of the highest expected quality is asked when that answer is not sure enough."
NONE = "No recommender is trained yet. Measured answers of several models teach one which model suits which prompt:"
WORTH, BUDGET, FLOOR = "Quality for its cost", "Quality within a budget", "The cheapest that is good enough"


def main() -> None:
    """Draw the page once."""
    st.html(Path(__file__).with_name("style.css"))
    shared = services()
    with st.container(key="reports"):
        st.html(markup.head("Models", LADDER if len(choosable(shared)) > 1 else TIERS, level=1))
        st.html(markup.models(entries(shared)))
        st.html(markup.head("Which model suits a prompt?", "Predicted from measured prompts like it; nothing is asked of the models."))
        if shared.recommender is None:
            st.html(markup.empty(NONE, "switchyard train recommender DATA.jsonl"))
            return
        _try(shared)


def _try(shared: Services) -> None:
    goal = st.radio("What matters", [WORTH, BUDGET, FLOOR], horizontal=True, key="models-goal")
    budget = floor = None
    with st.form("models-form", border=False):
        prompt = st.text_area("Prompt", key="models-prompt", height=100, placeholder="Type a prompt")
        if goal == BUDGET:
            budget = st.number_input("At most so many USD", 0.0, None, 0.01, 0.001, format="%.4f", key="models-budget")
        elif goal == FLOOR:
            floor = st.number_input("At least this quality, from 0 to 1", 0.0, 1.0, 0.8, 0.05, key="models-floor")
        st.form_submit_button("Recommend a model", key="models-go", type="primary")
    if shared.recommender and shared.recommender.kind == LLM:
        st.html('<p class="rp-small">This recommender asks a chat model, which may cost money.</p>')
    if not prompt or not prompt.strip():
        return
    try:
        asked = clean_question(prompt, shared.settings.max_question_chars)
        found = recommend(shared, asked, budget=budget, floor=floor)
    except (InputError, ModelError) as error:
        st.html(problem(str(error)))
        return
    st.html(markup.recommendation(found))


if __name__ == "__main__":
    main()
