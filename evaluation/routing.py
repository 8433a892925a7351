"""The suite `routing`: does the right label win.

Without a file, the shipped router on the experts' own `test` utterances. With a file, the shipped router again when every label is an
expert of the application, else a router fitted on `--train` or, without it, on the other four fifths of the file. The shipped router is
judged by the policy's decision, a fitted one by its most probable label.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from core.errors import IndexFault, InputError
from core.types import OUT_OF_SCOPE, Tier
from evaluation.data import Labelled, read_labelled
from evaluation.encoding import RememberingEncoder
from evaluation.metrics import Ints
from evaluation.results import Progress, Report, silent
from evaluation.routed import Routed, judge
from evaluation.rows import Mapped
from experts.examples import held_out_examples
from graph.nodes.route import find_route
from graph.routers.base import Router, ordered
from graph.routers.kinds import BASELINES, KEYLESS, check_kind
from graph.routers.saved import size_mb
from graph.services import Services
from retrieval.text import normalise

FOLDS = 5
ALL = "all"
LLM = "llm"


def evaluate(
    services: Services,
    command: str,
    *,
    test: Path | None = None,
    train: Path | None = None,
    routers: Sequence[str] = (),
    mapping: Mapped | None = None,
    agree: Callable[[str, Sequence[str], int], None] = lambda model, texts, labels: None,
    progress: Progress = silent,
) -> Report:
    """Judge `routers` (the default one where none is named; `all`: every kind that needs no model's key), and the baselines.

    agree(model, texts, labels) is called before the kind llm asks a model about texts, of so many labels; what it raises ends it.
    Raises InputError for files or names that cannot be used, IndexFault for a named router that is not trained.
    """
    kinds = [check_kind(kind) for kind in dict.fromkeys(KEYLESS if ALL in routers else routers)] or [services.router_kind]
    rows = read_labelled(test, mapping or {}) if test else _own_rows(services)
    learnt = read_labelled(train, mapping or {}) if train else []
    labels = ordered({r.label for r in [*rows, *learnt]})
    shipped = not learnt and set(labels) <= services.trained.labels | {OUT_OF_SCOPE}
    if LLM in kinds:
        asked = getattr(services.trained.router(LLM), "model", "") if shipped else services.tiers(None)[Tier.INFERIOR]
        agree(asked, [r.text for r in rows], len(labels))
    services.encoder.encode(["The first text loads the model."])
    if shipped:
        labels, say = ordered(services.trained.labels | {OUT_OF_SCOPE}), partial(_trained, services, rows=rows, progress=progress)
    elif learnt:
        say = partial(_fitted, services, rows=rows, learnt=learnt, encoder=RememberingEncoder(services.encoder), progress=progress)
    else:
        say = partial(_cross_validated, services, rows=rows, encoder=RememberingEncoder(services.encoder), progress=progress)
    said, notes = [], _notes(rows, learnt)
    for kind in [*kinds, *(b for b in BASELINES if b not in kinds)]:
        try:
            said.append(say(kind, labels))
        except (InputError, IndexFault) as error:
            if ALL not in routers:
                raise
            notes.append(f"{kind} is left out. {error}")
    return judge(rows, said, command, notes)


def _own_rows(services: Services) -> list[Labelled]:
    texts, labels = held_out_examples(services.experts, services.settings.experts_dir, "test")
    if not texts:
        raise InputError(
            "Expected utterances with the split `test` in an expert's utterances.csv; found none. Or pass a file: {text, label} a line."
        )
    return [Labelled(text, label) for text, label in zip(texts, labels, strict=True)]


def _notes(rows: Sequence[Labelled], learnt: Sequence[Labelled]) -> list[str]:
    both = len({r.text for r in rows} & {r.text for r in learnt})
    return [f"{both} of the texts stand in the training file too: the numbers flatter whoever learns by heart."] if both else []


def _trained(services: Services, kind: str, labels: Sequence[str], *, rows: Sequence[Labelled], progress: Progress) -> Routed:
    """The application's own router, as it decides: by the policy."""
    router = services.router(kind)
    if kind in BASELINES:
        return listen(router, labels, rows, progress(f"Routing ({kind})", len(rows)))
    advance, probabilities, decided, seconds = progress(f"Routing ({kind})", len(rows)), [], [], []
    for row in rows:
        start = time.perf_counter()
        found = find_route(services, row.text, kind=kind)
        seconds.append(time.perf_counter() - start)
        probabilities.append([found.scores.get(label, 0.0) for label in labels])
        decided.append(labels.index(found.experts[0] if found.experts else OUT_OF_SCOPE))
        advance(1)
    return Routed(kind, list(labels), np.array(probabilities), np.array(decided), seconds, size_mb=_size(router))


def _fitted(
    services: Services,
    kind: str,
    labels: Sequence[str],
    *,
    rows: Sequence[Labelled],
    learnt: Sequence[Labelled],
    encoder: RememberingEncoder,
    progress: Progress,
) -> Routed:
    done = progress(f"Fitting ({kind})", 1)
    settings = {"model": services.tiers(None)[Tier.INFERIOR]} if kind == LLM else {}
    router = services.trained.new(kind, set(), encoder=encoder, **settings).fit([r.text for r in learnt], [r.label for r in learnt])
    done(1)
    return listen(router, labels, rows, progress(f"Routing ({kind})", len(rows)), encoder)


def _cross_validated(
    services: Services, kind: str, labels: Sequence[str], *, rows: Sequence[Labelled], encoder: RememberingEncoder, progress: Progress
) -> Routed:
    fold_of = folds(rows)
    found = Routed(kind, list(labels), np.zeros((len(rows), len(labels))), np.zeros(len(rows), np.int64), [], np.zeros(len(rows)))
    seconds = np.zeros(len(rows))
    for fold in np.unique(fold_of):
        inside, outside = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        held_out, learnt = [rows[i] for i in inside.tolist()], [rows[i] for i in outside.tolist()]
        part = _fitted(services, kind, labels, rows=held_out, learnt=learnt, encoder=encoder, progress=progress)
        found.probabilities[inside], found.decided[inside], found.unfamiliar[inside] = part.probabilities, part.decided, part.unfamiliar
        if part.seconds:
            seconds[inside] = part.seconds
    return replace(found, seconds=seconds.tolist() if seconds.any() else [], size_mb=part.size_mb, baseline=kind in BASELINES)


def listen(
    router: Router,
    labels: Sequence[str],
    rows: Sequence[Labelled],
    advance: Callable[[int], None],
    encoder: RememberingEncoder | None = None,
) -> Routed:
    """Ask a router one text at a time; `labels` are the columns of what comes back, which may be more than the router knows.

    `encoder`: the router's own, where it remembers texts, so that the time it has saved is added again.
    """
    columns, probabilities, seconds = [labels.index(label) for label in router.labels], np.zeros((len(rows), len(labels))), []
    for n, row in enumerate(rows):
        start, saved = time.perf_counter(), encoder.saved if encoder else 0.0
        probabilities[n, columns] = router.predict_proba([row.text])[0]
        seconds.append(time.perf_counter() - start + (encoder.saved - saved if encoder else 0.0))
        advance(1)
    baseline = router.kind in BASELINES
    return Routed(
        router.kind,
        list(labels),
        probabilities,
        probabilities.argmax(axis=1),
        [] if baseline else seconds,
        -router.familiarity([r.text for r in rows]),
        None if baseline else _size(router),
        baseline,
    )


def _size(router: Router) -> float:
    with TemporaryDirectory() as made:
        router.save(Path(made) / "router")
        return size_mb(Path(made) / "router")


def folds(rows: Sequence[Labelled], count: int = FOLDS) -> Ints:
    """A fold for each row, from 0, labels spread evenly; the same for the same rows. Texts of one normal form share their fold."""
    texts = [normalise(row.text) or row.text for row in rows]
    label_of = {text: row.label for text, row in zip(texts, rows, strict=True)}
    mixed = np.random.default_rng(0).permutation(list(label_of)).tolist()
    fold_of = {text: place % count for place, text in enumerate(sorted(mixed, key=lambda text: label_of[text]))}
    return np.array([fold_of[text] for text in texts], np.int64)
