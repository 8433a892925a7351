"""`data build` and `data label --with`, from their arguments to their files and summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ui.console import OUT, count, plain, print_json, say
from ui.paid import Terms, check_whole, money, spend

if TYPE_CHECKING:
    from training.building.asking import Asker
    from training.building.dataset import Plan
    from training.building.instructions import Read
    from training.building.labelling import Examples, Labels

SHOWN_FAULTS = 10


def read(source: str, mapping: Sequence[str], limit: int | None) -> Read:
    """The rows of a source; those at fault are named on stderr."""
    from evaluation.data import parse_map
    from training.building.instructions import read_instructions

    found = read_instructions(source, parse_map(mapping), limit)
    for fault in found.faults[:SHOWN_FAULTS]:
        say(f"Left out: {fault}", style="yellow")
    if (more := len(found.faults) - SHOWN_FAULTS) > 0:
        say(f"Left out: {count(more, 'more row')}; the manifest names them all.", style="yellow")
    return found


def build(source: str, found: Read, plan: Plan, folder: Path, terms: Terms) -> None:
    """Build a data set and write it to `folder`."""
    from core.settings import settings
    from graph.services import services
    from training.building import dataset, files
    from training.building.estimate import estimate

    home = settings().home
    done = spend(
        str(folder.resolve()),
        plan.asked,
        terms,
        lambda: estimate(plan, found.instructions, services().engine, home, fresh=terms.fresh),
        lambda asker: dataset.build(asker, found.instructions, plan),
    )
    if done is None:
        return
    made, asker = done
    about = files.manifest(made, plan, _about(source, found, asker, plan.asked), home)
    kept = not made.complete and files.is_complete(folder)
    if kept:
        say(f"{folder} holds a data set that lacks nothing and is left as it is.", style="yellow")
    else:
        contents = files.of(made, plan)
        files.write(folder, contents, about)
    if terms.json:
        print_json({**about, "output": None if kept else str(folder)})
    else:
        _summary(about)
        if not kept:
            OUT.print(f"Written to {folder}: {', '.join([*sorted(contents), files.MANIFEST])}", soft_wrap=True)
    check_whole(asker, made.unjudged + sum(not answer.reply for answer in made.answers), terms)


def label(source: str, found: Read, model: str, examples: Examples, folder: Path, batch_size: int, terms: Terms) -> None:
    """Label prompts by asking a model, and write the labels to `folder`."""
    from core.settings import settings
    from graph.services import services
    from store import ledger
    from training.building import files, labelling
    from training.building.estimate import of_calls

    home, prompts = settings().home, found.instructions
    again = labelling.sample(prompts, labelling.SEED)

    def estimate() -> list[Any]:
        calls = labelling.calls(model, prompts, examples), labelling.calls(model, again, examples, swapped=True)
        known = {} if terms.fresh else ledger.answered(services().engine, [call.key for of in calls for call in of])
        return [of_calls(model, of, made, known, home) for of, made in zip(("labels", "labels, again"), calls, strict=True)]

    done = spend(
        str(folder.resolve()), [model], terms, estimate, lambda asker: labelling.label(asker, model, prompts, examples, batch_size)
    )
    if done is None:
        return
    made, asker = done
    about = labelling.manifest(made, model, examples) | {"price": files.price(model, home)} | _about(source, found, asker, [model])
    kept = bool(made.missing) and files.is_complete(folder)
    if not kept:
        files.write(folder, labelling.contents(made), about)
    if terms.json:
        print_json({**about, "output": None if kept else str(folder)})
    else:
        _print_labels(made)
        OUT.print(f"Written to {folder}. Train on them: switchyard train difficulty {folder / 'labels.jsonl'}", soft_wrap=True)
    check_whole(asker, len(made.missing), terms)


def _about(source: str, found: Read, asker: Asker, models: Sequence[str]) -> dict[str, Any]:
    from training.building.files import price

    priced = all(price(model, asker.services.settings.home)["input"] is not None for model in models)
    return {
        "source": {"name": source, "instructions": len(found.instructions), "faults": found.faults},
        "calls_sent_in_last_run": asker.sent,
        "spent_usd": asker.budget.spent if priced else None,
    }


def _summary(about: Mapping[str, Any]) -> None:
    from rich.table import Table

    models: dict[str, Any] = about["models"]
    names = list(dict.fromkeys(name for one in models.values() for name in one["means"]))
    table = Table("model", "answers", "failed", *names, "cost", title="Means of the answers' measures", title_justify="left")
    for model, one in models.items():
        values = (f"{one['means'][name]:.3f}" if name in one["means"] else "-" for name in names)
        table.add_row(plain(model), f"{one['answers']:,}", f"{sum(one['failures'].values()):,}", *values, money(one["cost_usd"]))
    OUT.print(table)
    if judge := about["judge"]:
        OUT.print(f"Judge: {count(judge['unparsable'], 'verdict')} could not be read, {count(judge['not_judged'], 'call')} got no reply.")
    OUT.print(f"Paid for this data set: {money(about['spent_usd'])}.")


def _print_labels(made: Labels) -> None:
    for name, share in made.shares.items():
        OUT.print(f"{name:18} {share:6.1%}")
    if made.asked_again:
        agreed = f"{made.agreed / made.asked_again:.1%} of {count(made.asked_again, 'prompt')}"
        OUT.print(f"Agreement when asked again, with the examples in the opposite order: {agreed}.")
    OUT.print(f"{count(len(made.labelled), 'label')}; {count(len(made.unusable), 'unusable answer')}.")
