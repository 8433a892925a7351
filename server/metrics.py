"""What Prometheus reads: requests, turns, tokens, cost. Several workers add theirs up where PROMETHEUS_MULTIPROC_DIR is set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.values import MutexValue, ValueClass

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        r = self.registry = CollectorRegistry()
        self.requests = Counter("switchyard_requests", "HTTP requests.", ["route", "status"], registry=r)
        self.latency = Histogram("switchyard_request_seconds", "Time of an HTTP request.", ["route"], buckets=_SECONDS, registry=r)
        self.turns = Counter("switchyard_turns", "Turns that were answered, by expert and outcome.", ["expert", "outcome"], registry=r)
        self.escalations = Counter("switchyard_escalations", "Turns in which the superior model was asked.", registry=r)
        self.fallbacks = Counter("switchyard_fallbacks", "Turns in which one model stood in for another.", registry=r)
        self.tokens = Counter("switchyard_tokens", "Tokens read and written.", ["model", "direction"], registry=r)
        self.cost = Counter("switchyard_cost_usd", "What the models cost, where the price is known.", ["model"], registry=r)
        self.running = Gauge("switchyard_turns_running", "Turns with a thread.", registry=r, multiprocess_mode="livesum")
        self.waiting = Gauge("switchyard_turns_waiting", "Turns that wait for one.", registry=r, multiprocess_mode="livesum")
        self.refused = Counter("switchyard_turns_refused", "Turns that were refused because too many waited.", registry=r)

    def answered(self, answer: Mapping[str, Any]) -> None:
        """Count a turn by its answer object, but for its models."""
        expert = answer["expert"] if isinstance(answer["expert"], str) else "+".join(answer["expert"] or ["none"])
        self.turns.labels(expert, answer["outcome"]).inc()
        self.escalations.inc(bool(answer["escalation"]))
        self.fallbacks.inc(any(notice["kind"] == "fallback" for notice in answer["notices"]))

    def asked(self, models: Iterable[Mapping[str, Any]]) -> None:
        """Count what models read, wrote and cost: the `models` of an answer object, or of a route that waits."""
        for use in models:
            self.tokens.labels(use["model"], "input").inc(use["input_tokens"])
            self.tokens.labels(use["model"], "output").inc(use["output_tokens"])
            self.cost.labels(use["model"]).inc(use["cost_usd"] or 0.0)

    def text(self) -> bytes:
        """In Prometheus' text format: of all workers together, whichever is asked."""
        if ValueClass is MutexValue:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        workers = MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        _forget_the_dead(Path(workers._path))
        return generate_latest(together)


def _forget_the_dead(folder: Path) -> None:
    """What a worker that was killed had running or waiting is gone with it; what it had counted stays."""
    for file in folder.glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
        except PermissionError:  # it lives, and is somebody else's by now
            pass
