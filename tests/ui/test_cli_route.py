import json

import pytest

KEYS = ["expert", "scores", "confidence", "out_of_scope", "router", "nearest", "thresholds", "superior_probability"]


def test_a_route_for_people(switchyard):
    result = switchyard("route", "how is honey made")
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0].startswith("bees  ")
    assert "█" in lines[0]
    assert "Goes to bees." in lines
    assert "1.00  bees  how is honey made" in [line.rstrip() for line in lines]


def test_the_help_says_which_router_spends(switchyard):
    said = "Show where a question would go. Nothing is spent, but by a router of the kind llm."
    assert said in " ".join(switchyard("route", "--help").out.split())


def test_a_declined_route_says_from_where_on(switchyard):
    thresholds = json.loads(switchyard("route", "what is the capital of Norway", "--json").out)["thresholds"]
    line = f"Declined: out of scope from {thresholds['out_of_scope_at']:.2f} on."
    assert line in switchyard("route", "what is the capital of Norway").out.splitlines()


def test_a_route_that_the_documents_decided_says_so(switchyard, tiny_settings):
    policy = (tiny_settings.artifacts_dir / "policy.toml").read_text()
    changed = {"out_of_scope_at": 0.0, "look_below": 1.0, "found_at": 0.0}
    kept = [line for line in policy.splitlines() if line.split(" =")[0] not in changed]
    tiny_settings.home.mkdir(exist_ok=True)
    (tiny_settings.home / "policy.toml").write_text("\n".join([*kept, *(f"{name} = {value}" for name, value in changed.items())]))
    route = json.loads(switchyard("route", "how is honey made", "--json").out)
    assert route["thresholds"] == changed | {"both_at": route["thresholds"]["both_at"]}
    line = "Goes to bees: out of scope from 0.00 on, but its documents answer it."
    assert line in switchyard("route", "how is honey made").out.splitlines()


def test_json_is_the_route_object(switchyard):
    result = switchyard("route", "how is honey made", "--router", "similarity", "--json")
    route = json.loads(result.out)
    assert sorted(route) == sorted(KEYS)
    assert (route["expert"], route["router"], route["out_of_scope"]) == ("bees", "similarity", False)
    assert route["nearest"][0] == {"text": "how is honey made", "label": "bees", "similarity": 1.0}


def test_rows_are_routed_and_skipped_when_they_are_there(switchyard, tmp_path):
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 1, "text": "how is honey made"}\n{"id": 2, "text": "what is the capital of Norway"}\n')
    assert switchyard("route", "--input", str(source), "--output", str(output)).status == 0
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [(row["id"], row["expert"]) for row in found] == [(1, "bees"), (2, None)]
    assert sorted(found[0]) == sorted(["id", *KEYS])
    assert "2 of 2 rows" in switchyard("route", "--input", str(source), "--output", str(output)).err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([" "], "Expected a question; got an empty one."),
        (["Hi", "--router", "magic"], "No router is called 'magic'. Known: "),
        ([], "Expected either a question or --input FILE with --output FILE; got neither."),
    ],
)
def test_what_cannot_be_routed_is_one_line(switchyard, arguments, line):
    result = switchyard("route", *arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"Error: {line}")
    assert result.err.count("\n") == 1
