from __future__ import annotations

import json

import pytest

from store.engine import engine
from store.ledger import exclusive
from tests.training.building.provider import provide
from tests.training.test_judgements import ROWS
from ui.console import money

MODELS = "openai:gpt-5,openai:gpt-5-mini"


@pytest.fixture
def provider(switchyard, monkeypatch):
    def reply(model, prompt):
        return "ROUTE_TO_INFERIOR" if "<prompt>" in prompt else "It is 4."

    with provide(reply) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "sums.jsonl"
    lines = [json.dumps({"prompt": f"What is {n} + 2?", "answer": str(n + 2)}) for n in range(1, 4)]
    path.write_text("\n".join([*lines, "{broken"]) + "\n")
    return str(path)


def test_what_would_be_called_is_shown_and_asked_for(switchyard, provider, rows, tmp_path):
    dry = switchyard("data", "build", rows, "--models", MODELS, "--dry-run", "--json")
    said = json.loads(dry.out)
    assert [(one["model"], one["calls"], one["known"]) for one in said["calls"]] == [("openai:gpt-5", 3, 0), ("openai:gpt-5-mini", 3, 0)]
    assert 0 < said["expected_usd"] < said["most_usd"]
    assert f"Left out: {rows}, line 4: not JSON" in dry.err
    refused = switchyard("data", "build", rows, "--models", MODELS)
    assert (refused.status, refused.out) == (2, "")
    assert "Together about $0.0" in refused.err
    assert "openai:gpt-5-mini" in refused.err  # not cut, though no terminal is wide here
    assert refused.err.endswith("Error: Nobody is there to agree to the cost. Pass --yes, or a cap: --max-cost USD\n")
    assert provider.requests == []

    built = switchyard("data", "build", rows, "--models", MODELS, "--yes", "--output", str(tmp_path / "out"))
    assert built.status == 0, built.err
    assert "Paid for this data set: $0.0005." in built.out
    assert built.out.split()[5:9] == ["openai:", "openai:", "gpt-5", "gpt-5-mini"]
    assert sum(provider.charged.values()) == 6
    again = switchyard("data", "build", rows, "--models", MODELS, "--json", "--output", str(tmp_path / "out"))
    assert again.status == 0, again.err
    about = json.loads(again.out)
    assert (about["complete"], about["calls_sent_in_last_run"], about["output"]) == (True, 0, str(tmp_path / "out"))
    assert about["temperature"] == {"openai:gpt-5": None, "openai:gpt-5-mini": None}
    assert [body for body in provider.bodies if "temperature" in body] == []
    assert about["spent_usd"] == pytest.approx(3 * (40 * 1.5 + 10 * 12) / 1e6)
    assert sum(provider.charged.values()) == 6
    for times in (2, 3):
        fresh = switchyard("data", "build", rows, "--models", MODELS, "--json", "--output", str(tmp_path / "out"), "--fresh", "--yes")
        assert json.loads(fresh.out)["spent_usd"] == pytest.approx(times * about["spent_usd"])


def test_a_cap_that_is_reached_keeps_what_was_paid(switchyard, provider, rows, tmp_path):
    build = ("data", "build", rows, "--models", "openai:gpt-5", "--max-tokens", "20", "--output", str(tmp_path / "out"))
    capped = switchyard(*build, "--max-cost", "0.0004")
    assert capped.status == 1
    assert "Error: The cap of $0.0004 was reached: 1 call not made. Raise --max-cost and run the same command" in capped.err
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["complete"] is False
    assert switchyard(*build, "--max-cost", "1").status == 0
    assert set(provider.charged.values()) == {1}
    # A worse data set does not take the place of a whole one.
    provider.reply = lambda model, prompt: "500"
    worse = switchyard(*build, "--max-cost", "1", "--fresh", "--limit", "1")
    assert worse.status == 1
    assert "holds a data set that lacks nothing and is left as it is." in worse.err
    assert worse.err.endswith("or choose another model.\n")  # whose option is not --model here
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["complete"] is True


def test_a_price_that_is_unknown_is_never_nothing(switchyard, provider, rows):
    built = switchyard("data", "build", rows, "--models", "openai:unheard-of", "--yes", "--json")
    assert built.status == 0, built.err
    about = json.loads(built.out)
    assert (about["spent_usd"], about["models"]["openai:unheard-of"]["cost_usd"]) == (None, None)
    assert about["temperature"] == {"openai:unheard-of": provider.bodies[0]["temperature"]} == {"openai:unheard-of": 0}
    assert "Together about unknown, at most unknown." in built.err
    assert "Asking · cost unknown" in built.err


