"""What the routers learn from, and what is held back from them."""

import os
import shutil

import pytest

from core.types import OUT_OF_SCOPE
from experts.discovery import discover
from experts.examples import example_files, held_out_examples, router_examples, router_files


@pytest.fixture
def experts(own_experts):
    return discover(own_experts.experts_dir)


def test_routers_learn_from_the_train_rows_only(experts, own_experts):
    texts, labels = router_examples(experts, own_experts.experts_dir)
    learnt = dict(zip(texts, labels, strict=True))
    assert learnt["how long do I leave the bag in"] == "tea"
    assert learnt["how do I get rid of varroa"] == "bees"
    assert learnt["spelling bee rules"] == OUT_OF_SCOPE
    held_out, _ = held_out_examples(experts, own_experts.experts_dir, "dev", "test")
    assert not set(held_out) & set(learnt)
    assert len(set(texts)) == len(texts)


def test_held_out_rows_have_their_labels(experts, own_experts):
    texts, labels = held_out_examples(experts, own_experts.experts_dir, "test")
    rows = dict(zip(texts, labels, strict=True))
    assert rows == {
        "do wasps rob the hive": "bees",
        "when is it warm enough to open the boxes": "bees",
        "how many infusions from one spoon of oolong": "tea",
        "does chamomile keep you awake like black tea does": "tea",
        "who is the president of France": OUT_OF_SCOPE,
        "how do I unblock a sink": OUT_OF_SCOPE,
        "latest news about the election": OUT_OF_SCOPE,
    }


def test_an_experts_own_example_wins_over_the_bank(experts, own_experts):
    with (own_experts.experts_dir / "out_of_scope.csv").open("a") as file:
        file.write("what are tannins,train\n")
    texts, labels = router_examples(experts, own_experts.experts_dir)
    assert [label for text, label in zip(texts, labels, strict=True) if text == "what are tannins"] == ["tea"]


def test_an_expert_of_documents_only_has_examples_too(experts, own_experts):
    for name in ("utterances.csv", "questions.csv"):
        (own_experts.experts_dir / "tea" / name).unlink()
    texts, labels = router_examples(discover(own_experts.experts_dir), own_experts.experts_dir)
    of_tea = {text for text, label in zip(texts, labels, strict=True) if label == "tea"}
    assert {"Brewing a Cup: Water", "The Tea Plant", "Caffeine"} <= of_tea


def test_the_files_that_matter(experts, own_experts):
    root = own_experts.experts_dir
    files = {path.relative_to(root).as_posix() for path in router_files(experts, root)}
    assert {"out_of_scope.csv", "tea/utterances.csv", "bees/questions.csv", "tea/corpus/caffeine.txt"} <= files
    (root / "tea" / "utterances.csv").unlink()
    assert root / "tea" / "utterances.csv" not in router_files(experts, root)


def test_a_document_is_no_example_of_an_expert_that_has_questions(own_experts):
    experts = discover(own_experts.experts_dir)
    names = {str(path.relative_to(own_experts.experts_dir)) for path in example_files(experts, own_experts.experts_dir)}
    assert names == {"out_of_scope.csv", *(f"{expert}/{file}.csv" for expert in ("bees", "tea") for file in ("utterances", "questions"))}
    for file in ("utterances", "questions"):
        (own_experts.experts_dir / "tea" / f"{file}.csv").unlink()
    files = example_files(discover(own_experts.experts_dir), own_experts.experts_dir)
    assert sorted(path.name for path in files if path.parent.name == "corpus") == ["brewing.md", "caffeine.txt", "oxidation.md", "plant.md"]


@pytest.mark.parametrize(
    ("documents", "lent"),
    [
        ({"bad.md": b"caf\xe9", "good.md": b"# Oolong\nIt is rolled."}, ["Oolong"]),
        ({"bad.md": b"caf\xe9"}, ["Tea", "All about tea."]),
        ({}, ["Tea", "All about tea."]),
        (None, ["Tea", "All about tea."]),
    ],
    ids=["one", "only", "empty", "no folder"],
)
def test_documents_that_cannot_be_read_do_not_keep_the_others_from_being_asked(own_experts, documents, lent):
    root = own_experts.experts_dir
    shutil.rmtree(root / "tea")
    (root / "tea").mkdir()
    (root / "tea" / "expert.toml").write_text('name = "tea"\ntitle = "Tea"\ndescription = "All about tea."\n')
    if documents is not None:
        (root / "tea" / "corpus").mkdir()
    for name, content in (documents or {}).items():
        (root / "tea" / "corpus" / name).write_bytes(content)
    experts = discover(root)
    texts, labels = router_examples(experts, root)
    assert [text for text, label in zip(texts, labels, strict=True) if label == "tea"] == lent
    for files in (example_files(experts, root), router_files(experts, root)):
        assert {path.name for path in files if (root / "tea") in path.parents} == {"expert.toml", *(documents or {})}


def test_an_expert_that_says_nothing_of_itself_lends_its_name(own_experts):
    root = own_experts.experts_dir
    (root / "mute").mkdir()
    (root / "mute" / "expert.toml").write_text('name = "mute"\ntitle = ""\ndescription = " "\n')
    assert "mute" in dict(zip(*router_examples(discover(root), root), strict=True))


def test_a_file_that_may_not_be_read_is_left_out(own_experts, monkeypatch):
    root = own_experts.experts_dir
    locked = root / "tea" / "corpus" / "plant.md"
    assert locked in router_files(discover(root), root)
    monkeypatch.setattr(os, "access", lambda path, _: path != locked)  # by itself it would say that root may read everything
    assert locked not in router_files(discover(root), root)
