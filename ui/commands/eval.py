"""Measure routing, retrieval and answers, on the experts' own test questions or on your files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import InputError
from ui.console import OUT, progress

if TYPE_CHECKING:
    from evaluation.results import Progress, Report

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Measure routing, retrieval and answers, on the experts' own test questions or on your files.",
)
Corpus = Annotated[Path | None, typer.Option(help='Passages, JSON lines {"_id", "title", "text"}.')]
Map = Annotated[list[str] | None, typer.Option("--map", metavar="OURS=THEIRS", help="Rename a field of your files; may be repeated.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, every wrong item included.")]
Folder = Annotated[Path | None, typer.Option("--report", metavar="DIR", help="Also write report.json and report.html there.")]


@app.command()
def routing(
    test: Annotated[Path | None, typer.Argument(help='Texts with labels, JSON lines {"text", "label"}.', show_default=False)] = None,
    train: Annotated[Path | None, typer.Option(help="Fit a router on this file, of the same form, instead of the shipped one.")] = None,
    router: Annotated[str | None, typer.Option(metavar="KIND,...", help="Kinds of router; similarity by default.")] = None,
    map_: Map = None,
    json_: Json = False,
    report: Folder = None,
) -> None:
    """Does the right expert win? Without a file: the experts' own test utterances."""
    from evaluation.data import parse_map
    from evaluation.routing import evaluate
    from graph.services import services

    if train and not test:
        raise InputError("Expected a test file beside --train. Run: switchyard eval routing TEST.jsonl --train TRAIN.jsonl")
    command = _command("routing", test, ("--train", train), ("--router", router), maps=map_)
    kinds = [kind.strip() for kind in router.split(",")] if router else []
    with _bars() as bars:
        found = evaluate(services(), command, test=test, train=train, routers=kinds, mapping=parse_map(map_ or []), progress=bars)
    _hand_over([found], json_, report)


@app.command()
def retrieval(
    corpus: Corpus = None,
    qrels: Annotated[Path | None, typer.Option(help='Questions, JSON lines {"qid", "question", "passage_id"}.')] = None,
    map_: Map = None,
    json_: Json = False,
    report: Folder = None,
) -> None:
    """How high does the right passage stand? Without files: the experts' own test questions."""
    from evaluation.data import parse_map
    from evaluation.retrieval import evaluate
    from graph.services import services

    _check_pair(corpus, qrels)
    command = _command("retrieval", None, ("--corpus", corpus), ("--qrels", qrels), maps=map_)
    with _bars() as bars:
        found = evaluate(services(), command, corpus=corpus, qrels=qrels, mapping=parse_map(map_ or []), progress=bars)
    _hand_over([found], json_, report)


@app.command()
def answers(
    corpus: Corpus = None,
    qrels: Annotated[Path | None, typer.Option(help='Questions, JSON lines {"qid", "question", "passage_id", "answers"}.')] = None,
    oracle: Annotated[bool, typer.Option("--oracle", help="Give the reader the right passage instead of searching for it.")] = False,
    map_: Map = None,
    json_: Json = False,
    report: Folder = None,
) -> None:
    """Is the fact in the answer, and cited? Without files: the experts' own test questions, through the whole graph."""
    from evaluation.answers import evaluate
    from evaluation.data import parse_map
    from graph.services import services

    _check_pair(corpus, qrels)
    if oracle and not corpus:
        raise InputError("Expected files beside --oracle. Run: switchyard eval answers --corpus C.jsonl --qrels Q.jsonl --oracle")
    command = _command("answers", None, ("--corpus", corpus), ("--qrels", qrels), maps=map_) + (" --oracle" if oracle else "")
    with _bars() as bars:
        found = evaluate(services(), command, corpus=corpus, qrels=qrels, oracle=oracle, mapping=parse_map(map_ or []), progress=bars)
    _hand_over([found], json_, report)


@app.command("all")
def all_(json_: Json = False, report: Folder = None) -> None:
    """Every suite on the experts' own test questions."""
    from evaluation import answers, retrieval, routing
    from graph.services import services

    shared = services()
    with _bars() as bars:
        found = [
            routing.evaluate(shared, _command("routing"), progress=bars),
            retrieval.evaluate(shared, _command("retrieval"), progress=bars),
            answers.evaluate(shared, _command("answers"), progress=bars),
        ]
    _hand_over(found, json_, report)


def _command(suite: str, file: Path | None = None, *options: tuple[str, Path | str | None], maps: Sequence[str] | None = None) -> str:
    """What to type for the same numbers."""
    words = ["switchyard", "eval", suite, *([str(file)] if file else [])]
    words += [word for name, value in options if value for word in (name, str(value))]
    words += [word for pair in maps or [] for word in ("--map", pair)]
    return shlex.join(words)


def _check_pair(corpus: Path | None, qrels: Path | None) -> None:
    if bool(corpus) != bool(qrels):
        raise InputError(f"Expected --corpus and --qrels together; got only {'--corpus' if corpus else '--qrels'}.")


@contextmanager
def _bars() -> Iterator[Progress]:
    bar = progress()

    def start(what: str, total: int) -> Callable[[int], None]:
        # Not before: a bar without a task would print an empty line above an error.
        bar.start()
        task = bar.add_task(what, total=total)
        return lambda done: bar.advance(task, done)

    try:
        yield start
    finally:
        if bar.tasks:
            bar.stop()


def _hand_over(reports: Sequence[Report], as_json: bool, folder: Path | None) -> None:
    from evaluation import report

    if folder:
        report.write(reports, folder)
    if as_json:
        print(report.as_json(reports))
        return
    for each in reports:
        report.show(each, OUT)
    if folder:
        OUT.print(f"Written: {folder / 'report.html'}, {folder / 'report.json'}", soft_wrap=True)
