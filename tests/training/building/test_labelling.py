from __future__ import annotations

import json

import pytest

from core.errors import InputError
from evaluation.data import read_labelled
from graph.difficulty import ROUTE_TO_INFERIOR, ROUTE_TO_SUPERIOR
from store.ledger import Entry
from tests.training.building.provider import provide
from training.building import labelling
from training.building.instructions import Instruction
from training.building.labelling import LABELS, Examples, Labels, calls, may_be_usable, read_examples, sample, stated

RANKED = [(f"hard {n}", ROUTE_TO_SUPERIOR) for n in range(7)] + [(f"easy {n}", ROUTE_TO_INFERIOR) for n in range(7)]
EXAMPLES = Examples.of(RANKED)
PROMPTS = [Instruction(str(n), f"Prompt {n}", kept={"id": str(n)}) for n in range(20)]
MODEL = "openai:gpt-5-mini"
CALLS = calls(MODEL, PROMPTS, EXAMPLES)


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ("ROUTE_TO_SUPERIOR", ROUTE_TO_SUPERIOR),
        ("It takes a proof.\n\n**ROUTE_TO_SUPERIOR**.", ROUTE_TO_SUPERIOR),
        ("`route_to_inferior`", ROUTE_TO_INFERIOR),
        ("ROUTE\\_TO\\_INFERIOR", ROUTE_TO_INFERIOR),
        ("ROUTE_TO_INFERIOR or ROUTE_TO_SUPERIOR", None),
        ("not ROUTE_TO_SUPERIOR", None),
        ("ROUTE_TO_SUPERIOR\nbecause", None),
        ("", None),
    ],
)
def test_a_label_stands_alone_on_the_last_line(reply, label):
    assert stated(reply) == label


def test_the_hardest_and_the_easiest_are_shown():
    assert EXAMPLES.hardest == ("hard 0", "hard 1", "hard 2", "hard 3", "hard 4")
    assert EXAMPLES.easiest == ("easy 6", "easy 5", "easy 4", "easy 3", "easy 2")
    (call,), (swapped,) = (calls(MODEL, PROMPTS[:1], EXAMPLES, swapped=side) for side in (False, True))
    text = call.messages[0].text
    assert text.index('ROUTE_TO_SUPERIOR:\n- "hard 0"') < text.index('ROUTE_TO_INFERIOR:\n- "easy 6"')
    assert 'ROUTE_TO_SUPERIOR:\n- "hard 4"' in swapped.messages[0].text
    assert call.messages[1].text == "<prompt>\nPrompt 0\n</prompt>"


def test_examples_come_from_the_file_of_labels(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps({"prompt": p, "label": label, "score": 1.0}) + "\n" for p, label in RANKED))
    assert read_examples(path) == EXAMPLES
    path.write_text(json.dumps({"prompt": "p", "label": ROUTE_TO_SUPERIOR}))
    with pytest.raises(InputError, match=r"^Expected judgements with hard and with easy questions; all are of one kind"):
        read_examples(path)
    with pytest.raises(InputError, match=r"people's judgements in .*none\.jsonl\. Name the judgements too: --from-judgements FILE$"):
        read_examples(tmp_path / "none.jsonl")


def test_labels_with_their_shares_agreement_and_what_cannot_be_used(served, asked, tmp_path):
    swapped_task = EXAMPLES.task(swapped=True)

    def reply(model, prompt):
        n = int(prompt.split()[2])
        return "500" if n == 19 else "Hard to say." if n == 18 else ROUTE_TO_SUPERIOR if n < 6 else ROUTE_TO_INFERIOR

    with provide(reply) as provider:
        services = served(provider, model_retries=0)
        made, asker = asked(services, lambda a: labelling.label(a, MODEL, PROMPTS, EXAMPLES, batch_size=7))
    assert made.shares == {ROUTE_TO_INFERIOR: 12 / 18, ROUTE_TO_SUPERIOR: 6 / 18}
    assert made.unusable == [("Prompt 18", "Hard to say.")]
    assert made.missing == [("Prompt 19", asker.why_not(calls(MODEL, PROMPTS[19:], EXAMPLES)[0]))]
    again = [body for body in provider.bodies if body["messages"][0]["content"] == swapped_task]
    assert made.asked_again == made.agreed == len(again) == 2
    contents = labelling.contents(made)
    assert json.loads(contents["unusable.jsonl"]) == {"prompt": "Prompt 18", "reply": "Hard to say."}
    first = {"prompt": "Prompt 0", "label": ROUTE_TO_SUPERIOR, "id": "0"}
    assert json.loads(contents["labels.jsonl"].splitlines()[0]) == first
    (tmp_path / "labels.jsonl").write_bytes(contents["labels.jsonl"])
    rows = read_labelled(tmp_path / "labels.jsonl", {"text": "prompt"})
    assert [(row.text, row.label) for row in rows[:2]] == [("Prompt 0", ROUTE_TO_SUPERIOR), ("Prompt 1", ROUTE_TO_SUPERIOR)]
    about = labelling.manifest(made, MODEL, EXAMPLES)
    assert (about["complete"], about["labels"], about["unusable"], list(about["failures"].values())) == (False, 18, 1, [1])


def test_the_sample_is_a_tenth_of_the_labelled_and_the_same_each_time():
    ids = {one.id for one in PROMPTS}
    drawn = [one.id for one in sample(PROMPTS, 0, ids)]
    assert drawn == [one.id for one in sample(PROMPTS, 0, ids)]
    assert len(sample(PROMPTS * 200, 0, ids)) == labelling.MOST_SAMPLED
    assert sample(PROMPTS[:1], 0, ids) == PROMPTS[:1]
    # Where those that would be asked again have no label, others are; those that have one are asked again all the same.
    left = [one.id for one in sample(PROMPTS, 0, ids - {drawn[0]})]
    assert (left[0], len(left)) == (drawn[1], 2)
    assert sample(PROMPTS, 0, set()) == []
    known = {
        call.key: Entry(call.key, MODEL, text, "stop", 1, 1, 0.0, 1.0) for call, text in zip(CALLS[:2], ["Hm.", LABELS[0]], strict=True)
    }
    assert may_be_usable(PROMPTS[:3], CALLS[:3], known) == {"1", "2"}
    assert Labels().shares == {ROUTE_TO_INFERIOR: 0.0, ROUTE_TO_SUPERIOR: 0.0}
