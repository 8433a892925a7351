"""Train a router: fit on the training rows, calibrate on rows held out, write, measure what was written, keep the numbers with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import InputError, UnknownNameError
from core.types import OUT_OF_SCOPE, Tier
from evaluation.data import Labelled, read_labelled
from evaluation.encoding import RememberingEncoder
from evaluation.results import Progress, silent
from evaluation.routed import judge
from evaluation.routing import listen
from evaluation.rows import Mapped
from experts.examples import Examples, held_out_examples, router_examples
from graph.routers.base import Examples as Distinct
from graph.routers.base import ordered
from graph.routers.kinds import BASELINES, EMBEDDED, check_kind, parameters
from graph.routers.saved import add_to_about, size_mb
from graph.services import Services

OWN = "the experts' utterances, questions and out-of-scope examples: fitted on train, calibrated on dev, measured on test"
FOR_EXPERTS: dict[str, dict[str, Any]] = {"logistic": {"landmarks": 2500, "strength": 30.0}, "transformer": {"epochs": 3, "blend": 0.5}}
"""Few labels with crooked borders: what lies near an expert, but outside, needs more than a plane, and an encoder that keeps what it knew
of the rest of the world. 150 intents do not."""
KEPT = ("accuracy", "macro_f1", "in_scope_accuracy", "oos_auroc", "oos_recall@95", "ece")
CHUNK = 64
DIGITS = 6


@dataclass(frozen=True, slots=True)
class Data:
    """Examples to fit on, to calibrate on and to measure on; the last two may be empty. `source`: where they come from, in words."""

    train: Examples
    dev: Examples = field(default_factory=lambda: ([], []))
    test: Examples = field(default_factory=lambda: ([], []))
    source: str = OWN


def own_data(services: Services) -> Data:
    """The experts' own examples."""
    experts, folder = services.experts, services.settings.experts_dir
    return Data(router_examples(experts, folder), held_out_examples(experts, folder, "dev"), held_out_examples(experts, folder, "test"))


def data_of(train: Path, test: Path | None, mapping: Mapped) -> Data:
    """Anyone's files {"text","label"}. Raises InputError."""
    source = train.name + (f", measured on {test.name}" if test else "")
    return Data(_columns(read_labelled(train, mapping)), test=_columns(read_labelled(test, mapping)) if test else ([], []), source=source)


def parse_settings(kind: str, pairs: Sequence[str]) -> dict[str, Any]:
    """`["method=centroids"]` as keywords of the kind. Raises UnknownNameError, and InputError for a value that does not fit."""
    known, found = parameters(kind), {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in known:
            raise UnknownNameError(f"parameter of the router {kind}", name, list(known))
        try:
            found[name] = type(known[name])(value)
        except ValueError:
            raise InputError(f"Expected --set {name}=NUMBER, for example {name}={known[name]}; got {pair!r}.") from None
    return found


def train(
    services: Services,
    kind: str,
    data: Data,
    folder: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    model: str | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, float]:
    """Train a router of `kind` and write it to `folder`; the old one stays until the new one is whole.

    `settings`: keywords of its class; `model`: the chat model of the kind `llm`. Returns the metrics (rates in [0, 1], fit_s in seconds,
    latencies in milliseconds, size_mb in 10^6 bytes), those of the test rows only where there are any. Raises InputError.
    """
    if check_kind(kind) in BASELINES:
        raise InputError(f"The router {kind} has nothing to learn. Kinds that can be trained: see switchyard train router --help")
    labels = set(data.train[1])
    encoder = RememberingEncoder(services.encoder)
    chosen = _settings(services, kind, labels, model, seed) | dict(settings or {})
    if kind == "transformer":
        chosen["on_step"] = _steps(progress)
    # What cannot be fitted is refused before minutes of encoding.
    router = services.trained.new(kind, labels, encoder=encoder, **chosen)
    Distinct.of(*data.train)
    if kind in (*EMBEDDED, "similarity"):
        _encode(encoder, [*data.train[0], *data.dev[0]], progress)
    advance, start = progress(f"Fitting ({kind})", 1 + bool(data.dev[0])), time.perf_counter()
    router.fit(*data.train)
    advance(1)
    if data.dev[0]:
        router.calibrate(*data.dev)
        advance(1)
    numbers = {"fit_s": time.perf_counter() - start}
    router.save(folder)
    numbers |= {"size_mb": size_mb(folder), **_measured(services, kind, labels, data.test, folder, progress)}
    numbers = {name: round(value, DIGITS) for name, value in numbers.items()}
    own = {"examples": services.examples_hash} if data.source == OWN else {}
    add_to_about(folder, trained_on=data.source, rows=len(data.train[0]), metrics=numbers, **own)
    return numbers


def _settings(services: Services, kind: str, labels: set[str], model: str | None, seed: int) -> dict[str, Any]:
    if kind == "similarity":
        return {}
    own = labels == services.trained.labels
    settings = {"seed": seed, **(FOR_EXPERTS.get(kind, {}) if own else {})}
    if kind == "llm":
        settings["model"] = model or services.tiers(None)[Tier.INFERIOR]
        settings["descriptions"] = {e.name: e.card.description for e in services.experts.values()} if own else {}
    return settings


def _steps(progress: Progress) -> Callable[[str, int], None]:
    """Advances bars whose lengths are only known at their first step."""
    bars: dict[str, Callable[[int], None]] = {}

    def step(what: str, total: int) -> None:
        if what not in bars:
            bars[what] = progress(what, total)
        bars[what](1)

    return step


def _encode(encoder: RememberingEncoder, texts: Sequence[str], progress: Progress) -> None:
    advance = progress("Encoding", len(texts))
    for start in range(0, len(texts), CHUNK):
        advance(len(encoder.encode(texts[start : start + CHUNK])))


def _measured(services: Services, kind: str, labels: set[str], test: Examples, folder: Path, progress: Progress) -> dict[str, float]:
    """What the saved router reaches, by its most probable label; nothing without test rows."""
    if not test[0]:
        return {}
    router = services.trained.open(kind, folder, labels)
    rows = [Labelled(text, label) for text, label in zip(*test, strict=True)]
    said = listen(router, ordered({*router.labels, *test[1], OUT_OF_SCOPE}), rows, progress("Measuring", len(rows)))
    found = judge(rows, [said], "").results[0]
    latency = {f"latency_{name}_ms": value for name, value in found.latency_ms.items() if value is not None}
    return {name: value for name in KEPT if (value := found.metrics.get(name)) is not None} | latency


def _columns(rows: Sequence[Labelled]) -> Examples:
    return [r.text for r in rows], [r.label for r in rows]
