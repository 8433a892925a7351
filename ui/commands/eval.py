"""Measure routing, retrieval, answers and all the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from core.errors import InputError
from core.types import Tier
from ui.console import bars
from ui.measuring import Candidates, Corpus, Folder, Group, Json, Map, Qrels, Train, check_pair, command_line, hand_over, kinds
from ui.paid import Yes, agree

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Measure routing, retrieval, answers, conversation, confidence, abstention and escalation, on shipped or your own questions.",
)


@app.command()
def routing(
    test: Annotated[Path | None, typer.Argument(help='Texts with labels, JSON lines {"text", "label"}.', show_default=False)] = None,
    train: Annotated[Path | None, typer.Option(help="Fit a router on this file, of the same form, instead of the shipped one.")] = None,
    router: Annotated[str | None, typer.Option(metavar="KIND,...", help="Kinds of router; by default the one that decides.")] = None,
    map_: Map = None,
    yes: Yes = False,
    json_: Json = False,
    report: Folder = None,
) -> None:
    """Does the right expert win? Without a file: the experts' own test utterances."""
    from evaluation.data import parse_map
    from evaluation.routing import evaluate
    from graph.routers.llm import characters_to_read
    from graph.services import services

    def consent(model: str, texts: Sequence[str], labels: int) -> None:
        agree(model, len(texts), characters_to_read(texts, labels), yes=yes)

    if train and not test:
        raise InputError("Expected a test file beside --train. Run: switchyard eval routing TEST.jsonl --train TRAIN.jsonl")
    command = command_line("routing", test, ("--train", train), ("--router", router), maps=map_)
    names, maps = kinds(router), parse_map(map_ or [])
    with bars() as show:
        found = evaluate(services(), command, test=test, train=train, routers=names, mapping=maps, agree=consent, progress=show)
    hand_over([found], json_, report)


@app.command()
def retrieval(
    corpus: Corpus = None,
    qrels: Qrels = None,
    candidates: Candidates = None,
    map_: Map = None,
    json_: Json = False,
    report: Folder = None,
) -> None:
    """How high does the right passage stand? Without files: the experts' own test questions."""
    from evaluation.data import parse_map
    from evaluation.retrieval import evaluate
    from graph.nodes.expert import CANDIDATES
    from graph.services import services

    check_pair(corpus, qrels)
    given = [("--corpus", corpus), ("--qrels", qrels), ("--candidates", str(candidates) if candidates else None)]
    command, maps, count = command_line("retrieval", None, *given, maps=map_), parse_map(map_ or []), candidates or CANDIDATES
    with bars() as show:
        found = evaluate(services(), command, corpus=corpus, qrels=qrels, candidates=count, mapping=maps, progress=show)
    hand_over([found], json_, report)


@app.command()
def answers(
    corpus: Corpus = None,
    qrels: Qrels = None,
    candidates: Candidates = None,
    oracle: Annotated[bool, typer.Option("--oracle", help="Give the reader the right passage instead of searching for it.")] = False,
    judge: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Have this chat model grade correctness and coherence; it may cost.")
    ] = None,
    map_: Map = None,
    json_: Json = False,
    report: Folder = None,
) -> None:
    """Is the fact in the answer, and cited? Without files: the experts' own test questions, through the whole graph."""
    from evaluation import answers as own
    from evaluation import squad
    from evaluation.data import parse_map
    from graph.nodes.expert import CANDIDATES
    from graph.services import services

    check_pair(corpus, qrels)
    if (oracle or candidates) and not corpus:
        raise InputError("Expected files beside --oracle and --candidates. Run: switchyard eval answers --corpus C.jsonl --qrels Q.jsonl")
    given = [("--corpus", corpus), ("--qrels", qrels), ("--candidates", str(candidates) if candidates else None), ("--judge", judge)]
    command = command_line("answers", None, *given, maps=map_) + (" --oracle" if oracle else "")
    maps, count = parse_map(map_ or []), candidates or CANDIDATES
    with bars() as show:
        if corpus and qrels:
            found = squad.evaluate(
                services(), command, corpus, qrels, oracle=oracle, candidates=count, judge=judge, mapping=maps, progress=show
            )
        else:
            found = own.evaluate(services(), command, judge=judge, progress=show)
    hand_over([found], json_, report)


@app.command()
def escalation(
    data: Annotated[Path, typer.Argument(help='Prompts with both models\' scores, JSON lines {"prompt", "weak_score", "strong_score"}.')],
    train: Train = None,
    group: Group = None,
    router: Annotated[str | None, typer.Option(metavar="KIND,...", help="Kinds of difficulty router; the quick ones by default.")] = None,
    map_: Map = None,
    yes: Yes = False,
    json_: Json = False,
    report: Folder = None,
) -> None:
    """Which prompts need the superior model? With "weak_response" in the file, also judged from what the inferior one answered."""
    from evaluation.data import parse_map, read_pairs
    from evaluation.escalation import evaluate
    from evaluation.splits import DIVISIONS, FEW
    from graph.difficulty import check_scores
    from graph.routers.llm import characters_to_read
    from graph.services import services

    command = command_line("escalation", data, ("--train", train), ("--group", group), ("--router", router), maps=map_)
    names, maps, shared = kinds(router), parse_map(map_ or []), services()
    pairs, learnt = (read_pairs(path, maps, group) for path in (data, train or data))
    # What no router can be fitted on is refused before anything is measured or paid.
    check_scores([row.prompt for row in learnt], [row.weak_score for row in learnt], [row.strong_score for row in learnt])
    if "llm" in names:
        # Other rows to learn from are other examples to show: each cross-validation asks anew.
        asked = [row.prompt for row in pairs] * (DIVISIONS if not train and len(pairs) < FEW else 1)
        agree(shared.tiers(None)[Tier.INFERIOR], len(asked), characters_to_read(asked, 2), yes=yes)
    with bars() as show:
        found = evaluate(shared, command, data, train=train, group=group, kinds=names, mapping=maps, progress=show)
    hand_over([found], json_, report)


