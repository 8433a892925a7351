"""The page "Evaluation": the reports of `switchyard eval ... --report DIR`, with plots and searchable wrong items. Run by ui/app.py."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.errors import InputError
from core.settings import ROOT
from core.text import count
from graph.services import services
from ui.chat.markup import problem
from ui.reports import markup
from ui.reports.stored import HTML, folders, matching, plots, read

MOST_WRONG = 50
ABOUT = "What was measured, against which baselines, and where it went wrong."


def main() -> None:
    """Draw the page once."""
    st.html(Path(__file__).with_name("style.css"))
    home = services().settings.home
    places = [home / "reports", ROOT / "benchmarks" / "results"]
    with st.container(key="reports"):
        st.html(markup.head("Evaluation", ABOUT, level=1))
        found = folders(places)
        if not found:
            st.html(
                markup.empty("No report yet. Make one, and it appears here:", f"switchyard eval all --report {home / 'reports' / 'all'}")
            )
            return
        chosen = st.selectbox("Report", found, format_func=lambda folder: _name(folder, places), key="report")
        _report(chosen)


def _name(folder: Path, places: list[Path]) -> str:
    place = next(place for place in places if folder.is_relative_to(place))
    return str(folder.relative_to(place)) if folder != place else folder.name


def _report(folder: Path) -> None:
    try:
        suites = read(folder)
    except InputError as error:
        st.html(problem(str(error)))
        return
    names = [suite.suite for suite in suites]
    suite = suites[0]
    if len(suites) > 1:
        picked = st.radio("Suite", names, horizontal=True, key=f"suite-{folder}")
        suite = suites[names.index(picked)]
    st.html(markup.facts(suite) + markup.results(suite))
    if drawn := plots(folder, suite.suite):
        st.html(markup.plots(drawn))
    _wrong(f"{folder}-{suite.suite}", suite.wrong, suite.n)
    page = folder / HTML
    if page.is_file():
        st.download_button("Download as one HTML page", page.read_bytes(), f"{folder.name}.html", "text/html", icon=":material/download:")


def _wrong(key: str, items: list[dict[str, object]], rows: int) -> None:
    if not items:
        return
    st.html(markup.head("Wrong items", f"{count(len(items), 'item')} of {rows:,} rows."))
    words = st.text_input("Search the wrong items", key=f"search-{key}", placeholder="Words that an item holds")
    found = matching(items, words)
    shown = found[:MOST_WRONG]
    more = f", the first {MOST_WRONG} shown" if len(found) > MOST_WRONG else ""
    st.html(f'<p class="rp-small" role="status">{count(len(found), "item")}{more}</p>{markup.wrong(shown)}')


if __name__ == "__main__":
    main()
