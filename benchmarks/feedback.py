"""What feedback does to routing: 500 corrections of a kind of question that the router gets wrong, 10% of them wrong; and poison.

Usage: python -m benchmarks.feedback [--json]. Each is said to an installation as it ships, and `training.feedback` retrains it once:

honest    50 people correct questions on how animals spend the winter, which they want the sleep expert to answer; one in ten is wrong.
poison    one person says 500 times that questions of the experts belong elsewhere.
flood     one person says 500 times that one and the same kind of question, on how long people sleep, belongs to the car expert.
mixed     all of them at once: the honest corrections are learnt, the poison is not.
boats     as honest, of the motors of boats, which the car expert is to answer.
operation as honest, of general anaesthesia, which the sleep expert is to answer.
alone     as honest, all said by the local user, who has no name.
floods    as flood, all said by the local user.

The kinds on boats and operations were written when every setting was fixed; the kernel's width was changed since, with them in view.
Judged on questions of the kind on subjects, for those two also in phrases, that no correction held, and on the frozen set: the experts'
dev and test utterances. All questions are made from words in this file and from the experts' own examples; nothing is drawn without a seed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from core.settings import Settings
from core.types import OUT_OF_SCOPE
from evaluation.encoding import RememberingEncoder
from evaluation.results import silent
from graph.services import Services
from store.feedback import Feedback, all_feedback, delete_feedback, save
from training.feedback.retrain import retrain, roll_back
from training.feedback.router import Bench

N, PEOPLE, WRONG, UNSEEN = 500, 50, 0.1, 200
ANIMALS = (
    "hedgehog", "dormouse", "bat", "brown bear", "tortoise", "marmot", "hamster", "hummingbird", "garter snake", "bumblebee queen",
    "poorwill", "chipmunk", "wood frog", "badger", "fat-tailed lemur", "skunk",
)  # fmt: skip
UNSEEN_ANIMALS = ("polar bear", "ladybird", "toad", "raccoon", "possum", "swift", "adder", "jumping mouse")
PHRASES = (
    "how cold does a {of} get in its winter den",
    "what brings a {of} round in spring",
    "how slow does the heart of a {of} beat over winter",
    "why does a {of} go torpid",
    "how much weight does a {of} lose by March",
    "can a {of} be roused in January",
    "how does a {of} know that winter is over",
    "where does a {of} spend the cold months",
    "what does a {of} live on from November to March",
    "does a warm winter harm a {of}",
)
BOATS = (
    "rigid inflatable", "trawler", "cabin cruiser", "fishing boat", "canal boat", "speedboat", "ferry", "tugboat", "houseboat", "dinghy",
    "pilot boat", "jet ski",
)  # fmt: skip
UNSEEN_BOATS = ("lifeboat", "sailing yacht", "water taxi", "punt with an outboard")
BOAT_PHRASES = (
    "why does the outboard of my {of} stall when I throttle back",
    "how do I flush salt water out of the engine of a {of}",
    "which propeller pitch suits a {of}",
    "how do I winterise the inboard diesel of a {of}",
    "why does the bilge of a {of} smell of petrol",
    "how often is the impeller of a {of} changed",
    "what eats away the anode on a {of}",
    "how fast may a {of} go in harbour",
    "what does cavitation do to a {of}",
    "how far does a {of} go on a tank",
    "who built the first {of} with a motor",
)
UNSEEN_BOAT_PHRASES = (
    "the motor of our {of} overheats after ten minutes, why",
    "is two-stroke or four-stroke better for a {of}",
    "what must I check on a {of} before the season",
    "why does my {of} leave blue smoke on the water",
    "how is the gearbox of a {of} built",
)
OPERATIONS = (
    "a hip replacement", "a caesarean", "a tonsil operation", "heart surgery", "a wisdom tooth extraction", "an appendix operation",
    "a knee operation", "a cataract operation", "a hernia repair", "a colonoscopy", "a gallbladder operation", "brain surgery",
)  # fmt: skip
UNSEEN_OPERATIONS = ("a kidney transplant", "a nose operation", "a shoulder operation", "a thyroid operation")
OPERATION_PHRASES = (
    "how does the anaesthetist know that I am out during {of}",
    "can I wake up in the middle of {of}",
    "which gas is breathed in for {of}",
    "why must I fast before {of}",
    "is general or spinal anaesthesia used for {of}",
    "how long am I groggy after {of}",
    "why do I shiver when I come round from {of}",
    "what does propofol do during {of}",
    "who watches my breathing during {of}",
    "is the anaesthetic for {of} dangerous at eighty",
    "why do I remember nothing of {of}",
)
UNSEEN_OPERATION_PHRASES = (
    "how deep is one under during {of}",
    "what happens in the brain while one is under for {of}",
    "does one dream during {of}",
    "can the anaesthetic of {of} be refused by the body",
    "how is one brought back after {of}",
)
OPENINGS = ("", "please tell me ", "my daughter asks: ", "for school, ")
ASLEEP = ("sleep", "sleep a night", "sleep in a row", "sleep each day", "stay asleep", "need to sleep")
WHO = ("adults", "teenagers", "babies", "toddlers", "old people", "students", "athletes", "nurses", "pilots", "women", "men", "we")
ASKED = ("how long do {who} {asleep}", "how many hours should {who} {asleep}", "how much do {who} {asleep}", "why can't {who} {asleep}",
    "do {who} {asleep} enough", "when do {who} {asleep} the most", "must {who} {asleep} eight hours")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """A question, and where someone says it belongs."""

    text: str
    label: str
    owner: str | None


def kind_of_question(animals: Sequence[str], phrases: Sequence[str] = PHRASES) -> list[str]:
    """Every phrase on every subject, in an order of no meaning."""
    return _shuffled([o + p.format(of=a) for o, p, a in product(OPENINGS, phrases, animals)])


def honest(texts: Sequence[str], right: str, wrong: Sequence[str]) -> list[Said]:
    """A correction of each, by PEOPLE people in turn; a share of WRONG of them say one of the `wrong` labels."""
    rng = np.random.default_rng(1)
    labels = [str(rng.choice(wrong)) if rng.random() < WRONG else right for _ in texts]
    return [Said(text, label, f"person {n % PEOPLE}") for n, (text, label) in enumerate(zip(texts, labels, strict=True))]


def poison(services: Services) -> list[Said]:
    """One person's wrong corrections of the questions that the experts were trained on, slightly reworded."""
    names = sorted(services.experts)
    rows = [(f"{q.question} please", names[n - 1]) for n, name in enumerate(names) for q in services.experts[name].questions("train")]
    return [Said(text, label, "mallory") for text, label in _shuffled(rows)]