def test_what_costs_little_does_not_cost_nothing():
    assert [money(usd) for usd in (None, 0.0, 4e-5, 5e-5, 1234.5)] == ["unknown", "$0", "<$0.0001", "$0.0001", "$1,234.5000"]
    assert money(None, "price unknown") == "price unknown"


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["--models", "gpt-5"], 2, "Model 'gpt-5': expected provider:name"),
        (["--models", " , "], 2, "Expected at least one model"),
        (["--models", "deepseek:deepseek-chat"], 1, "DEEPSEEK_API_KEY is not set"),
        (["--models", MODELS, "--judge", "openai:gpt-5", "--rubric", "loud"], 2, "No rubric is called 'loud'. Known: graded, pairwise."),
        (["--models", MODELS, "--rubric", "pairwise"], 2, "--rubric pairwise lets a judge compare answers: expected --judge SPEC, and two"),
        (["--models", "openai:gpt-5", "--judge", "openai:gpt-5", "--rubric", "pairwise"], 2, "--rubric pairwise lets a judge compare"),
        (["--models", MODELS, "--map", "reference=golf"], 2, "{rows}: no row has the field of --map reference=golf; the fields are: "),
        (["--models", MODELS, "--yes", "--output", "/dev/null"], 2, "Cannot write to /dev/null: /dev/null is no folder"),
        (["--models", "openai:unheard-of", "--max-cost", "1"], 2, "--max-cost needs the price of openai:unheard-of: write it"),
    ],
)
def test_what_cannot_be_built_is_one_line_and_costs_nothing(switchyard, provider, rows, arguments, status, line):
    result = switchyard("data", "build", rows, *arguments)
    assert (result.status, result.out) == (status, "")
    assert result.err.splitlines()[-1].startswith(f"Error: {line.replace('{rows}', rows)}")
    assert provider.requests == []


def test_two_builds_on_one_ledger(switchyard, provider, rows, tiny_settings):
    with exclusive(engine(tiny_settings.database)):
        second = switchyard("data", "build", rows, "--models", MODELS, "--yes")
    assert (second.status, second.out) == (1, "")
    assert second.err.splitlines()[-1].startswith("Error: Another build is using this ledger. Wait until it ends")
    assert provider.requests == []


def test_prompts_are_labelled_by_a_model_that_is_shown_judgements(switchyard, provider, rows, tmp_path):
    judged = tmp_path / "judged.jsonl"
    judged.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    arguments = ("data", "label", rows, "--with", "openai:gpt-5", "--output", str(tmp_path / "labels"), "--yes")
    alone = switchyard(*arguments)
    assert alone.status == 2
    assert alone.err.endswith("Name the judgements too: --from-judgements FILE\n")
    done = switchyard(*arguments, "--from-judgements", str(judged))
    assert done.status == 0, done.err
    assert "ROUTE_TO_INFERIOR  100.0%" in done.out
    assert "with the examples in the opposite order: 100.0% of 1 prompt." in done.out
    assert "3 labels; 0 unusable answers." in done.out
    rows_ = [json.loads(line) for line in (tmp_path / "labels" / "labels.jsonl").read_text().splitlines()]
    assert rows_ == [{"prompt": f"What is {n} + 2?", "label": "ROUTE_TO_INFERIOR"} for n in range(1, 4)]
    assert sum(provider.charged.values()) == 4
    # What a ranking on disk says is as good.
    assert switchyard("data", "label", "--from-judgements", str(judged)).status == 0
    again = json.loads(switchyard(*arguments, "--json").out)
    assert (again["calls_sent_in_last_run"], again["shares"]) == (0, {"ROUTE_TO_INFERIOR": 1.0, "ROUTE_TO_SUPERIOR": 0.0})
    provider.reply = lambda model, prompt: "Hard to say."
    hard = switchyard(*arguments, "--fresh")
    assert "with the examples in the opposite order: not measured, since no prompt has two labels." in hard.out


def test_fewer_labels_do_not_take_the_place_of_whole_ones(switchyard, provider, rows, tmp_path):
    (tmp_path / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    label = ("data", "label", rows, "--with", "openai:gpt-5", "--from-judgements", str(tmp_path / "judged.jsonl"), "--output", "out")
    whole = switchyard(*label, "--yes")
    assert "Written to out. Train on them: switchyard train difficulty out/labels.jsonl" in whole.out
    before = (tmp_path / "out" / "labels.jsonl").read_bytes()
    fewer = switchyard(*label, "--fresh", "--max-cost", "0.02")
    assert (fewer.status, "The cap of $0.02 was reached" in fewer.err) == (1, True), fewer.err
    assert "out holds labels that lack nothing and is left as it is." in fewer.err
    assert "Written to" not in fewer.out
    assert (tmp_path / "out" / "labels.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "Expected --from-judgements FILE, or prompts to label"),
        (
            ["--from-judgements", "j.jsonl", "--dry-run", "--limit", "1"],
            "Expected --with SPEC beside --limit, --dry-run: judgements alone",
        ),
        (["--from-judgements", "j.jsonl", "--map", "winner=x"], "Expected --with SPEC beside --map: judgements alone"),
        (["prompts.jsonl"], "Expected prompts and a model together"),
        (["--with", "openai:gpt-5"], "Expected prompts and a model together"),
    ],
)
def test_labels_need_judgements_or_prompts_with_a_model(switchyard, arguments, line):
    result = switchyard("data", "label", *arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"Error: {line}")


def test_a_build_that_can_score_nothing_says_so_before_it_asks(switchyard, provider, tmp_path):
    (tmp_path / "bare.jsonl").write_text('{"prompt": "Why?"}\n')
    build = ("data", "build", str(tmp_path / "bare.jsonl"), "--models", MODELS, "--dry-run")
    note = "Note: nothing will be scored, and no training data come of it: no row has a reference or passages. Name a --judge."
    assert switchyard(*build).err.startswith(note)
    assert "nothing will be scored" not in switchyard(*build, "--judge", "openai:gpt-4.1").err
