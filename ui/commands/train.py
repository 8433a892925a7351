"""Train routers, reader, encoder, confidence and the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import InputError
from core.files import check_replaceable, check_writable
from core.types import Tier
from ui.commands._train_encoder import encoder
from ui.commands._train_expert import expert
from ui.commands._train_recommender import recommender
from ui.console import OUT, bars, progress, say
from ui.paid import Yes, agree

if TYPE_CHECKING:
    from graph.services import Services

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Train routers, difficulty, reader, encoder, confidence, recommender or an expert's own model.",
)
app.command()(expert)
app.command()(encoder)
app.command()(recommender)
DATA = "experts/*/questions.csv"


@app.command()
def reader(
    ctx: typer.Context,
    corpus: Annotated[Path | None, typer.Option(metavar="FILE", help='More passages, JSON lines {"_id", "title", "text"}.')] = None,
    qrels: Annotated[
        Path | None, typer.Option(metavar="FILE", help='Questions on them, JSON lines {"qid", "question", "passage_id", "answers"}.')
    ] = None,
    dev: Annotated[Path | None, typer.Option(metavar="FILE", help="Held-out questions on them, of the same form.")] = None,
    text: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Text without questions, of the form of --corpus: it asks for its own sentences.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A reader to train further, such as artifacts/reader; else a new one is trained.")
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the reader goes; artifacts/reader, where it is used.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Over all questions.")] = 2,
    questions: Annotated[int, typer.Option(min=1, help="In a batch.")] = 8,
    rate: Annotated[float, typer.Option(min=0, help="The highest learning rate.")] = 1e-4,
    seed: Annotated[int, typer.Option(help="Of all that is drawn at random.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint; one is written every five minutes.")] = False,
    ranking: Annotated[bool, typer.Option("--ranking", help="Keep the network: fit the ranking of sentences on it.")] = False,
) -> None:
    """Fine-tune the local readers' network on the experts' `train` questions, and on your files; an hour or two on two cores.

    The reader in service stays until the new one is whole.
    """
    from graph.services import services
    from training.reader import run as recipe

    if ranking:
        _refuse_idle(ctx)
    if bool(corpus) != bool(qrels):
        raise InputError("Expected --corpus and --qrels together: the questions name passages of that corpus.")
    if dev and not corpus:
        raise InputError("Expected --corpus and --qrels beside --dev: its questions name passages of that corpus.")
    settings, shared = recipe.Recipe(epochs=epochs, questions=questions, rate=rate, seed=seed), services()
    folder = output or shared.settings.artifacts_dir / "reader"
    if output and not ranking:
        check_replaceable(folder, "recipe", recipe.TRAINING, ours=["*"])  # what lies beside the reader's files stays
    check_writable(folder)
    with bars() as show:
        if not ranking:
            work = shared.settings.home / "training" / "reader"
            files = recipe.Files(corpus, qrels, dev, text)
            network, numbers = recipe.train_reader(shared, files, settings, folder, work, start=start, resume=resume, progress=show)
            epoch = f"epoch {network['epoch']} of {epochs}" if network["epoch"] else f"nothing better than {start}, which is kept"
            mean = f"the mean of {start} and " if "start" in network else ""
            _tell(f"Held-out questions, {mean}{epoch}", {name: network[name] for name in ("r@1", "em", "f1")}, str(folder))
        else:
            numbers = recipe.fit_ranking(shared, folder, show)
    _tell("A right sentence among the first four", numbers, str(folder / "weights.json"))


def _refuse_idle(ctx: typer.Context) -> None:
    """Raises InputError for options that do nothing where only the ranking is fitted."""
    others = [option for option in ctx.command.params if option.name not in ("ranking", "output")]
    given = [o.opts[0] for o in others if (by := ctx.get_parameter_source(o.name or "")) and by.name == "COMMANDLINE"]
    if given:
        raise InputError(f"--ranking trains no network and takes --output only; got {', '.join(given)}. Leave one of the two out.")


@app.command()
def router(
    kind: Annotated[str, typer.Option(metavar="KIND", help="similarity, logistic, xgboost, transformer or llm.")],
    data: Annotated[Path | None, typer.Option(metavar="FILE", help='Your examples, JSON lines {"text", "label"}.')] = None,
    test: Annotated[Path | None, typer.Option(metavar="FILE", help="With --data: what to measure it on, of the same form.")] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write it; SWITCHYARD_HOME/routers/KIND, where it is found, by default.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the kind: method=centroids, epochs=3, base=MODEL ..."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn at random.")] = 0,
    model: Annotated[str | None, typer.Option(metavar="SPEC", help="The chat model of the kind llm.")] = None,
    map_: Annotated[list[str] | None, typer.Option("--map", metavar="OURS=THEIRS", help="Rename a field of your files.")] = None,
    yes: Yes = False,
) -> None:
    """Train a router; on the experts' own examples by default. The old one stays until the new one is whole."""
    from evaluation.data import parse_map
    from graph.routers.kinds import check_kind
    from graph.routers.llm import MOST_HELD_OUT
    from graph.routers.saved import read_about
    from graph.services import services
    from training import router as recipe

    if test and not data:
        raise InputError("Expected a training file beside --test. Run: switchyard train router --kind KIND --data FILE --test FILE")
    if data and not output:
        raise InputError("Expected --output beside --data: a router for other labels must not take the place of the experts' own.")
    _check_model(kind, model)
    shared = services()
    folder = output or shared.settings.home / "routers" / check_kind(kind)
    _check_folder(folder, own=output is not None)
    rows = recipe.data_of(data, test, parse_map(map_ or [])) if data else recipe.own_data(shared)
    settings = recipe.parse_settings(kind, set_ or [])
    if kind == "llm":
        asked = [*rows.dev[0][:MOST_HELD_OUT], *rows.test[0]]
        _agree(model or shared.tiers(None)[Tier.INFERIOR], asked, len(set(rows.train[1])), yes=yes)
    with bars() as show:
        numbers = recipe.train(shared, kind, rows, folder, settings=settings, model=model, seed=seed, progress=show)
    if kind == "llm":
        about = read_about(folder)
        _say_unread(about["asked"], about["unparsable"])
    OUT.print("\n".join(f"{name:20} {value:.4g}" for name, value in numbers.items()))
    OUT.print(f"Written: {folder}", soft_wrap=True)


