"""`switchyard train expert`: fine-tune a chat model for one expert."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import InputError
from ui.console import ERR, OUT, bars, count, print_json, say

if TYPE_CHECKING:
    from core.settings import Settings
    from graph.services import Services
    from training.expert.recipe import Job


def expert(
    name: Annotated[str, typer.Argument(help="The expert whose questions are learnt.")],
    base: Annotated[
        str,
        typer.Option(
            metavar="MODEL", help="A name on the Hugging Face hub, a folder, or tiny to try the path; with --hosted the provider's."
        ),
    ],
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the model goes; models/NAME in SWITCHYARD_HOME.")] = None,
    questions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Other questions than the expert's own, a CSV file of the same form.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Tune all weights instead of LoRA adapters: for small models.")] = False,
    epochs: Annotated[int, typer.Option(help="Times that each example is seen, at most.")] = 3,
    rate: Annotated[float | None, typer.Option(help="The highest learning rate; 2e-4, with --full 2e-5.")] = None,
    rank: Annotated[int, typer.Option(help="Of the LoRA adapters.")] = 16,
    batch: Annotated[int, typer.Option(help="Examples at a time on each GPU.")] = 4,
    accumulate: Annotated[int, typer.Option(help="Batches that make an update.")] = 4,
    without: Annotated[float, typer.Option(help="Share of the questions asked once more without the right passage.")] = 0.25,
    patience: Annotated[int, typer.Option(help="Looks at the dev loss, four an epoch, without a gain before it stops.")] = 4,
    seed: Annotated[int, typer.Option(help="Of all that is drawn at random.")] = 0,
    search: Annotated[int, typer.Option(metavar="N", help="Try N settings of rate and rank; the lowest dev loss wins.")] = 1,
    hosted: Annotated[str | None, typer.Option(metavar="PROVIDER", help="Tune at a provider instead: openai.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --hosted: write and check the files, send nothing.")] = False,
    use: Annotated[bool, typer.Option("--use", help="Let the expert use the model from now on.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print what came of it as JSON.")] = False,
) -> None:
    """Fine-tune a chat model on an expert's questions with retrieved passages, and say whether that helped."""
    from graph.services import services
    from training.expert.examples import by_split, read_questions
    from training.expert.recipe import FULL_RATE, LORA_RATE, Job, Recipe

    if hosted not in (None, "openai"):
        raise InputError(f"Expected --hosted openai, the only provider so far; got {hosted!r}.")
    if dry_run and not hosted:
        raise InputError("--dry-run writes what a provider would be sent: expected --hosted openai beside it.")
    shared = services()
    source = questions or shared.expert(name).folder / "questions.csv"
    rate = (FULL_RATE if full else LORA_RATE) if rate is None else rate
    recipe = Recipe(base, full, epochs, rate, rank, batch, accumulate, without, patience, seed)
    rows = by_split(read_questions(source), str(source))
    folder = output or shared.settings.home / "models" / (f"{name}-{hosted}" if hosted else name)
    try:
        with bars() as show:
            job = Job(name, rows, recipe, shlex.join(["switchyard", *sys.argv[1:]]), search, show, say)
            if hosted:
                spec, about = _hosted(shared, job, folder, dry_run, resume)
            else:
                spec, about = _local(shared, job, folder, resume, quiet=json_)
    except KeyboardInterrupt:
        say("What was done is kept. To go on: the same command and --resume.")
        raise
    if json_ and about:
        print_json(about)
    if spec:
        _hand_over(shared.settings, name, spec, use)


def _local(shared: Services, job: Job, folder: Path, resume: bool, *, quiet: bool) -> tuple[str | None, dict[str, Any]]:
    from evaluation.report import show
    from training.expert.base import check_packages
    from training.expert.output import Output
    from training.expert.tuning import as_table, plan, tune

    check_packages()
    done = tune(shared, job, Output(folder, plan(job)), resume=resume)
    if done is None:  # one of several processes, and not the first
        return None, {}
    if not quiet:
        if len(done.trials) > 1:
            OUT.print(as_table(done.trials))
        show(done.report, OUT)
    say(f"Written: {folder} (curves.png, report/report.html, tensorboard/)")
    return f"local:{folder.resolve()}", done.about


def _hosted(shared: Services, job: Job, folder: Path, dry_run: bool, resume: bool) -> tuple[str | None, dict[str, Any]]:
    from training.expert.hosted import HostedJob, prepare

    if dry_run:
        found = prepare(shared, job, folder)
        say(f"Written and checked: {folder}/train.jsonl and dev.jsonl. Nothing was sent.")
        say(
            f"{count(found.examples, 'example')} of about {found.tokens:,} tokens, {found.epochs} times: about {found.billed:,} to pay for."
        )
        return None, {"examples": found.examples, "tokens": found.tokens, "epochs": found.epochs, "billed_tokens": found.billed}
    hosted = HostedJob(shared.settings, folder, say)
    if hosted.begin(resume=resume):
        prepare(shared, job, folder)
    return f"openai:{hosted.run(job)}", hosted.state


def _hand_over(settings: Settings, name: str, spec: str, use: bool) -> None:
    from training.expert.adopt import adopt, lines

    if use:
        say(f"{name} is answered by {spec} from now on: {adopt(settings.home, name, spec)}")
        return
    say(f'Try it: switchyard ask --model "{spec}" --expert {name} "..."')
    say(f"To keep it, put into {settings.home / 'switchyard.toml'}:")
    ERR.print(lines(name, spec).rstrip(), soft_wrap=True)
