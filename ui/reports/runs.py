"""The page "Runs": past turns with their whole decision, and week by week what changed. Run by ui/app.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import streamlit as st

from core.text import count
from core.types import Outcome
from evaluation.drift import TESTS, weeks
from evaluation.drift_plot import plot
from graph.services import Services, services
from store.feedback import Feedback, all_feedback, feedback_of_runs, verdicts
from store.runs import Run, Turn, Wanted, find_run, turns
from ui.chat import markup as chat
from ui.chat import text
from ui.reports import decision, markup
from ui.reports.stored import Plot

ABOUT = "Every question that was asked here, how it was decided, and what changed from week to week."
LIST, WEEKS = "Runs", "Week by week"
ANY = "any"
EXAMPLE = 'switchyard ask "How long is a sleep cycle?"'
LOOKED_AT, SHOWN = 1_000, 50


def main() -> None:
    """Draw the page once."""
    st.html(Path(__file__).with_name("style.css"))
    shared = services()
    titles = {name: expert.card.title for name, expert in shared.experts.items()}
    with st.container(key="reports"):
        if run_id := st.query_params.get("run"):
            _one(shared, run_id, titles)
            return
        st.html(markup.head("Runs", ABOUT, level=1))
        if not turns(shared.engine, Wanted(local=True), 1):
            st.html(markup.empty("No run yet. Ask something in the chat, or in the terminal:", EXAMPLE))
        elif st.radio("Show", [LIST, WEEKS], horizontal=True, key="runs-view", label_visibility="collapsed") == LIST:
            _list(shared, titles)
        else:
            _weeks(shared, titles)


def _list(shared: Services, titles: chat.Titles) -> None:
    first, second, third = st.columns([1, 1, 2])
    with first:
        expert = _chosen("Expert", "expert", [ANY, *titles], {ANY: "Any", **titles})
    with second:
        outcome = _chosen("Outcome", "outcome", [ANY, *Outcome], {ANY: "Any", **decision.ENDED})
    with third:
        words = st.text_input("Words of the question", st.query_params.get("words", ""), key="runs-words") or None
    chosen = {"expert": expert, "outcome": outcome, "words": words}
    st.query_params.from_dict({name: value for name, value in chosen.items() if value})
    looked_at = turns(shared.engine, Wanted(expert=expert, outcome=outcome, local=True), LOOKED_AT)
    found = [turn for turn in looked_at if _holds(turn, words or "")]
    more = f", the newest {SHOWN} shown" if len(found) > SHOWN else ""
    of = f" of the newest {LOOKED_AT:,}" if len(looked_at) == LOOKED_AT else ""
    st.html(f'<p class="rp-small" role="status">{count(len(found), "run")}{of}{more}</p>')
    if found:
        st.html(decision.runs(found[:SHOWN], titles, **chosen))


def _chosen(label: str, name: str, options: list[str], names: dict[str, str]) -> str | None:
    """What is chosen of a filter, at first what the address says; None for any."""
    asked = st.query_params.get(name, ANY)
    at = options.index(asked) if asked in options else 0
    found = st.selectbox(label, options, at, format_func=lambda value: names.get(value, value), key=f"runs-{name}")
    return None if found == ANY else str(found)


def _holds(turn: Turn, words: str) -> bool:
    return all(word in turn.question.casefold() for word in words.casefold().split())


def _one(shared: Services, run_id: str, titles: chat.Titles) -> None:
    run = find_run(shared.engine, run_id)
    kept = {name: st.query_params.get(name) for name in ("expert", "outcome", "words")}
    if run is None or run.owner is not None:  # this page has no log-in
        st.html(chat.problem("That run is not here: it may have been deleted.") + f'<a class="rp-back" href="?">{LIST}</a>')
        return
    st.html(decision.opening(run, **kept))
    answer = run.answer
    if urgent := chat.notices(answer, safety=True):
        st.html(urgent)
    st.markdown(text.markdown(chat.body(answer), {c["n"] for c in answer["citations"]}, chat.anchor(answer)), anchors=False)
    said = list(feedback_of_runs(shared.engine, [run.run_id], None).values())
    st.html(chat.notices(answer, safety=False) + chat.sources(answer) + decision.whole(run, said, titles, shared.confidence.after))
    st.download_button("Download as JSON", as_json(run, said), f"run-{run.run_id}.json", "application/json", icon=":material/download:")


def as_json(run: Run, said: Sequence[Feedback]) -> str:
    """A run with all that is known of it, as `switchyard runs show --json` prints it."""
    return json.dumps({**asdict(run), "feedback": [one.as_dict() for one in said]}, ensure_ascii=False, indent=2)


def _weeks(shared: Services, titles: chat.Titles) -> None:
    found = decision.named(weeks(turns(shared.engine, Wanted(local=True)), verdicts(all_feedback(shared.engine))), titles)
    st.html(decision.changed(found))
    drawn = plot(found)
    st.html(markup.plots([Plot(drawn.shows, drawn.png)]))
    st.html(
        f'<p class="rp-small">How it is tested: {TESTS}. The same in the terminal, with a file: '
        "<code>switchyard runs drift --report DIR</code></p>"
    )


if __name__ == "__main__":
    main()