@app.command()
def confidence(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: show what the shipped weights reach, or what --target chooses.")
    ] = False,
    target: Annotated[
        str | None, typer.Option(help="Choose the policy's thresholds instead: superior-share=0.3, max-risk=0.05 or budget=0.002 (USD).")
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(help="With max-risk: the chance that the promise may fail, over the choice of questions; 0.1 by default."),
    ] = None,
) -> None:
    """Fit the confidence on the experts' `dev` questions, and show what each threshold would do on `test`.

    Not on `train`: the reader knows those questions. With --target the weights stay: `test` questions, which they were not fitted on,
    choose the thresholds, and SWITCHYARD_HOME/policy.toml is written.
    """
    if target is not None or delta is not None:
        _thresholds(target or "", delta, check)
        return
    from evaluation.cases import ALTERED, KINDS, Case, cases
    from experts.check import check_questions
    from graph.services import services
    from training import confidence as recipe

    shared = services()
    path = shared.settings.artifacts_dir / "confidence" / "weights.json"
    if not check:
        check_writable(path.parent, "SWITCHYARD_ARTIFACTS=DIR")
    found: dict[str, list[Case]] = {}
    splits = ("test",) if check else ("dev", "test")
    for split in splits:
        check_questions(shared.experts.values(), split, recipe.FOLDS if split == "dev" else 1)
    with progress() as bar:
        task = bar.add_task("Answering", total=sum(len(e.questions(*splits)) for e in shared.experts.values()))
        for split in splits:
            found[split] = cases(shared, [split], lambda: bar.advance(task), kinds=KINDS if split == "dev" else (*KINDS, ALTERED))
    fitted = shared.shipped_confidence if check else recipe.fit(found["dev"])
    numbers = recipe.measure(fitted, found["test"])
    OUT.print(recipe.threshold_table(fitted, found["test"]))
    if not check:
        about = f"{DATA}: fitted on dev with {_models(shared, Tier.INFERIOR)}, measured on test"
        recipe.write(fitted, recipe.shares(fitted, found["dev"]), numbers, about, path)
    _tell("Confidence on test", numbers, str(path))


