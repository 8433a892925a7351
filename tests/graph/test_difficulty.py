"""Difficulty: features of prompts, outcomes of two models, and P(the superior model is needed)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.errors import IndexFault, InputError, UnknownNameError
from graph.difficulty import KINDS, DifficultyRouter
from graph.outcomes import Linear, Trees
from graph.prompt_features import FEATURES, STRUCTURE, Prompt, prompt_features
from tests.graph import tiny_bert

CHOICE = "Two tins hold 3 and 12 teas. Which is NOT green?\nA. Sencha\nB. Assam black\nC. All of these\nAnswer:"
EASY, HARD = (
    "What colour is tea number {}?",
    "Calculate {} * 17 + 4 / 3 = x, then find x if 12% of 250 cups are not full. How many remain after 3 days?",
)


def history(n=60):
    """Prompts, weak and strong scores: the superior model is better on calculations, the inferior one on two easy prompts."""
    prompts = [EASY.format(i) for i in range(n)] + [HARD.format(i) for i in range(n)]
    weak = [1.0] * n + [0.0] * n
    strong = [0.0] * 2 + [1.0] * (2 * n - 2)
    return prompts, weak, strong


def named(text):
    return dict(zip(FEATURES, prompt_features([text])[0], strict=True))


def test_a_prompt_is_taken_apart():
    prompt = Prompt.of(CHOICE)
    assert prompt.stem == "Two tins hold 3 and 12 teas. Which is NOT green?"
    assert prompt.options == ["Sencha", "Assam black", "All of these"]
    assert prompt.asked == "Which is NOT green?"


def test_features_say_what_they_are_named_after():
    found = named(CHOICE)
    assert found["options"] == 3
    assert found["options_about_others"] == 1
    assert found["options_one_word"] == pytest.approx(1 / 3)
    assert found["numbers"] == pytest.approx(np.log1p(2))
    assert found["largest_number"] == pytest.approx(np.log1p(12))
    assert found["shouted_negations"] == pytest.approx(np.log1p(1))
    assert found["number_words"] == pytest.approx(np.log1p(1))
    assert found["ends_with_question_mark"] == 1
    assert named("the sky is")["ends_open"] == 1


@pytest.mark.parametrize("text", ["", " ", "?", "9" * 400, "\nA. x\nB. y", "1,2,3.", "\ud800 é 漢", "Answer:"])
def test_any_text_has_finite_features(text):
    found = prompt_features([text])
    assert found.shape == (1, len(FEATURES))
    assert np.isfinite(found).all()


def test_no_text_has_no_features():
    assert prompt_features([]).shape == (0, len(FEATURES))
    assert set(STRUCTURE) < set(FEATURES)


@pytest.mark.parametrize("kind", ["logistic", "xgboost"])
def test_a_learnt_router_tells_hard_prompts_from_easy_ones(kind, encoder):
    router = DifficultyRouter(kind, encoder).fit(*history(200))
    easy, hard = router.predict_proba([EASY.format(99), HARD.format(99)])
    assert easy < 0.4 < 0.6 < hard


@pytest.mark.parametrize("kind", ["length", "logistic", "xgboost"])
def test_a_saved_router_says_the_same(kind, encoder, tmp_path):
    router = DifficultyRouter(kind, encoder, seed=3).fit(*history())
    router.save(tmp_path / "difficulty")
    opened = DifficultyRouter.load(tmp_path / "difficulty", encoder)
    texts = [EASY.format(7), HARD.format(8), CHOICE]
    assert (opened.kind, opened.seed) == (kind, 3)
    assert opened.predict_proba(texts) == pytest.approx(router.predict_proba(texts), abs=1e-5)
    assert [opened.predict_proba([text])[0] for text in texts] == pytest.approx(opened.predict_proba(texts).tolist())


def test_length_is_an_order_by_length(encoder):
    found = DifficultyRouter("length", encoder).fit(*history()).predict_proba(["abc", "ab", "abcd"])
    assert np.argsort(found).tolist() == [1, 0, 2]
    assert DifficultyRouter("length", encoder).predict_proba(["x" * 1000])[0] == 0.5


def test_trees_in_numpy_are_the_trees_of_xgboost(encoder):
    import xgboost

    from graph.outcomes import ROUNDS, TREES

    inputs = prompt_features(history()[0])
    right = np.array(history()[1])
    booster = xgboost.train(TREES | {"seed": 0}, xgboost.DMatrix(inputs, right), ROUNDS)
    fresh = prompt_features([EASY.format(501), HARD.format(502), CHOICE, ""])
    assert Trees.fit(inputs, right, 0).probabilities(fresh) == pytest.approx(booster.predict(xgboost.DMatrix(fresh)), abs=1e-5)


def test_scores_between_0_and_1_count_by_their_share():
    inputs = prompt_features([EASY.format(1)] * 40)
    assert Linear.fit(inputs, np.full(40, 0.25), 0).probabilities(inputs)[0] == pytest.approx(0.25, abs=0.01)
    assert Linear.fit(inputs, np.ones(40), 0).probabilities(inputs)[0] == pytest.approx(0.999)


def test_probabilities_are_those_of_data_mixed_alike(encoder):
    rng = np.random.default_rng(0)
    prompts, weak, strong = history(300)
    weak = np.where(rng.random(600) < 0.3, 1.0, 0.0)
    strong = np.where(rng.random(600) < 0.8, 1.0, 0.0)
    found = DifficultyRouter("logistic", encoder).fit(prompts, weak, strong).predict_proba(prompts)
    assert found.mean() == pytest.approx((strong > weak).mean(), abs=0.01)


def test_scores_from_1_to_10_are_as_good(encoder):
    prompts, weak, strong = history()
    ten = DifficultyRouter("logistic", encoder).fit(prompts, [1 + 9 * w for w in weak], [1 + 9 * s for s in strong])
    one = DifficultyRouter("logistic", encoder).fit(prompts, weak, strong)
    assert ten.predict_proba(prompts[:3]) == pytest.approx(one.predict_proba(prompts[:3]))


@pytest.mark.parametrize(
    ("prompts", "weak", "strong", "line"),
    [
        ([], [], [], "Expected prompts with the scores of two models; got no rows."),
        (["a", "b"], [0], [1, 1], "Expected two scores for each prompt; got 2 prompts, 1 weak and 2 strong scores."),
        (["a", " "], [0, 1], [1, 1], "Row 2: expected a prompt; it is empty. Remove the row."),
        (["a", "b"], [0, 11], [1, 1], "Expected all scores in [0, 1], or all from 1 to 10; got 0 to 11."),
        (["a", "b"], [0, float("nan")], [1, 1], "Expected all scores in [0, 1], or all from 1 to 10; got nan to nan."),
    ],
)
def test_rows_that_cannot_be_used(prompts, weak, strong, line, encoder):
    with pytest.raises(InputError) as info:
        DifficultyRouter("logistic", encoder).fit(prompts, weak, strong)
    assert str(info.value) == line


@pytest.mark.parametrize(("weak", "word"), [([1.0, 1.0], "none"), ([0.0, 0.0], "all")])
def test_rows_of_one_kind_teach_nothing(weak, word, encoder):
    with pytest.raises(InputError, match=f"{word} of the 2 need it: there is nothing to learn"):
        DifficultyRouter("length", encoder).fit(["a", "b"], weak, [1.0, 1.0])


def test_an_unknown_kind(encoder):
    with pytest.raises(UnknownNameError, match=rf"No difficulty router is called 'magic'\. Known: {', '.join(KINDS)}\."):
        DifficultyRouter("magic", encoder)


def test_a_broken_or_foreign_router_is_refused(encoder, minilm, tmp_path):
    folder = tmp_path / "difficulty"
    with pytest.raises(IndexFault, match="Run: switchyard train difficulty"):
        DifficultyRouter.load(folder, encoder)
    DifficultyRouter("logistic", encoder).fit(*history()).save(folder)
    with pytest.raises(IndexFault, match="made by another encoder"):
        DifficultyRouter.load(folder, minilm)
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps(about | {"features": ["length"]}))
    with pytest.raises(IndexFault, match="trained on other features"):
        DifficultyRouter.load(folder, encoder)
    (folder / "about.json").write_text(json.dumps(about))
    (folder / "weak-weights.npy").write_bytes(b"half")
    with pytest.raises(IndexFault, match="its files are not those that were saved"):
        DifficultyRouter.load(folder, encoder)


def test_a_router_without_embeddings_serves_every_encoder(encoder, minilm, tmp_path):
    DifficultyRouter("xgboost", encoder).fit(*history(200)).save(tmp_path / "difficulty")
    opened = DifficultyRouter.load(tmp_path / "difficulty", minilm)
    assert opened.predict_proba([HARD.format(5)])[0] > 0.6


def test_a_chat_model_is_told_the_two_labels(encoder, tmp_path):
    told = []

    def ask(model, messages):
        told.append(str(messages[0].content))
        return json.dumps(
            {"ROUTE_TO_SUPERIOR": 0.9, "ROUTE_TO_INFERIOR": 0.1} if "Calculate" in str(messages[-1].content) else {"ROUTE_TO_INFERIOR": 1}
        )

    router = DifficultyRouter("llm", encoder, model="fake:judge", ask=ask).fit(*history(20))
    easy, hard = router.predict_proba([EASY.format(9), HARD.format(9)])
    assert easy < 0.1 < 0.85 < hard
    assert all(label in told[0] for label in ("ROUTE_TO_INFERIOR", "ROUTE_TO_SUPERIOR"))
    router.save(tmp_path / "difficulty")
    opened = DifficultyRouter.load(tmp_path / "difficulty", encoder, ask=ask)
    assert opened.kind == "llm"
    assert opened.predict_proba([HARD.format(9)])[0] == pytest.approx(hard)


def test_a_fine_tuned_encoder(encoder, tmp_path):
    base = tiny_bert.make(tmp_path, [*["prove", "integral", "theorem", "say", "hello", "name"], *map(str, range(40))])
    prompts = [f"{'prove integral theorem' if n % 2 else 'say hello name'} {n}" for n in range(80)]
    hard = [n % 2 for n in range(80)]
    router = DifficultyRouter("transformer", encoder, base=base, epochs=4).fit(prompts, [1 - h for h in hard], [1] * 80)
    router.save(tmp_path / "router")
    found = DifficultyRouter.load(tmp_path / "router", encoder).predict_proba(["prove integral theorem 7 8", "say hello name 7 8"])
    assert found[0] > 0.5 > found[1]