def flood(label: str) -> list[Said]:
    """One person's wrong corrections of questions that are all alike."""
    rows = [p.format(who=w, asleep=a) for p, w, a in product(ASKED, WHO, ASLEEP)]
    return [Said(text, label, "mallory") for text in _shuffled(rows)]


def unnamed(said: Sequence[Said]) -> list[Said]:
    """The same, said by the local user."""
    return [replace(one, owner=None) for one in said]


def _shuffled(rows: Sequence[Any]) -> list[Any]:
    return [rows[n] for n in np.random.default_rng(0).permutation(len(rows))]


def simulate(services: Services, said: Sequence[Said], unseen: Sequence[str], label: str) -> dict[str, Any]:
    """Have it all said of answers, retrain once, and measure; the feedback and what it taught are gone afterwards.

    kind: accuracy on `unseen` questions, whose right label is `label`, before and after; candidate: what the gate saw.
    """
    for n, one in enumerate(said):
        save(services.engine, Feedback(f"{n:032x}", one.owner, float(n), one.text, -1, one.label))
    bench = Bench(services, silent)
    rows = bench.rows("", unseen, [label] * len(unseen))
    before = bench.right(rows, bench.serving).mean()
    made = retrain(services)
    after = bench.right(rows, services.learnt.corrections(bench.kind)).mean()
    delete_feedback(services.engine, [one.id for one in all_feedback(services.engine)])
    if made.promoted:
        roll_back(services)
    return {"corrections": len(said), "promoted": made.promoted, "kind": [float(before), float(after)], "candidate": made.report}


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the gate's reports too")
    as_json, found = parser.parse_args().json, {}
    winter = kind_of_question(UNSEEN_ANIMALS)[:UNSEEN]
    with tempfile.TemporaryDirectory() as home:
        services = Services(Settings(home=Path(home)))
        services.__dict__["encoder"] = RememberingEncoder(services.encoder)  # the retrainings encode the shipped examples once
        said = {
            "honest": honest(kind_of_question(ANIMALS)[:N], "sleep", ("car", OUT_OF_SCOPE)),
            "poison": poison(services)[:N],
            "flood": flood("car")[:N],
        }
        said["mixed"] = [one for each in said.values() for one in each]
        said["boats"] = honest(kind_of_question(BOATS, BOAT_PHRASES)[:N], "car", ("sleep", OUT_OF_SCOPE))
        said["operation"] = honest(kind_of_question(OPERATIONS, OPERATION_PHRASES)[:N], "sleep", ("car", OUT_OF_SCOPE))
        said["alone"], said["floods"] = unnamed(said["honest"]), unnamed(said["flood"])
        judged = {
            "boats": (kind_of_question(UNSEEN_BOATS, UNSEEN_BOAT_PHRASES), "car"),
            "operation": (kind_of_question(UNSEEN_OPERATIONS, UNSEEN_OPERATION_PHRASES), "sleep"),
        }
        for name, rows in said.items():
            found[name] = simulate(services, rows, *judged.get(name, (winter, "sleep")))
            if not as_json:
                _print(name, found[name])
    if as_json:
        print(json.dumps(found, indent=1))


def _print(name: str, found: dict[str, Any]) -> None:
    gate = found["candidate"]["router"]
    print(f"{name}: {found['corrections']} corrections, {gate['learnt']} learnt from, {'' if found['promoted'] else 'not '}promoted")
    print(f"  kind, unseen        {found['kind'][0]:.3f} -> {found['kind'][1]:.3f}")
    for one in gate["comparisons"]:
        low, high = one["interval"] or (0.0, 0.0)
        print(f"  {one['name']:18}  {one['before']:.3f} -> {one['after']:.3f}  [{low:+.3f}, {high:+.3f}]  n={one['n']}")
    for reason in gate["objections"]:
        print(f"  {reason}", flush=True)


if __name__ == "__main__":
    main()
