import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import IndexFault, InputError, UnknownNameError
from graph.asked_scores import probabilities
from graph.recommender import KINDS, LLM, MOST, Measured, Recommender

QUICK = [kind for kind in KINDS if kind != LLM]
NAN = np.nan


def measured(rows=160):
    """`sums` is right on sums, `poet` on poems; `third` was measured on every third prompt only, and is right half the time."""
    prompts = [f"what is {n} plus {n + 3}" if n % 2 else f"write a gentle poem about autumn leaf number {n}" for n in range(rows)]
    scores = np.array([[n % 2, 1 - n % 2, (n % 4 < 2) if n % 3 == 0 else NAN] for n in range(rows)], np.float64)
    costs = np.array([[0.001, 0.010, 0.005 if n % 2 else NAN] for n in range(rows)])
    latencies = np.where(np.isnan(scores), NAN, np.array([100.0, 900.0, 500.0]))
    return Measured(prompts, ["sums", "poet", "third"], scores, costs, latencies)


@pytest.mark.parametrize("kind", QUICK)
def test_every_kind_learns_who_is_right_on_what(kind, encoder):
    found = Recommender(kind, encoder).fit(measured())
    on_sum, on_poem = found.qualities(["what is 70 plus 73", "write a gentle poem about autumn leaf number 70"])
    assert on_sum[0] > on_sum[1] + 0.2
    assert on_poem[1] > on_poem[0] + 0.2
    assert 0.2 < on_sum[2] < 0.8
    assert found.models == ["sums", "poet", "third"]
    assert found.counts == [160, 160, 54]
    assert found.qualities([]).shape == (0, 3)


@pytest.mark.parametrize("kind", QUICK)
def test_a_saved_one_says_the_same(kind, encoder, tmp_path):
    learnt = measured()
    learnt.prompts[-1] += "." * 10_000  # of which only the beginning is kept
    made = Recommender(kind, encoder, seed=3).fit(learnt)
    made.worth = 12.5
    made.save(tmp_path / "recommender")
    found = Recommender.load(tmp_path / "recommender", encoder)
    prompts = ["what is 5 plus 9", "a poem about rain", ""]
    assert found.qualities(prompts) == pytest.approx(made.qualities(prompts), abs=1e-5)
    assert found.costs(prompts) == pytest.approx(made.costs(prompts), abs=1e-6, nan_ok=True)
    assert found.characters(prompts[0]) == pytest.approx(made.characters(prompts[0]))
    assert found.characters(learnt.prompts[-1]) > 250
    assert (found.kind, found.seed, found.worth, found.models) == (kind, 3, 12.5, made.models)
    assert found.nearest(prompts[0], 2) == made.nearest(prompts[0], 2)


def test_costs_and_times_are_those_of_the_nearest_that_have_one(encoder):
    found = Recommender("neighbours", encoder).fit(measured())
    assert found.costs(["what is 1 plus 2"])[0] == pytest.approx([0.001, 0.010, 0.005])
    assert found.latencies(["what is 1 plus 2"])[0] == pytest.approx([100, 900, 500])
    without = measured()
    without.costs[:, 1] = NAN
    assert np.isnan(Recommender("neighbours", encoder).fit(without).costs(["x"])[0]).tolist() == [False, True, False]


def test_the_nearest_measured_prompts_explain(encoder):
    near = Recommender("kernel", encoder).fit(measured()).nearest("what is 3 plus 6", 2)[0]
    assert (near.prompt, near.similarity) == ("what is 3 plus 6", 1.0)
    assert near.scores == {"sums": 1.0, "poet": 0.0, "third": 0.0}


def test_of_very_many_rows_a_part_is_learnt_from(encoder, monkeypatch):
    monkeypatch.setattr("graph.recommender.MOST", 10)
    found = Recommender("neighbours", encoder).fit(measured())
    assert found.counts[0] == 10
    assert found.nearest("x", 99) == Recommender("neighbours", encoder).fit(measured()).nearest("x", 99)
    assert MOST > 1_000


