"""Make training data: questions, models' answers, labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import InputError
from ui.console import OUT, count, plain, say, shorten
from ui.paid import AsJson, BatchSize, Concurrency, DryRun, Fresh, Limit, Map, MaxCost, Rate, Terms, Yes

if TYPE_CHECKING:
    from training.building.labelling import Examples
    from training.judgements import Judgement, Models, Question, WinRate

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Make training data: clean splits of questions, answers of many models, labels of difficulty.",
)
Judgements = Annotated[
    Path | None,
    typer.Option(
        "--from-judgements", metavar="FILE", help="Pairwise judgements as in lmsys/mt_bench_human_judgments: JSONL, JSON, CSV or Parquet."
    ),
]
SHOWN = 5


def _folder(name: str) -> Path:
    """As it is given: an empty name would be the folder in which one stands, which nobody means."""
    if not name.strip():
        raise InputError("Expected the name of a folder; got none. Say --output DIR, or leave it out.")
    return Path(name)


@app.callback()
def data() -> None:
    """Make training data."""


@app.command()
def build(
    source: Annotated[
        str,
        typer.Argument(metavar="FILE|NAME", help="Instructions: CSV, JSONL, Parquet, or owner/name on the Hugging Face hub."),
    ],
    models: Annotated[str, typer.Option(metavar="SPEC,SPEC,...", help="The models that answer, written provider:name.")],
    judge: Annotated[str | None, typer.Option(metavar="SPEC", help="A model that judges the answers.")] = None,
    rubric: Annotated[str, typer.Option(help="How it judges: graded (each answer), or pairwise (every two, in both orders).")] = "graded",
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the files go; datasets/NAME in SWITCHYARD_HOME.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest answer.")] = 2048,
    limit: Limit = None,
    batch_size: BatchSize = 64,
    concurrency: Concurrency = 8,
    rate: Rate = 600,
    fresh: Fresh = False,
    dry_run: DryRun = False,
    max_cost: MaxCost = None,
    yes: Yes = False,
    json: AsJson = False,
    map_: Map = None,
) -> None:
    """Let models answer instructions, evaluate the answers, and write data to train on. What was paid once is not paid again."""
    from core.settings import settings
    from training.building.dataset import Plan
    from training.building.judging import PAIRWISE, check_rubric
    from ui import building

    names = tuple(dict.fromkeys(name.strip() for name in models.split(",") if name.strip()))
    if not names:
        raise InputError("Expected at least one model: --models SPEC,SPEC,...")
    if check_rubric(rubric) == PAIRWISE and (judge is None or len(names) == 1):
        raise InputError("--rubric pairwise lets a judge compare answers: expected --judge SPEC, and two models or more.")
    plan = Plan(names, judge, rubric, max_tokens, batch_size)
    folder = output or settings().home / "datasets" / Path(source).stem
    terms = Terms(concurrency, rate, fresh, dry_run, max_cost, yes, json)
    building.build(source, building.read(source, map_ or [], limit), plan, folder, terms)


@app.command()
def prepare(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Questions with answers: CSV, JSONL, Parquet.")],
    corpus: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The documents they are about, a folder or a file; an expert's own questions find theirs."),
    ] = None,
    map_: Map = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", parser=_folder, help="Where the files go; prepared/NAME in SWITCHYARD_HOME.")
    ] = None,
    dev: Annotated[float, typer.Option(metavar="SHARE", min=0, max=1, help="Share to draw for dev of the rows that have no split.")] = 0.15,
    test: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=1, help="Share to draw for test of the rows that have no split.")
    ] = 0.2,
    max_words: Annotated[int, typer.Option(min=1, help="Rows with a longer question or answer are left out.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of the splits that are drawn.")] = 0,
    json: AsJson = False,
) -> None:
    """Clean questions and answers, take out duplicates and leaks between splits, and find each answer in the documents."""
    from evaluation.data import parse_map
    from training.prepare.recipe import Options
    from ui.preparing import prepare

    prepare(files, corpus, Options(parse_map(map_ or []), dev, test, max_words, seed), output, as_json=json)


@app.command()
def label(
    ctx: typer.Context,
    prompts: Annotated[
        str | None, typer.Argument(metavar="FILE|NAME", help="With --with: prompts, or a chat log as in lmsys/lmsys-chat-1m.")
    ] = None,
    judgements: Judgements = None,
    model: Annotated[
        str | None, typer.Option("--with", metavar="SPEC", help="Label prompts by asking this model; judgements are its examples.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the files go; judgements/ or labels/ in SWITCHYARD_HOME.")
    ] = None,
    models: Annotated[Path | None, typer.Option(metavar="FILE", help="An edited models.toml: label by its lists.")] = None,
    limit: Limit = None,
    batch_size: BatchSize = 64,
    concurrency: Concurrency = 8,
    rate: Rate = 600,
    fresh: Fresh = False,
    dry_run: DryRun = False,
    max_cost: MaxCost = None,
    yes: Yes = False,
    json: AsJson = False,
    map_: Map = None,
) -> None:
    """Label which prompts need a superior model: by people's judgements of models, or by asking a model that is shown some."""
    from core.settings import settings

    home = settings().home
    if bool(prompts) != bool(model):
        raise InputError("Expected prompts and a model together: switchyard data label FILE --with SPEC")
    if not (prompts and model):
        if judgements is None:
            raise InputError("Expected --from-judgements FILE, or prompts to label: switchyard data label FILE --with SPEC")
        _refuse_idle(ctx)
        _from_judgements(judgements, models, output or home / "judgements")
        return
    from ui import building

    examples = _examples(judgements, models, home)
    found = building.read(prompts, map_ or [], limit)
    terms = Terms(concurrency, rate, fresh, dry_run, max_cost, yes, json)
    building.label(prompts, found, model, examples, output or home / "labels" / Path(prompts).stem, batch_size, terms)


