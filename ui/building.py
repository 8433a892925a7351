"""`data build` and `data label --with`, from their arguments to their files and summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ui.console import OUT, count, plain, print_json, say
from ui.paid import Terms, check_whole, money, spend

if TYPE_CHECKING:
    from training.building.asking import Asker
    from training.building.calls import Call
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

    files.check_folder(folder, source, files.NAMES)
    if not (plan.judge or any(one.references or one.passages for one in found.instructions)):
        say("Note: nothing will be scored, and no training data come of it: no row has a reference or passages. Name a --judge.")
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
    kept = bool(made.missing) and files.is_complete(folder)
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
    check_whole(asker, made.missing, terms)


def label(source: str, found: Read, model: str, examples: Examples, folder: Path, batch_size: int, terms: Terms) -> None:
    """Label prompts by asking a model, and write the labels to `folder`."""
    from core.settings import settings
    from graph.services import services
    from store import ledger
    from training.building import files, labelling
    from training.building.estimate import of_calls

    files.check_folder(folder, source, labelling.NAMES)
    home, prompts = settings().home, found.instructions

    def estimate() -> list[Any]:
        def known(calls: Sequence[Call]) -> dict[str, ledger.Entry]:
            return {} if terms.fresh else ledger.answered(services().engine, [call.key for call in calls])

        first = labelling.calls(model, prompts, examples)
        usable = labelling.may_be_usable(prompts, first, known(first))
        again = labelling.calls(model, labelling.sample(prompts, labelling.SEED, usable), examples, swapped=True)
        return [of_calls(model, of, made, known(made), home) for of, made in (("labels", first), ("labels, again", again))]

    done = spend(
        str(folder.resolve()), [model], terms, estimate, lambda asker: labelling.label(asker, model, prompts, examples, batch_size)
    )
    if done is None:
        return
    made, asker = done
    about = labelling.manifest(made, model, examples) | {"price": files.price(model, home)} | _about(source, found, asker, [model])
    kept = bool(made.missing) and files.is_complete(folder)
    if kept:
        say(f"{folder} holds labels that lack nothing and is left as it is.", style="yellow")
    else:
        files.write(folder, labelling.contents(made), about)
    if terms.json:
        print_json({**about, "output": None if kept else str(folder)})
    else:
        _print_labels(made)
        if not kept:
            OUT.print(f"Written to {folder}. Train on them: switchyard train difficulty {folder / 'labels.jsonl'}", soft_wrap=True)
    check_whole(asker, len(made.missing), terms)


def _about(source: str, found: Read, asker: Asker, models: Sequence[str]) -> dict[str, Any]:
    from training.building.files import price

    shared = asker.services
    priced = all(price(model, shared.settings.home)["input"] is not None for model in models)
    return {
        "source": {"name": source, "instructions": len(found.instructions), "faults": found.faults},
        # As the clients send it: none where a model refuses one, or has none.
        "temperature": {model: getattr(shared.model(model), "temperature", None) for model in models},
        "calls_sent_in_last_run": asker.sent,
        "spent_usd": asker.budget.spent if priced else None,
    }


def _summary(about: Mapping[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    models: dict[str, Any] = about["models"]
    names = list(dict.fromkeys(name for one in models.values() for name in one["means"]))
    table = Table(title="Means of the answers' measures", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for model in models:
        table.add_column(plain(model).replace(":", ":\n", 1), overflow="fold", justify="right")  # a name that is cut might be another's
    table.add_row("answers", *(f"{one['answers']:,}" for one in models.values()))
    table.add_row("failed", *(f"{sum(one['failures'].values()):,}" for one in models.values()))
    for name in names:
        table.add_row(name, *(f"{one['means'][name]:.3f}" if name in one["means"] else "-" for one in models.values()))
    table.add_row("cost", *(money(one["cost_usd"]) for one in models.values()))
    OUT.print(table)
    if judge := about["judge"]:
        OUT.print(f"Judge: {count(judge['unparsable'], 'verdict')} could not be read, {count(judge['not_judged'], 'call')} got no reply.")
    OUT.print(f"Paid for this data set: {money(about['spent_usd'])}.")


def _print_labels(made: Labels) -> None:
    for name, share in made.shares.items():
        OUT.print(f"{name:18} {share:6.1%}")
    if made.asked_again:
        agreed = f"{made.agreed / made.asked_again:.1%} of {count(made.asked_again, 'prompt')}"
    else:
        agreed = "not measured, since no prompt has two labels"
    OUT.print(f"Agreement when asked again, with the examples in the opposite order: {agreed}.")
    OUT.print(f"{count(len(made.labelled), 'label')}; {count(len(made.unusable), 'unusable answer')}.")
