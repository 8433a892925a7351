"""The page "Route lab": type a prompt, and see where it would go and why. Run by ui/app.py."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import streamlit as st

from core.errors import InputError
from core.text import count
from core.types import OUT_OF_SCOPE
from experts.discovery import out_of_scope
from graph.fitted import unfitted
from graph.nodes.prepare import clean_question
from graph.promise import broken_promise
from graph.services import Services, services
from ui.chat import text
from ui.chat.markup import Titles, problem, title
from ui.lab import landscape, markup
from ui.lab.collisions import Collision, collisions
from ui.lab.examples import examples, passages
from ui.lab.predictions import no_difficulty, plan, predictions

PROMPT = "lab-prompt"
EXAMPLES = 5
FLOOR, NEAR = 0.6, 0.75
"""Cosines: the least that the slider shows, and where it stands at first."""
MOST_PAIRS = 50
NEAREST = 5
HEAD = """<div class="lab-head"><h1>Route lab</h1>
<p>Where would a prompt go, and why? Nothing is answered here, and nothing is spent.</p></div>"""


def main() -> None:
    """Draw the page once."""
    st.html(Path(__file__).with_name("style.css"))
    shared = services()
    titles = {name: expert.card.title for name, expert in shared.experts.items()}
    with st.container(key="lab"):
        st.html(HEAD)
        if not shared.lone:
            # Where another router decides, this one may not have been needed before.
            with st.spinner("Fitting the similarity router (once, a minute or two) …"):
                _ = shared.similarity
        prompt = _prompt(shared)
        if prompt:
            for what, learn in unfitted(shared):
                with st.spinner(f"Learning {what} (once, under a minute) …"):
                    learn()
            _routes(shared, prompt, titles)
        _map(shared, prompt, titles)
        _collisions(shared, titles)


def _prompt(shared: Services) -> str:
    """What is to be routed; empty while nothing usable is typed."""
    with st.form("lab-form", border=False):
        typed = st.text_area("Prompt", key=PROMPT, height=100, placeholder="Type a prompt", persist_state="session")
        st.form_submit_button("Show the route", key="lab-go", type="primary")
    if not typed or not typed.strip():
        _suggest(shared)
        return ""
    try:
        return clean_question(typed, shared.settings.max_question_chars)
    except InputError as error:
        st.html(problem(str(error)))
        return ""


def _suggest(shared: Services) -> None:
    """Prompts to begin with: one of each expert, and one of none."""
    with st.container(key="suggest-lab", gap="xsmall"):
        st.html('<p class="sy-group">Or begin with one of these</p>')
        for n, (whose, question) in enumerate(_suggestions(shared)):
            label = f"{text.label(question, limit=120)} :small[:gray[{text.label(whose, limit=60)}]]"
            st.button(label, key=f"suggest-lab-{n}", width="stretch", on_click=_take, args=(question,))


def _suggestions(shared: Services) -> list[tuple[str, str]]:
    found = []
    for expert in islice(shared.experts.values(), EXAMPLES - 1):
        asked = [*expert.card.examples[:1], *(item.question for item in expert.questions("train")[:1]), *expert.utterances("train")[:1]]
        found += [(expert.card.title, question) for question in asked[:1]]
    return found + [(title(OUT_OF_SCOPE, {}), question) for question in out_of_scope(shared.settings.experts_dir, "train")[:1]]


def _take(question: str) -> None:
    st.session_state[PROMPT] = question


def _routes(shared: Services, prompt: str, titles: Titles) -> None:
    found, policy = predictions(shared, prompt), shared.policy
    # That of the settings, else similarity's, which is nearly always there.
    route = next((one.route for one in found if one.route), None)
    if route:
        st.html(markup.decision(plan(shared, prompt, route), policy, titles, broken_promise(shared)))
    st.html(markup.head("Routers", "What each makes of the prompt, and what the policy would do with it."))
    st.html(markup.cards(found, policy, titles, no_difficulty(shared)) + markup.thresholds(policy))
    if nearest := shared.similarity.nearest(prompt, NEAREST):
        st.html(markup.head("Nearest examples", "What the routers learn from that lies closest, by cosine."))
        st.html(markup.neighbours(nearest, titles))


def _map(shared: Services, prompt: str, titles: Titles) -> None:
    explained = "Examples and passages in the two directions that tell the labels apart best. Drag to move, Ctrl and the wheel to zoom."
    st.html(markup.head("Map", explained))
    drawn = _landscape(str(shared.router_folder), shared)
    colours = drawn.colours(dark=st.context.theme.type == "dark")
    st.html(landscape.legend(colours, prompt=bool(prompt)))
    vector = shared.encoder.encode([prompt])[0] if prompt else None
    alt = f"Map of {len(drawn.points):,} examples and passages of {', '.join(titles.values())}."
    st.altair_chart(landscape.chart(drawn, colours, prompt, vector), width="stretch", alt=alt)


@st.fragment
def _collisions(shared: Services, titles: Titles) -> None:
    st.html(markup.head("Colliding pairs", "Examples of different labels that lie so close that a router can hardly tell them apart."))
    at = st.slider("Cosine of at least", FLOOR, 1.0, NEAR, 0.01, key="lab-cosine")
    found = [pair for pair in _pairs(str(shared.router_folder), shared) if pair.similarity >= at]
    if not found:
        st.html('<p class="lab-none">None: no two examples of different labels lie that close.</p>')
        return
    more = f", the nearest {MOST_PAIRS} shown" if len(found) > MOST_PAIRS else ""
    st.html(f'<p class="lab-small" role="status">{count(len(found), "pair")}{more}</p>{markup.pairs(found[:MOST_PAIRS], titles)}')


# The folder's name changes with every file that the experts' examples and documents come from.
@st.cache_resource(show_spinner="Drawing the map …", max_entries=1)
def _landscape(of: str, _shared: Services) -> landscape.Landscape:
    titles = {name: expert.card.title for name, expert in _shared.experts.items()}
    return landscape.landscape(examples(_shared), passages(_shared), titles)


@st.cache_resource(show_spinner="Looking for pairs …", max_entries=1)
def _pairs(of: str, _shared: Services) -> list[Collision]:
    return collisions(examples(_shared), FLOOR)


if __name__ == "__main__":
    main()