def _refuse_idle(ctx: typer.Context) -> None:
    """Raises InputError for options that do nothing where no model is asked."""
    used = ("prompts", "judgements", "model", "output", "models")
    others = [option for option in ctx.command.params if option.name and option.name not in used]
    given = [o.opts[0] for o in others if (by := ctx.get_parameter_source(o.name or "")) and by.name == "COMMANDLINE"]
    if given:
        raise InputError(f"Expected --with SPEC beside {', '.join(given)}: judgements alone take --output and --models only.")


def _examples(judgements: Path | None, models: Path | None, home: Path) -> Examples:
    """What the labelling model is shown: of these judgements, or of those that were labelled last."""
    from training.building.labelling import Examples, read_examples

    if not judgements:
        return read_examples(home / "judgements" / "labels.jsonl")
    _, _, _, ranked = _ranked(judgements, models)
    return Examples.of([(question.prompt, question.label) for question in ranked])


def _ranked(judgements: Path, models: Path | None) -> tuple[list[Judgement], dict[str, int], Models, list[Question]]:
    """The judgements, unknown winners with their number, the lists of models and the questions, the hardest first."""
    from training import judgements as recipe
    from training.judgement_files import read_judgements

    found, unknown = read_judgements(judgements)
    rates = recipe.win_rates(found)
    lists = recipe.read_models(models, [rate.model for rate in rates]) if models else recipe.split_models(rates)
    return found, unknown, lists, recipe.questions(found, lists)


def _from_judgements(judgements: Path, models: Path | None, folder: Path) -> None:
    from training.judgement_files import check_unedited, write_labels
    from training.judgements import win_rates

    found, unknown, lists, ranked = _ranked(judgements, models)
    check_unedited(folder, lists, given=models is not None)
    rates = win_rates(found)
    written = write_labels(folder, rates, lists, ranked)
    _print_rates(rates, lists)
    _print_hardest(ranked)
    for winner, n in unknown.items():
        say(f"Left out {count(n, 'judgement')} with the unknown winner {winner!r}.", style="yellow")
    if silent := len({(j.question, j.turn) for j in found}) - len(ranked):
        say(f"Not labelled: {count(silent, 'question')} without a game of a superior against an inferior model.")
    OUT.print(f"Written to {folder}: {', '.join(path.name for path in written)}", soft_wrap=True)
    OUT.print(f"Train on them: switchyard train difficulty {folder / 'labels.jsonl'}", soft_wrap=True)


def _print_rates(rates: Sequence[WinRate], lists: Models) -> None:
    from rich.table import Table

    table = Table("model", "tier", "games", "wins", "ties", "win rate", "95%", title="Models, the best first", title_justify="left")
    for rate in rates:
        tier = "superior" if rate.model in lists.superior else "inferior" if rate.model in lists.inferior else "-"
        low, high = rate.interval
        cells = (str(rate.games), str(rate.wins), str(rate.ties), f"{rate.rate:.3f}", f"{low:.2f}–{high:.2f}")
        table.add_row(plain(rate.model), tier, *cells)
    OUT.print(table)


def _print_hardest(ranked: Sequence[Question]) -> None:
    from graph.difficulty import ROUTE_TO_SUPERIOR

    needed = sum(question.label == ROUTE_TO_SUPERIOR for question in ranked)
    OUT.print(f"{count(len(ranked), 'question')}, of which {needed:,} need a superior model. The hardest:")
    for question in ranked[:SHOWN]:
        OUT.print(f"  {question.score:.2f}  {shorten(question.prompt, 90)}", soft_wrap=True)
