"""The command `feedback`."""

from __future__ import annotations

import json
from pathlib import Path

from core.settings import Settings
from experts.discovery import labelled_texts
from graph.versions import EVALUATION, NAME, UTTERANCES, packed
from store.engine import engine
from store.feedback import Feedback, all_feedback, save
from store.versions import Version, add


def say(settings: Settings, *rows: Feedback) -> None:
    for row in rows:
        save(engine(settings.database), row)


HERS = Feedback("run-1", "ann", 100.0, "why do bees\x1b[31m dance", -1, "bees", [2], "They point.")
OURS = Feedback("run-2", None, 200.0, "is green tea healthy", 1, routed=["tea"])


def test_list_shows_the_newest_first_and_no_control_characters(switchyard, tiny_settings):
    assert "No feedback yet" in switchyard("feedback", "list").err
    say(tiny_settings, HERS, OURS)
    shown = switchyard("feedback", "list")
    assert shown.out.index("is green tea healthy") < shown.out.index("why do bees[31m dance")
    assert "1970-01-01 00:01" in shown.out
    assert "[2] wrong, text" in shown.out
    assert "\x1b" not in shown.out
    assert [row["id"] for row in json.loads(switchyard("feedback", "list", "--json").out)] == [OURS.id, HERS.id]


def test_export_writes_a_line_a_row(switchyard, tiny_settings, tmp_path: Path):
    say(tiny_settings, HERS, OURS)
    assert switchyard("feedback", "export", str(tmp_path / "all.jsonl")).status == 0
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["run_id"], row["expert"], row["rating"]) for row in rows] == [("run-1", "bees", -1), ("run-2", None, 1)]
    refused = switchyard("feedback", "export", str(tmp_path / "none" / "all.jsonl"))
    assert (refused.status, "Choose a file in a folder that can be written." in refused.err) == (2, True)


def test_export_writes_what_the_version_in_service_was_taught(switchyard, tiny, tmp_path: Path):
    file = tmp_path / "rows"
    refused = switchyard("feedback", "export", str(file), "--as", "utterances")
    assert (refused.status, refused.err) == (
        2,
        "Error: No correction is in service yet. Learn from feedback first: switchyard feedback retrain\n",
    )
    texts = ["why, then, do bees dance", "who stings", "what is wax"]
    given = [Feedback(f"run-{n}", None, float(n), text, -1, "bees") for n, text in enumerate(texts)]
    say(tiny.settings, *given)
    rows = [{"id": one.id, "text": one.question, "label": "bees"} for one in given]
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / UTTERANCES).write_text("".join(json.dumps(row) + "\n" for row in [*rows[:2], {**rows[0], "id": "deleted"}]))
    (tmp_path / "version" / EVALUATION).write_text(json.dumps(rows[2]) + "\n")
    add(tiny.engine, NAME, Version(1, 0, 1.0, True, {}), packed(tmp_path / "version"))

    assert switchyard("feedback", "export", str(file), "--as", "utterances").out == f"2 rows of utterances: {file}\n"
    assert file.read_text() == 'text,split,label\n"why, then, do bees dance",train,bees\nwho stings,train,bees\n'
    assert labelled_texts(file, "train") == texts[:2]
    assert switchyard("feedback", "export", str(file), "--as", "evaluation").status == 0
    assert [json.loads(line) for line in file.read_text().splitlines()] == [{"text": "what is wax", "label": "bees"}]


def test_delete_takes_the_beginning_of_an_id_or_a_person(switchyard, tiny_settings):
    say(tiny_settings, HERS, OURS)
    wrong = switchyard("feedback", "delete")
    assert (wrong.status, "Expected either ids or --owner" in wrong.err) == (2, True)
    unknown = switchyard("feedback", "delete", "zz")
    assert (unknown.status, "0 begin with 'zz'" in unknown.err) == (2, True)
    done = switchyard("feedback", "delete", OURS.id[:8])
    assert "Deleted 1 row of feedback." in done.out
    assert "switchyard feedback retrain" in done.err
    assert "Deleted 1 row" in switchyard("feedback", "delete", "--owner", "ann").out
    assert all_feedback(engine(tiny_settings.database)) == []


def test_retrain_says_what_stays_and_why(switchyard, tiny_settings):
    say(tiny_settings, OURS)
    done = switchyard("feedback", "retrain")
    assert done.status == 0, done.err
    assert "Nothing is promoted: what ships stays in service." in done.out
    found = json.loads(switchyard("feedback", "retrain", "--json").out)
    assert (found["version"], found["promoted"], found["before"], found["feedback"]) == (2, False, 0, 1)


def test_a_promise_that_another_confidence_made_is_said_to_hold_no_longer(switchyard, tiny_settings):
    said = "What policy.toml promises was measured with another confidence"
    assert said not in switchyard("feedback", "retrain").err
    promised = 'target = "max-risk=0.1"\nguarantee = "Kept."\nconfidence = "another"\n'
    thresholds = [line for line in (tiny_settings.artifacts_dir / "policy.toml").read_text().splitlines() if " = 0" in line]
    (tiny_settings.home / "policy.toml").write_text(promised + "\n".join(thresholds))
    assert said in switchyard("feedback", "retrain").err
    report = json.loads(switchyard("feedback", "retrain", "--json").out)
    assert report["promise"].endswith("Run: switchyard train confidence --target max-risk=0.1")
    add(engine(tiny_settings.database), NAME, Version(4, 0, 1.0, True, {}), packed(tiny_settings.home / "none"))
    assert said in switchyard("feedback", "rollback").err
    found = json.loads(switchyard("doctor", "--json").out)["findings"]
    assert report["promise"] in [one["detail"] for one in found if one["name"] == "policy"]


def test_rollback_with_nothing_to_roll_back(switchyard):
    refused = switchyard("feedback", "rollback")
    assert (refused.status, "what ships is in service already" in refused.err) == (2, True)
