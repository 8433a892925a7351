"""The pieces of the route lab that are plain functions: predictions, what is said of them, projection, map and pairs."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import DocumentError
from core.settings import Settings
from core.types import Neighbour, Route, Tier
from experts.discovery import SafetyRule
from graph.policy import Policy
from graph.services import Services
from ui.chat.markup import title
from ui.lab import landscape, markup
from ui.lab.collisions import Collision, collisions
from ui.lab.examples import Examples, passages, spread
from ui.lab.predictions import Plan, Prediction, no_difficulty, predictions
from ui.lab.projection import fit_projection

TITLES = {"tea": "Tea", "bees": "Bees"}
POLICY = Policy(
    target="Right <often>.", out_of_scope_at=0.2, look_below=0.9, both_at=0.1, accept_at=0.6, retry_at=0.3, answer_at=0.2, stream_at=0.7,
    superior_at=0.8, safety_at=0.4,
)  # fmt: skip
ROUTE = Route("tea", {"bees": 0.05, "tea": 0.85, "out_of_scope": 0.1}, 0.85, False, "similarity", superior_probability=0.25)


def test_nothing_is_spent(scripted: Callable[..., Services]) -> None:
    shared = scripted({})
    found = {one.kind: one for one in predictions(shared, "How long does green tea steep?")}
    assert list(found) == ["similarity", "logistic", "xgboost", "transformer", "llm"]
    assert found["similarity"].route and found["similarity"].route.expert == "tea"
    assert found["llm"].route is None
    assert found["logistic"].problem == "Not trained yet. Train it with: switchyard train router --kind logistic"


def test_a_difficulty_router_that_cannot_be_opened_or_asked_leaves_the_route(scripted: Callable[..., Services]) -> None:
    shared = scripted({})
    broken = shared.settings.home / "difficulty"
    broken.mkdir(parents=True)
    (broken / "about.json").write_text("{")
    for said in (f"The router in {broken} cannot be read: ", "The difficulty router asks a chat model"):
        assert no_difficulty(shared).startswith(said)
        route = predictions(shared, "How long does green tea steep?")[0].route
        assert route and (route.expert, route.superior_probability) == ("tea", None)
        shown = markup.cards([Prediction("similarity", route)], POLICY, TITLES, no_difficulty(shared))
        assert f"<h3>Superior model needed</h3><p>{said}" in shown
        shared.__dict__["difficulty"] = SimpleNamespace(kind="llm")


def test_an_expert_without_documents_leaves_the_map_to_the_others(own_experts: Settings) -> None:
    for document in (own_experts.experts_dir / "bees" / "corpus").iterdir():
        document.unlink()
    assert set(passages(Services(own_experts)).labels) == {"tea"}
    for document in (own_experts.experts_dir / "tea" / "corpus").iterdir():
        document.unlink()
    with pytest.raises(DocumentError, match=r"bees.corpus; found none\. Put documents there\."):
        passages(Services(own_experts))


MODELS = {Tier.INFERIOR: "weak", Tier.SUPERIOR: "strong"}
STING = SafetyRule(name="sting", notice="Call <112>!", examples=("a",))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan(ROUTE, MODELS), "weak answers first. From 60% confidence its answer is given; below 30% it reads more first"),
        (Plan(ROUTE, MODELS, STING), "A safety rule applies: strong answers at once, under the notice."),
        (Plan(ROUTE, MODELS, STING), '<div class="sy-safety" role="note">Call &lt;112&gt;!</div>'),
        (Plan(ROUTE, MODELS, hard=True), "The superior model is likely to be needed: strong answers at once."),
        (Plan(Route(None, {}, 0.9, True, "similarity"), MODELS), "No model is asked: the answer says what the experts cover."),
        (Plan(Route(None, {}, 0.9, True, "similarity"), MODELS, general="wide"), "wide answers, and the answer is marked as resting"),
    ],
)
def test_the_plan_is_said_in_words(plan: Plan, said: str) -> None:
    shown = markup.decision(plan, POLICY, TITLES)
    assert said in shown
    assert "Thresholds: Right &lt;often&gt;." in shown


def test_a_promise_that_is_broken_is_not_shown() -> None:
    policy = POLICY.model_copy(update={"guarantee": "At most <0.1> are wrong."})
    assert "Thresholds: Right &lt;often&gt;. At most &lt;0.1&gt; are wrong.</p>" in markup.decision(Plan(ROUTE, MODELS), policy, TITLES)
    shown = markup.decision(Plan(ROUTE, MODELS), policy, TITLES, "No longer. Run: switchyard a <b>")
    assert "Thresholds: Right &lt;often&gt;. No longer. Run: <code>switchyard a &lt;b&gt;</code></p>" in shown


def test_cards_show_probabilities_with_their_thresholds() -> None:
    shown = markup.cards([Prediction("similarity", ROUTE), Prediction("xgboost", None, "No <x>. Run: switchyard a")], POLICY, TITLES)
    tea, bees, out = shown.split('<div class="sy-name">')[1:4]
    assert tea.startswith("Tea</div>")
    assert '<span style="width:85.0%"></span><i style="left:10.0%"></i></div><div class="sy-value">85%' in tea
    assert '<span style="width:5.0%"></span><i style="left:10.0%"></i>' in bees
    assert '<span style="width:10.0%"></span><i style="left:20.0%"></i><i style="left:90.0%"></i>' in out
    assert '<section class="lab-card lab-off"><h3>XGBoost</h3><p>No &lt;x&gt;. Run: <code>switchyard a</code></p></section>' in shown
    assert 'From 80% on it is asked at once.</p><div class="sy-bars lab-bars"><div class="sy-name">Probability</div>' in shown
    assert '<span style="width:25.0%"></span><i style="left:80.0%"></i>' in shown


def test_many_experts_are_shown_as_the_likeliest_and_the_rest_together() -> None:
    scores = {f"e{n}": p for n, p in enumerate((0.4, 0.2, 0.1, 0.1, 0.05, 0.04, 0.01))} | {"out_of_scope": 0.1}
    shown = markup.cards([Prediction("similarity", Route("e0", scores, 0.4, False, "similarity"))], POLICY, {})
    names = [part.split("<")[0] for part in shown.split('<div class="sy-name">')[1:]]
    assert names == ["e0", "e1", "e2", "e3", "e4", "2 others together", "Out of scope"]
    assert "2 others together</div>" in shown and '<div class="sy-value">5%</div>' in shown


def test_neighbours_are_escaped() -> None:
    shown = markup.neighbours([Neighbour("<i>hot", "tea+bees", 0.456)], TITLES)
    assert (
        '<span class="lab-cosine">0.46</span><span class="lab-text">&lt;i&gt;hot</span><span class="lab-label">Tea and Bees</span>' in shown
    )


def unit(*rows: tuple[float, ...]) -> np.ndarray:
    found = np.array(rows, np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_pairs_with_no_label_in_common_collide_nearest_first() -> None:
    vectors = unit((1, 0, 0), (1, 0, 0), (0.8, 0.6, 0), (1, 0.1, 0), (0, 0, 1))
    found = Examples(["a", "b", "c", "both", "far"], ["tea", "tea", "bees", "bees+tea", "out_of_scope"], vectors)
    assert collisions(found, 0.7) == [Collision("a", "tea", "c", "bees", 0.8), Collision("b", "tea", "c", "bees", 0.8)]
    assert collisions(found, 0.81) == []


def test_pairs_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.lab.collisions.BLOCK", 2)
    found = Examples(["a", "x", "y", "z", "b"], ["tea", "tea", "tea", "tea", "bees"], unit((1, 0), (0, 1), (0, 1), (0, 1), (0.8, 0.6)))
    assert [(pair.text, pair.other) for pair in collisions(found, 0.7)] == [("a", "b")]


def test_the_projection_tells_labels_apart_that_variance_would_not() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 1, (300, 6)) * [1, 1, 0.2, 0.5, 0.5, 0.2]  # the two widest directions say nothing about the label
    labels = [("a", "b", "c")[n % 3] for n in range(300)]
    vectors[:, 2] += [{"a": 0, "b": 1, "c": 0}[label] for label in labels]
    vectors[:, 5] += [{"a": 0, "b": 0, "c": 1}[label] for label in labels]
    found = fit_projection(vectors, labels)
    placed = found.apply(vectors)
    centres = {name: placed[[label == name for label in labels]].mean(axis=0) for name in "abc"}
    assert np.linalg.norm(found.axes[:, [2, 5]]) > 0.95 * np.linalg.norm(found.axes)
    assert min(np.linalg.norm(centres[a] - centres[b]) for a, b in ("ab", "bc", "ac")) > 4
    assert placed.mean(axis=0) == pytest.approx([0, 0], abs=1e-9)


def test_two_labels_leave_one_axis_to_the_widest_spread() -> None:
    vectors = np.array([[0, 0, -3], [0, 0, 3], [1, 0, -3], [1, 0, 3]], float)
    found = fit_projection(vectors, ["a", "a", "b", "b"]).apply(vectors)
    assert found[:, 1] == pytest.approx([-1, 1, -1, 1])
    assert found[:, 0] == pytest.approx(np.array([-1, -1, 1, 1]) * found[2, 0])
    assert found[2, 0] > 0


def test_one_label_and_one_point_can_be_placed_too() -> None:
    assert fit_projection(np.array([[1.0, 0.0], [-1.0, 0.0]]), ["a", "a"]).apply(np.array([[2.0, 5.0]])).tolist() == [[2.0, 0.0]]
    assert fit_projection(np.array([[1.0, 2.0, 3.0]]), ["a"]).apply(np.ones((1, 3))).tolist() == [[0.0, 0.0]]


def test_a_sample_is_even_and_the_same_every_time() -> None:
    found = Examples([f"t{n}" for n in range(100)] + ["rare"], ["tea"] * 100 + ["bees"], np.arange(101, dtype=np.float32)[:, None])
    kept = spread(found, 10)
    assert kept.texts == ["t0", "t24", "t49", "t74", "t99", "rare"]
    assert kept.labels == ["tea"] * 5 + ["bees"]
    assert kept.vectors[:, 0].tolist() == [0, 24, 49, 74, 99, 100]


def points(names: list[str]) -> Examples:
    rng = np.random.default_rng(1)
    vectors = rng.normal(0, 1, (len(names), 8))
    return Examples([f"  text\n{n} " * 60 for n in range(len(names))], names, vectors.astype(np.float32))


def test_the_map_holds_examples_passages_and_the_prompt() -> None:
    drawn = landscape.landscape(points(["tea", "bees", "bees+tea", "out_of_scope"] * 5), points(["tea", "bees"]), TITLES)
    assert (drawn.labels, drawn.grey) == (["Bees", "Tea", "Bees and Tea"], ["Out of scope"])
    assert [point["kind"] for point in drawn.points] == ["Passage"] * 2 + ["Example"] * 20
    assert drawn.points[0]["text"] == f"{'text 0 ' * 22}text…"
    colours = drawn.colours(dark=False)
    assert colours == {"Bees": "#0072b2", "Tea": "#d55e00", "Bees and Tea": "#009e73", "Out of scope": "#8a9696"}
    vector = np.ones(8, np.float32)
    spec = landscape.chart(drawn, colours, "<b>prompt</b>", vector).to_dict()
    [own] = spec["datasets"][spec["layer"][1]["data"]["name"]]
    assert (own["text"], own["kind"]) == ("<b>prompt</b>", "Your prompt")
    assert [own["x"], own["y"]] == pytest.approx(drawn.projection.apply(vector[None])[0])
    assert [own] not in landscape.chart(drawn, colours, "", None).to_dict()["datasets"].values()
    legend = landscape.legend({"<i>": "#000000"}, prompt=True)
    assert '<span style="background:#000000"></span>&lt;i&gt;</li>' in legend and "Your prompt" in legend


def test_more_experts_than_colours_share_a_grey() -> None:
    drawn = landscape.landscape(points([f"e{n}" for n in range(9)] * 3 + ["out_of_scope"]), points(["e8"]), {})
    assert drawn.labels == ["e0", "e1", "e2", "e3", "e4", "e5"]
    assert drawn.grey == ["Other experts", "Out of scope"]
    assert drawn.points[0]["label"] == "Other experts"


def test_labels_are_read_as_titles() -> None:
    assert title("tea+bees", TITLES) == "Tea and Bees"
    assert title("out_of_scope", TITLES) == "Out of scope"
    assert title("gone", TITLES) == "gone"