@app.command()
def difficulty(
    data: Annotated[
        list[Path],
        typer.Argument(help='Prompts, JSON lines {"prompt", "weak_score", "strong_score"} or {"prompt", "label"}.', show_default=False),
    ],
    kind: Annotated[str, typer.Option(help="length, logistic, xgboost, transformer or llm.")] = "xgboost",
    group: Annotated[str | None, typer.Option(metavar="COLUMN", help="Cross-validation keeps rows of one value on one side.")] = None,
    model: Annotated[str | None, typer.Option(metavar="SPEC", help="The chat model of the kind llm, written provider:name.")] = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the router goes; difficulty/ in SWITCHYARD_HOME.")] = None,
    seed: Annotated[int, typer.Option(help="Of whatever is drawn at random.")] = 0,
    map_: Annotated[list[str] | None, typer.Option("--map", metavar="OURS=THEIRS", help="Rename a field of your files.")] = None,
    yes: Yes = False,
) -> None:
    """Learn from recorded scores which prompts need the superior model."""
    from evaluation.data import parse_map
    from evaluation.encoding import RememberingEncoder
    from evaluation.splits import FOLDS
    from graph.difficulty import KINDS, DifficultyRouter, check_kind
    from graph.routers.llm import check_read
    from graph.services import services
    from training import difficulty as recipe

    if check_kind(kind) == "llm" and not model:
        raise InputError("The kind llm asks a chat model: expected --model SPEC, for example --model openai:gpt-5-mini.")
    _check_model(kind, model)
    shared = services()
    folder = output or shared.settings.home / "difficulty"
    _check_folder(folder, own=output is not None)
    settings = {"model": model, "ask": shared.ask} if kind == "llm" else {}
    rows = recipe.read_rows(data, group, parse_map(map_ or []))
    if model:
        _agree(model, [row.prompt for row in rows], len(recipe.SCORES), yes=yes)
    encoder, made = RememberingEncoder(shared.encoder), list[DifficultyRouter]()

    def make(of: str) -> DifficultyRouter:
        made.append(DifficultyRouter(of, encoder, seed=seed, **(settings if of == kind else {})))
        return made[-1]

    compared = list(dict.fromkeys([KINDS[0], kind]))
    with progress() as bar:
        task = bar.add_task("Fitting", total=len(compared) * FOLDS + 1)
        found = recipe.cross_validate(rows, data[0], compared, make, lambda: bar.advance(task))
        fitted = recipe.fit(make(kind), rows)
        bar.advance(task)
    asked, unparsable = (sum(numbers) for numbers in zip(*(each.replies for each in made), strict=True))
    check_read(model or "", asked, unparsable)
    _say_unread(asked, unparsable)
    recipe.save(fitted, folder, rows, data, found[kind])
    OUT.print(recipe.as_table(found))
    OUT.print(f"{kind}, fitted on all {len(rows):,} rows: {folder}", soft_wrap=True)


def _check_model(kind: str, model: str | None) -> None:
    if model and kind != "llm":
        raise InputError(f"--model is the chat model of the kind llm; the kind {kind} asks none. Leave one of the two out.")


def _agree(model: str, texts: Sequence[str], labels: int, *, yes: bool) -> None:
    """Have the user agree to a call for each of these texts. Raises InputError where nobody agrees."""
    from graph.routers.llm import characters_to_read

    if texts:
        agree(model, len(texts), characters_to_read(texts, labels), yes=yes)


def _say_unread(asked: int, unparsable: int) -> None:
    if unparsable:
        say(f"{unparsable:,} of {asked:,} replies stated no probabilities.", style="yellow")


def _check_folder(folder: Path, *, own: bool) -> None:
    """Before anything is learnt. `own`: the user named it; in the home folder even what is damaged is replaced."""
    if own:
        check_replaceable(folder, "checksums")
    check_writable(folder.parent)


def _thresholds(target: str, delta: float | None, check: bool) -> None:
    from evaluation.cases import cases
    from graph.learnt import confidence_identity
    from graph.policy import load_policy
    from graph.services import services
    from training import thresholds
    from training.confidence import calibration

    wanted, shared = thresholds.parse(target, delta), services()
    path = shared.settings.home / "policy.toml"
    if not check:
        check_writable(path.parent, "SWITCHYARD_HOME=DIR")
    candidates = thresholds.read_candidates(shared.settings.artifacts_dir / "confidence" / "weights.json")
    with progress() as bar:
        task = bar.add_task("Answering", total=sum(len(e.questions("test")) for e in shared.experts.values()))
        rows = cases(shared, ["test"], lambda: bar.advance(task), kinds=["own"])
    shipped = load_policy(shared.settings.artifacts_dir, shared.settings.artifacts_dir)
    answer_at = thresholds.ladder(shared.policy, shipped).answer_at
    chosen = thresholds.choose(wanted, calibration(shared, rows), candidates, answer_at)
    measured_with = confidence_identity(shared.confidence)
    inferior, superior = (_models(shared, tier) for tier in (Tier.INFERIOR, Tier.SUPERIOR))
    data = f"{DATA}: {len(rows)} test questions, answered by {inferior}; superior model: {superior}"
    OUT.print(f"accept_at {chosen.accept_at:.4f}. {chosen.guarantee}")
    if not check:
        thresholds.write_policy(thresholds.new_policy(shared.policy, shipped, wanted, chosen, data, measured_with), path)
        OUT.print(f"Policy: {path}")


def _models(shared: Services, tier: Tier) -> str:
    return ", ".join(sorted({shared.tiers(name)[tier] for name in shared.experts}))


def _tell(what: str, numbers: Mapping[str, float], path: str) -> None:
    OUT.print(f"{what}: " + ", ".join(f"{k} {v:.3f}" for k, v in numbers.items()))
    OUT.print(f"Weights: {path}")