@app.command()
def recommendation(
    data: Annotated[Path, typer.Argument(help='Prompts with the scores of several models, JSON lines {"prompt", "scores": {model: x}}.')],
    train: Train = None,
    group: Group = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND,...", help="Kinds of recommender; the quick ones by default.")] = None,
    prices: Annotated[Path | None, typer.Option(help="Your price list (as llms/prices.toml), for costs that the file lacks.")] = None,
    map_: Map = None,
    yes: Yes = False,
    json_: Json = False,
    report: Folder = None,
) -> None:
    """Which model to ask? Quality for cost, against the best single model, random choice and an oracle."""
    from evaluation.data import parse_map
    from evaluation.recommendation import evaluate
    from graph.asked_scores import characters_to_read
    from graph.recommender import Measured
    from graph.services import services
    from llms.prices import read_prices

    def consent(model: str, judged: Measured) -> None:
        agree(model, len(judged.prompts), characters_to_read(judged.prompts, judged.models), yes=yes)

    own = [("--train", train), ("--group", group), ("--kind", kind), ("--prices", prices)]
    command = command_line("recommendation", data, *own, maps=map_)
    names, maps, listed = kinds(kind), parse_map(map_ or []), read_prices(prices) if prices else None
    with bars() as show:
        found = evaluate(
            services(),
            command,
            data,
            train=train,
            group=group,
            kinds=names,
            prices=listed,
            mapping=maps,
            agree=consent,
            progress=show,
        )
    hand_over([found], json_, report)


@app.command()
def confidence(
    data: Annotated[
        Path | None, typer.Argument(help='Judged responses, JSON lines {"prompt", "response", "correct"}.', show_default=False)
    ] = None,
    train: Train = None,
    group: Group = None,
    map_: Map = None,
    json_: Json = False,
    report: Folder = None,
) -> None:
    """Is an answer as often right as its confidence says? Without a file: the experts' own test questions, in three kinds of cases."""
    from evaluation.confidence import evaluate
    from evaluation.data import parse_map
    from graph.services import services

    if (train or group) and not data:
        raise InputError("Expected a file of judged responses beside --train and --group. Run: switchyard eval confidence DATA.jsonl")
    command = command_line("confidence", data, ("--train", train), ("--group", group), maps=map_)
    with bars() as show:
        found = evaluate(services(), command, data, train=train, group=group, mapping=parse_map(map_ or []), progress=show)
    hand_over([found], json_, report)


@app.command()
def abstention(
    data: Annotated[
        Path | None,
        typer.Argument(help='Questions with passages, JSON lines {"question", "passages": [...], "answerable"}.', show_default=False),
    ] = None,
    corpus: Corpus = None,
    qrels: Qrels = None,
    against: Annotated[Path | None, typer.Option(help="Also ask the questions of this other corpus, which answers none of them.")] = None,
    passages: Annotated[int | None, typer.Option(min=1, help="With --corpus: so many passages a question; 1 by default.")] = None,
    map_: Map = None,
    json_: Json = False,
    report: Folder = None,
) -> None:
    """Does the reader know when the answer is not there? Without files: the experts' own test questions, in three kinds of cases."""
    from evaluation.abstention import evaluate
    from evaluation.data import parse_map
    from graph.services import services

    check_pair(corpus, qrels)
    if (data and corpus) or (against and not corpus):
        raise InputError("Expected a file, or --corpus and --qrels with or without --against. Run: switchyard eval abstention --help")
    if passages and not corpus:
        raise InputError("Expected --corpus and --qrels beside --passages. Run: switchyard eval abstention --help")
    count = passages or 1
    own = [("--corpus", corpus), ("--qrels", qrels), ("--against", against), ("--passages", str(count) if corpus else None)]
    command, maps = command_line("abstention", data, *own, maps=map_), parse_map(map_ or [])
    with bars() as show:
        found = evaluate(services(), command, data, corpus=corpus, qrels=qrels, against=against, count=count, mapping=maps, progress=show)
    hand_over([found], json_, report)


@app.command()
def conversation(
    file: Annotated[
        Path | None,
        typer.Argument(help='Dialogues, JSON lines {"turns": [...], "expert", "documents": [...]}.', show_default=False),
    ] = None,
    split: Annotated[str, typer.Option(help="The rows of this split: dev or test.")] = "test",
    json_: Json = False,
    report: Folder = None,
) -> None:
    """Is a follow-up understood, and a vague message asked back about? Without a file: the dialogues beside the experts."""
    from evaluation.conversation import evaluate
    from graph.services import services

    command = command_line("conversation", file, ("--split", None if split == "test" else split))
    with bars() as show:
        found = evaluate(services(), command, file, split=split, progress=show)
    hand_over([found], json_, report)


@app.command("all")
def all_(json_: Json = False, report: Folder = None) -> None:
    """Every suite that the experts' own test questions can feed."""
    from evaluation import abstention, answers, confidence, retrieval, routing
    from graph.services import services

    shared = services()
    with bars() as show:
        found = [
            routing.evaluate(shared, command_line("routing"), progress=show),
            retrieval.evaluate(shared, command_line("retrieval"), progress=show),
            answers.evaluate(shared, command_line("answers"), progress=show),
            confidence.evaluate(shared, command_line("confidence"), progress=show),
            abstention.evaluate(shared, command_line("abstention"), progress=show),
        ]
    hand_over(found, json_, report)
