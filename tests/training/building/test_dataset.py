"""A small data set from its instructions to its files, and from them to what is trained on them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import pytest
from pyarrow import parquet

from core.errors import InputError
from core.settings import settings
from core.types import Hit, Passage
from evaluation.data import parse_map, read_pairs
from graph.difficulty import ROUTE_TO_INFERIOR, ROUTE_TO_SUPERIOR
from tests.training.building.provider import provide
from training import difficulty
from training.building import dataset, files
from training.building.dataset import Plan
from training.building.estimate import estimate, total
from training.building.instructions import Instruction
from training.judgement_files import read_judgements
from training.judgements import win_rates

WEAK, STRONG, JUDGE = "openai:gpt-5-mini", "openai:gpt-5", "openai:gpt-4.1"
SUMS = [Instruction(str(n), f"What is {n} + {n}?", (str(2 * n),)) for n in range(1, 5)]
PROSE = [Instruction("prose", "Plan a party."), Instruction("odd", "Plan an odd party.")]
TEA = Instruction("tea", "How long?", ("two minutes",), (Hit(Passage("1", "Tea", "Green tea steeps for two minutes.", ""), 0.0, 0.0),))


def reply(model, prompt):
    """gpt-5 adds up; gpt-5-mini does so for even numbers. The judge likes long answers, and says nothing of odd parties."""
    if model == "gpt-4.1":
        return verdict(prompt)
    if "Passages:" in prompt:
        return "Two minutes [1]."
    if prompt.startswith("What is"):
        n = int(prompt.split()[2])
        return f"It is {2 * n if model == 'gpt-5' or n % 2 == 0 else 7}."
    return "A long and pleasant party." if model == "gpt-5" else "No."


def verdict(prompt):
    if "odd" in prompt:
        return "Both have their merits."
    if "<answer_a>" in prompt:
        a, b = (prompt.split(f"<answer_{side}>\n")[1].split("\n</")[0] for side in "ab")
        return f"Longer is better: [[{'C' if len(a) == len(b) else 'A' if len(a) > len(b) else 'B'}]]"
    return "Fine. [[10]]" if "long" in prompt.split("<answer>")[1] else "Short. [[1]]"


@pytest.fixture
def made(served, asked):
    """`made(instructions, plan)`: the data set, its asker and the services."""
    with provide(reply) as provider:
        services = served(provider)

        def make(instructions, plan):
            return *asked(services, lambda asker: dataset.build(asker, instructions, plan)), services

        yield make


def lines(contents, name):
    return [json.loads(line) for line in contents[name].decode().splitlines()]


def test_every_model_answers_and_every_answer_is_judged(made):
    plan = Plan((WEAK, STRONG), JUDGE, batch_size=2)
    built, asker, _ = made([*SUMS, *PROSE], plan)
    assert built.missing == 0
    scores = {(a.instruction.id, a.model): (a.scores.numeric, a.scores.judge, a.scores.score) for a in built.answers}
    assert scores["1", WEAK] == (0.0, 0.0, 0.0)
    assert scores["1", STRONG] == (1.0, 0.0, 1.0)
    assert scores["prose", STRONG] == (None, 1.0, 1.0)
    assert scores["odd", STRONG] == (None, None, None)
    assert (len(built.unparsable), built.unjudged) == (2, set())
    # Two pairs of answers are the same: one grade does for both.
    assert asker.sent == 6 * 2 * 2 - 2


def test_what_is_written_is_what_others_read(made, tmp_path):
    plan = Plan((WEAK, STRONG), JUDGE, "pairwise")
    built, _, _ = made([*SUMS, *PROSE, TEA], plan)
    contents, folder = files.of(built, plan), tmp_path / "out"
    files.write(folder, contents, files.manifest(built, plan, {"source": {"name": "here"}}, tmp_path))
    rows = lines(contents, "dataset.jsonl")
    assert parquet.read_table(folder / "dataset.parquet").to_pylist() == rows
    tea = rows[-1]
    assert (tea["id"], tea["model"], tea["answer"], tea["passages"]) == ("tea", STRONG, "Two minutes [1].", [TEA.passages[0].passage.text])
    assert (tea["f1"], tea["groundedness"], tea["references"]) == (1.0, 1.0, ["two minutes"])
    about = json.loads((folder / "manifest.json").read_text())
    assert about["models"][STRONG]["answers"] == 7
    assert about["models"][WEAK]["means"]["numeric"] == 0.5
    assert about["models"][STRONG]["price"] == {"input": 1.25, "output": 10.0, "as_of": "2025-10-01"}
    assert about["judge"]["verdicts"] == {"tie": 5, "model_b": 1}
    assert about["judge"]["unparsable"] == 2
    assert about["complete"] and files.is_complete(folder)
    assert about["sha256"] == {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in contents}

    judged, unknown = read_judgements(folder / "judgements.jsonl")
    assert unknown == {}
    assert {rate.model: (rate.wins, rate.ties) for rate in win_rates(judged)} == {STRONG: (1, 5), WEAK: (0, 5)}
    pairs = difficulty.read_rows([folder / "difficulty.jsonl"])
    assert [(pair.weak_score, pair.strong_score) for pair in pairs[:2]] == [(0.0, 1.0), (1.0, 1.0)]
    scored = read_pairs(folder / "recommender.jsonl", parse_map([f"weak_score=scores.{WEAK}", f"strong_score=scores.{STRONG}"]))
    assert len(scored) == len(pairs) == 6


def test_training_data(made):
    plan = Plan((WEAK, STRONG), JUDGE)
    contents = files.of(made([*SUMS, *PROSE, TEA], plan)[0], plan)
    labels = lines(contents, "difficulty.jsonl")
    assert Counter(row["label"] for row in labels) == {ROUTE_TO_SUPERIOR: 3, ROUTE_TO_INFERIOR: 3}
    assert (labels[0]["weak_model"], labels[0]["strong_model"]) == (WEAK, STRONG)
    first, second, *_ = lines(contents, "recommender.jsonl")
    assert first | {"latency_ms": 0} == {
        "prompt": "What is 1 + 1?", "scores": {STRONG: 1.0, WEAK: 0.0}, "latency_ms": 0, "best": STRONG,
        "costs": {STRONG: pytest.approx(15e-5), WEAK: pytest.approx(3e-5)},
    }  # fmt: skip
    assert second["best"] == WEAK  # as good, and cheaper
    preferred = lines(contents, "preferences.jsonl")
    assert preferred[0] == {
        "prompt": [{"role": "user", "content": "What is 1 + 1?"}],
        "chosen": [{"role": "assistant", "content": "It is 2."}],
        "rejected": [{"role": "assistant", "content": "It is 7."}],
        "score_chosen": 1.0,
        "score_rejected": 0.0,
    }
    assert len(preferred) == 3
    taught = lines(contents, "sft.jsonl")
    said = [row["messages"][-1]["content"] for row in taught]
    assert said == ["It is 2.", "It is 4.", "It is 6.", "It is 8.", "A long and pleasant party."]
    assert [message["role"] for message in taught[0]["messages"]] == ["user", "assistant"]


def test_an_answer_that_fails_leaves_a_row_that_says_so(served, asked):
    def half(model, prompt):
        return "500" if model == "gpt-5" else "2"

    plan = Plan((WEAK, STRONG), JUDGE)
    with provide(half) as provider:
        built, _ = asked(served(provider, model_retries=0), lambda asker: dataset.build(asker, SUMS[:1], plan))
    assert built.missing == 1
    good, bad = files.rows(built)
    assert (good["answer"], good["fault"], bad["answer"], bad["score"]) == ("2", None, None, None)
    assert bad["fault"].startswith("openai:gpt-5 is not available (500)")
    assert set(files.of(built, plan)) == {"dataset.jsonl", "dataset.parquet", "recommender.jsonl", "sft.jsonl"}


def test_an_estimate_knows_what_the_ledger_knows(made, tmp_path):
    plan = Plan((WEAK, STRONG), JUDGE, "pairwise", max_tokens=100)
    _, _, services = made(SUMS[:2], plan)
    found = estimate(plan, SUMS, services.engine, tmp_path)
    # Two answers are the same: they need no judge.
    assert [(one.model, one.calls, one.known) for one in found] == [
        (WEAK, 4, 2),
        (STRONG, 4, 2),
        (JUDGE, 6, 2),
    ]
    expected, most = total(found)
    assert 0 < expected < most
    weak = found[0]
    assert weak.most_usd == pytest.approx((2 * (len("What is 3 + 3?") + 16) * 0.25 + 2 * 100 * 2) / 1e6)
    assert total(estimate(plan, SUMS[:2], services.engine, tmp_path)) == (0.0, 0.0)
    unknown = Plan(("openai:unheard-of",))
    assert total(estimate(unknown, SUMS, services.engine, tmp_path)) == (None, None)


@pytest.mark.parametrize("rubric", ["graded", "pairwise"])
def test_prompts_that_are_alike_count_and_cost_once(served, asked, tmp_path, rubric):
    alike = [Instruction(id_, "Plan an odd party.") for id_ in "abc"]
    plan, ended = Plan((WEAK, STRONG), JUDGE, rubric, batch_size=2), []
    with provide(reply) as provider:
        services = served(provider)
        expected = estimate(plan, alike, services.engine, tmp_path)
        assert [(one.model, one.calls) for one in expected] == [(WEAK, 1), (STRONG, 1), (JUDGE, 2)]
        assert expected == estimate(plan, alike[:1], services.engine, tmp_path)
        built, asker = asked(services, lambda asker: dataset.build(asker, alike, plan), advance=lambda: ended.append(1))
    assert asker.sent == len(ended) == 4
    about = files.manifest(built, plan, {}, tmp_path)
    assert (about["models"][WEAK]["answers"], about["models"][WEAK]["cost_usd"]) == (3, built.answers[0].reply.cost_usd)
    assert about["judge"]["unparsable"] == 2


def test_a_folder_that_cannot_be_written_keeps_what_it_held(made, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "preferences.jsonl").write_bytes(b"the user's")
    files.write(folder, {"dataset.jsonl": b"old\n", "sft.jsonl": b"x"}, {"complete": True})
    (folder / ".manifest.json.new").mkdir()
    with pytest.raises(InputError, match=r"out cannot be written: .+\. Nothing paid is lost: mend that and run it again\.$"):
        files.write(folder, {"dataset.jsonl": b"new\n"}, {"complete": True})
    assert (folder / "dataset.jsonl").read_bytes() == b"old\n"
    kept = ["dataset.jsonl", "manifest.json", "preferences.jsonl"]
    assert sorted(path.name for path in folder.iterdir()) == [".manifest.json.new", *kept, "sft.jsonl"]
    (folder / ".manifest.json.new").rmdir()
    files.write(folder, {"dataset.jsonl": b"new\n"}, {"complete": True})
    assert sorted(path.name for path in folder.iterdir()) == kept


def test_files_of_the_users_are_refused_before_anything_is_asked(tmp_path):
    files.check_folder(tmp_path / "new", "a.jsonl", files.NAMES)
    files.write(tmp_path / "out", {"dataset.jsonl": b""}, {})
    files.check_folder(tmp_path / "out", "a.jsonl", files.NAMES)
    with pytest.raises(InputError, match=r"dataset\.jsonl is what is read: it is not overwritten\. Choose another folder: --output DIR$"):
        files.check_folder(tmp_path / "out", str(tmp_path / "out" / "dataset.jsonl"), files.NAMES)
    (tmp_path / "sft.jsonl").write_text("x")
    with pytest.raises(InputError, match=r"sft\.jsonl was not made here: it is not overwritten"):
        files.check_folder(tmp_path, "a.jsonl", files.NAMES)
    # One whose writing was cut off before the manifest took its place.
    (tmp_path / ".manifest.json.new").write_text('{"sha256": {"sft.jsonl": ""}}')
    files.check_folder(tmp_path, "a.jsonl", files.NAMES)
    for folder in (tmp_path / "sft.jsonl", tmp_path / "sft.jsonl" / "sub"):
        with pytest.raises(InputError, match=r"^Cannot write to .+: .+sft\.jsonl is no folder that you may write to\. Choose another"):
            files.check_folder(folder, "a.jsonl", files.NAMES)


def test_a_folder_named_after_a_file_is_not_that_of_another_file_of_the_name(tmp_path, monkeypatch):
    monkeypatch.setenv("SWITCHYARD_HOME", str(tmp_path / "home"))
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.jsonl").write_text("{}")
    first, second = (str(tmp_path / name / "t.jsonl") for name in "ab")
    folder = settings().home / "datasets" / "t"
    for where in (folder, tmp_path / "named"):
        files.write(where, {"dataset.jsonl": b""}, {"source": {"name": first}})
    files.check_folder(folder, first, files.NAMES)
    files.check_folder(folder, str(tmp_path / "b" / ".." / "a" / "t.jsonl"), files.NAMES)
    with pytest.raises(InputError, match=rf"^.+datasets.t holds what was made of {first}: it is not overwritten\. Choose another folder"):
        files.check_folder(folder, second, files.NAMES)
    files.check_folder(tmp_path / "named", second, files.NAMES)  # as --output names it
