"""The suite `conversation`."""

import json
from pathlib import Path

import pytest

from core.errors import InputError
from core.settings import ROOT, Settings
from evaluation.conversation import FILE, evaluate, read_dialogues
from experts.discovery import discover
from graph.services import Services
from store.runs import threads

SHIPPED = ROOT / "experts" / FILE
STEEP = "How long does green tea steep?"
ROWS = [
    {"kind": "ellipsis", "turns": [STEEP, "and black tea?"], "expert": "tea", "documents": ["brewing"]},
    {"kind": "pronoun", "turns": ["Do bees dance?", "who decoded it?"], "expert": "bees", "documents": ["dance"]},
    {"kind": "wrong", "turns": [STEEP], "expert": "bees", "documents": ["dance"]},
    {"kind": "vague", "turns": ["it hurts"], "outcome": "clarify"},
    {"kind": "dev", "split": "dev", "turns": [STEEP], "expert": "tea", "documents": ["brewing"]},
]


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_dialogues_are_played_and_marked_and_leave_no_trace(tiny: Services, tmp_path: Path) -> None:
    report = evaluate(tiny, "switchyard eval conversation", written(tmp_path / "d.jsonl", ROWS))
    ours, alone = report.results
    assert (report.n, ours.name, alone.name, alone.baseline) == (4, "switchyard", "each-turn-alone", True)
    assert ours.metrics["right.ellipsis"] == ours.metrics["right.pronoun"] == ours.metrics["clarified"] == 1.0
    assert (ours.metrics["right.wrong"], ours.metrics["clarified_wrongly"]) == (0.0, 0.0)
    assert ours.metrics["right"] == pytest.approx(2 / 3, abs=1e-6)
    assert alone.metrics["right"] < ours.metrics["right"]
    assert [(w["question"], w["expert"]) for w in report.wrong] == [(STEEP, "tea")]
    assert threads(tiny.engine, "evaluation") == []


def test_a_file_that_does_not_fit_is_one_line(tiny: Services, tmp_path: Path) -> None:
    for rows, message in [([{"turns": [], "expert": "tea", "documents": ["x"]}], "expected lines"), (ROWS[3:4], "expected at least one")]:
        with pytest.raises(InputError, match=message):
            evaluate(tiny, "", written(tmp_path / "d.jsonl", rows))


def test_the_shipped_dialogues_name_what_there_is() -> None:
    experts = discover(ROOT / "experts")
    for split in ("dev", "test"):
        rows = read_dialogues(SHIPPED, split)
        asked = [row for row in rows if row.outcome is None]
        assert {len(row.turns) for row in asked} == {2, 3}
        for row in asked:
            documents = {path.stem for path in (experts[str(row.expert)].folder / "corpus").iterdir()}
            assert set(row.documents) <= documents, row
    said = [" ".join(row.turns) for split in ("dev", "test") for row in read_dialogues(SHIPPED, split)]
    assert len(said) == len(set(said)) >= 160


def test_most_of_the_held_out_dialogues_go_right(tmp_path: Path) -> None:
    """A third of them; `switchyard eval conversation` plays them all. The whole set has .9 and more, so this leaves room for its spread."""
    lines = [line for line in SHIPPED.read_text(encoding="utf-8").splitlines() if '"test"' in line and '"vague"' not in line][::3]
    file = tmp_path / "d.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    shared = Services(Settings(home=tmp_path / "home"))
    ours, alone = evaluate(shared, "", file).results
    assert ours.metrics["right"] >= 0.8
    assert alone.metrics["right"] <= 0.6