def test_what_cannot_be_learnt_from_is_refused(encoder):
    one = measured()
    with pytest.raises(InputError, match="at least two models; got 1 prompts and the models only"):
        Recommender("kernel", encoder).fit(Measured(["x"], ["only"], *(np.zeros((1, 1)) for _ in range(3))))
    with pytest.raises(InputError, match="at least two models; got 0 prompts"):
        Recommender("kernel", encoder).fit(one.rows([]))
    one.scores[:, 1] = NAN
    with pytest.raises(InputError, match="poet has none"):
        Recommender("kernel", encoder).fit(one)
    with pytest.raises(UnknownNameError, match="No recommender is called 'magic'"):
        Recommender("magic", encoder)


def test_a_broken_or_foreign_one_is_refused_with_what_mends_it(encoder, tmp_path):
    folder = tmp_path / "recommender"
    Recommender("kernel", encoder).fit(measured()).save(folder)
    (folder / "scores.npy").write_bytes(b"half")
    with pytest.raises(IndexFault, match=r"cannot be read: .*Run: switchyard train recommender FILE"):
        Recommender.load(folder, encoder)
    Recommender("kernel", encoder).fit(measured()).save(folder)
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps(about | {"encoder": "another"}))
    with pytest.raises(IndexFault, match="another encoder"):
        Recommender.load(folder, encoder)
    (folder / "about.json").write_text(json.dumps(about | {"features": ["other"]}))
    with pytest.raises(IndexFault, match="other features"):
        Recommender.load(folder, encoder)


def test_a_chat_model_is_shown_the_nearest_and_states_the_qualities(encoder, tmp_path):
    asked = []

    def ask(model, messages):
        asked.append((model, messages))
        return 'Sure: {"sums": 0.9, "poet": 0.2, "third": 0.5}' if len(asked) == 1 else "I would rather write a poem."

    made = Recommender(LLM, encoder, model="openai:judge", ask=ask).fit(measured())
    made.save(tmp_path / "recommender")
    found = Recommender.load(tmp_path / "recommender", encoder, ask=ask)
    stated, garbled = found.qualities(["what is 3 plus 6", "what is 5 plus 8"])
    assert stated.tolist() == [0.9, 0.2, 0.5]
    model, (task, prompt) = asked[0]
    assert model == "openai:judge"
    assert '- "what is 3 plus 6": {"sums": 1.0, "poet": 0.0, "third": 0.0}' in task.text
    assert prompt.text == "Prompt: what is 3 plus 6"
    # What states nothing usable is counted, and the neighbours stand in.
    assert found._asked is not None
    assert found._asked.unparsable == 1
    assert garbled == pytest.approx(Recommender("neighbours", encoder).fit(measured()).qualities(["what is 5 plus 8"])[0], abs=1e-6)
    with pytest.raises(InputError, match="expected --model SPEC"):
        Recommender(LLM, encoder)
    with pytest.raises(InputError, match="only reads passages"):
        Recommender(LLM, encoder, model="local:reader", ask=ask)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ('{"a": 0.5, "b": 1}', [0.5, 1.0]),
        ('{"a": 0.5}', None),
        ('{"a": 0.5, "b": 1.5}', None),
        ('{"a": 0.5, "b": true}', None),
        ('{"a": 0.5, "b": NaN}', None),
        ("[1, 2]", None),
        ("{half", None),
        (f'{{"a": 0.5, "b": {"9" * 5_000}}}', None),
        (f'{{"a": 0.5, "b": {"[" * 100_000}}}', None),
        ("", None),
    ],
)
def test_replies_are_read_strictly(reply, expected):
    found = probabilities(reply, ["a", "b"])
    assert (None if found is None else found.tolist()) == expected


@given(st.text())
def test_no_reply_breaks_the_reading(reply):
    found = probabilities(reply, ["a"])
    assert found is None or 0 <= found[0] <= 1
