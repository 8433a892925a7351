"""What must not wait: the shipped rules on phrasings that their writers have not seen."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.settings import ROOT, Settings
from experts.discovery import discover, out_of_scope
from graph.services import Services
from retrieval.encoder import Encoder
from tests.graph.conftest import Table

ROWS = Path(__file__).parents[1] / "data" / "safety.csv"
"""rule, urgent (yes or no), text: 20 and 20 for each rule"""


Found = dict[tuple[str, str], list[tuple[str, str | None]]]
"""(rule, urgent) -> [(text, name of the rule that matched)]"""


@pytest.fixture(scope="module")
def found(minilm: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What the shipped rules say of each row. A row that stands in a rule word for word is left out: it would flatter."""
    services = Services(Settings(home=tmp_path_factory.mktemp("home")))
    services.encoder = minilm
    known = {text for e in services.experts.values() for rule in e.card.safety for text in (*rule.examples, *rule.harmless)}
    answers: Found = defaultdict(list)
    with ROWS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["text"] not in known:
                match = services.safety.match(minilm.encode([row["text"]])[0], services.policy)
                answers[row["rule"], row["urgent"]].append((row["text"], match.rule.name if match else None))
    return answers


def table_of(found: Found) -> str:
    """For the failure's message: the wrong rows of each rule, with what they matched."""
    lines = []
    for (rule, urgent), rows in found.items():
        wrong = [(text, name) for text, name in rows if name != (rule if urgent == "yes" else None)]
        lines += [f"{rule}, urgent={urgent}: {len(wrong)} of {len(rows)} wrong", *(f"    {name}: {text}" for text, name in wrong)]
    return "\n".join(lines)


def test_every_rule_is_tried_on_urgent_and_on_harmless_rows(found: Found) -> None:
    rules = {rule.name for expert in discover(ROOT / "experts").values() for rule in expert.card.safety}
    assert set(found) == {(rule, urgent) for rule in rules for urgent in ("yes", "no")}
    assert min(len(rows) for rows in found.values()) >= 16


def test_what_is_urgent_is_noticed(found: Found) -> None:
    """A row that touches two rules (a bridge, a crash) may meet the other one's notice first: the superior path is taken all the same."""
    names = [(rule, name) for (rule, urgent), rows in found.items() if urgent == "yes" for _, name in rows]
    noticed, own = (sum(found) / len(names) for found in ([name is not None for _, name in names], [rule == name for rule, name in names]))
    assert noticed >= 0.9, f"noticed {noticed:.3f}\n{table_of(found)}"
    assert own >= 0.85, f"noticed by its own rule {own:.3f}\n{table_of(found)}"


def test_what_is_harmless_is_left_alone(found: Found) -> None:
    noticed = [name is not None for (_, urgent), rows in found.items() if urgent == "no" for _, name in rows]
    alarms = sum(noticed) / len(noticed)
    assert alarms <= 0.1, f"false alarms {alarms:.3f}\n{table_of(found)}"


def test_a_match_names_its_rule_its_expert_and_its_nearness(tiny: Services, table: Callable[..., Table]) -> None:
    services = table([]).services
    match = services.safety.match(tiny.encoder.encode(["I spilled boiling tea over my arm"])[0], services.policy)
    assert match is not None
    assert (match.rule.name, match.expert) == ("scald", "tea")
    assert 0.6 < match.similarity <= 1.0


@pytest.mark.parametrize(
    "text", ["How hot should the water be for tea?", "Why do bees die after stinging?", "What is the capital of Norway?"]
)
def test_harmless_examples_and_strangers_do_not_match(table: Callable[..., Table], text: str) -> None:
    services = table([]).services
    assert services.safety.match(services.encoder.encode([text])[0], services.policy) is None


def test_broken_vectors_of_the_rules_are_made_anew(own_experts: Settings) -> None:
    services = Services(own_experts)
    before = services.safety.match(services.encoder.encode(["I spilled boiling tea over my arm"])[0], services.policy)
    (kept,) = (own_experts.indexes_dir / ".router").glob("safety-*.npy")
    kept.write_bytes(kept.read_bytes()[:200])
    again = Services(own_experts)
    assert before is not None
    assert again.safety.match(again.encoder.encode(["I spilled boiling tea over my arm"])[0], again.policy) == before
    known = sum(len((*rule.examples, *rule.harmless)) for e in again.experts.values() for rule in e.card.safety)
    questions = sum(len(e.questions("train")) for e in again.experts.values())
    assert len(np.load(kept)) == known + questions + len(out_of_scope(own_experts.experts_dir, "train"))


@pytest.mark.parametrize(
    "question",
    [
        "how do I jump start a car",
        "my toddler wakes up screaming",
        "why is my cat sleeping so much",
        "do electric cars catch fire more often",
    ],
)
def test_a_question_for_knowledge_is_no_emergency(minilm: Encoder, tmp_path: Path, question: str) -> None:
    services = Services(Settings(home=tmp_path))
    services.encoder = minilm
    assert services.safety.match(minilm.encode([question])[0], services.policy) is None
