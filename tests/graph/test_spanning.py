"""Questions that span both shipped experts, held out from the router's examples."""

from __future__ import annotations

import csv
from pathlib import Path

from core.settings import ROOT, Settings
from experts.discovery import discover
from experts.examples import router_examples
from graph.api import run
from graph.nodes.route import find_route
from graph.services import Services
from graph.state import Context
from retrieval.encoder import OnnxEncoder

ROWS = Path(__file__).parent.parent / "data" / "spanning.csv"


def spanning() -> list[str]:
    with ROWS.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def test_the_rows_are_not_among_the_examples() -> None:
    texts, _ = router_examples(discover(ROOT / "experts"), ROOT / "experts")
    assert set(spanning()) & set(texts) == set()


def test_half_of_them_or_more_go_to_both(minilm: OnnxEncoder, tmp_path: Path) -> None:
    services = Services(Settings(home=tmp_path))
    services.encoder = minilm
    routes = [find_route(services, text) for text in spanning()]
    assert sum(len(found.experts) == 2 for found in routes) / len(routes) >= 0.5
    assert not any(found.out_of_scope for found in routes)


def test_one_answer_cites_both(minilm: OnnxEncoder, tmp_path: Path) -> None:
    services = Services(Settings(home=tmp_path))
    services.encoder = minilm
    answer = run("is it safe to drive after four hours of sleep?", Context(), given=services)
    assert sorted(answer.expert or []) == ["car", "sleep"]
    documents = {name: {path.stem for path in services.expert(name).corpus.glob("*.md")} for name in ("sleep", "car")}
    cited = {citation.passage_id.split("#")[0] for citation in answer.citations}
    assert cited & documents["sleep"] and cited & documents["car"]
