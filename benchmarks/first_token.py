"""The first streamed token over HTTP, above the model's own: `switchyard serve` beside the LangGraph dev server with the same graph.

Usage: python -m benchmarks.first_token [--questions N] [--short] [--json] [--report DIR]

Both servers run at once and are asked in turn, each question a conversation of its own, by a client on the same machine. The chat model is
scripted and gives its first token after 300 ms; a policy is set under which no draft is held back. `above the model`: from the request to
the first token, less the 300 ms. `route`, `retrieval`, `rerank`: what these take in this process for the same questions; what is left of
the first number is `overhead`.
"""

from __future__ import annotations

import json
import os
import time
import tomllib
import uuid
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import httpx
import numpy as np

from benchmarks.load import MODEL_S
from benchmarks.load.sides import ONE_CALL, Side, dev, ours
from benchmarks.measured import Measured, Row, Target, parser, run, spread
from core.errors import ModelError
from core.settings import ROOT, Settings, settings
from graph.nodes.expert import CANDIDATES
from graph.nodes.route import find_route
from graph.services import Services
from ui.console import bars

QUESTIONS, SHORT, WARM = 60, 3, 2
OVERHEAD_MS = 15.0
TIMEOUT_S = 60.0


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--questions", type=int, default=QUESTIONS)
    chosen = options.parse_args()
    run("benchmarks.first_token", chosen, lambda: measure(SHORT if chosen.short else chosen.questions), threads=2)


def measure(n: int) -> Measured:
    """Ask both servers `n` questions, and time the parts of a turn here."""
    indexes = settings().indexes_dir.resolve()
    with TemporaryDirectory() as made, bars() as progress:
        home = Path(made) / "home"
        home.mkdir()
        policy = tomllib.loads((ROOT / "artifacts" / "policy.toml").read_text(encoding="utf-8")) | ONE_CALL | {"stream_at": 0.0}
        (home / "policy.toml").write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in policy.items()))
        services = Services(Settings(home=home, indexes_dir=indexes))
        questions = list(islice(cycle(i.question for e in services.experts.values() for i in e.questions("test")), n + WARM))
        environment = {"SWITCHYARD_HOME": str(home), "SWITCHYARD_INDEXES": str(indexes)}
        advance = progress("Asking both servers", len(questions))
        with ours(Path(made) / "ours", environment, 1) as served, dev(Path(made) / "dev", environment) as other:
            seconds: dict[str, list[float]] = {"ours": [], "dev": []}
            parts: dict[str, list[float]] = {"route": [], "retrieval": [], "rerank": []}
            with httpx.Client(timeout=TIMEOUT_S) as client:
                for question in questions:
                    seconds["ours"].append(first_token(client, served, *chat(question)))
                    seconds["dev"].append(first_token(client, other, *streamed_run(question)))
                    for name, took in zip(parts, parts_of(services, question), strict=True):
                        parts[name].append(took)
                    advance(1)
    above = {name: [took - MODEL_S for took in each[WARM:]] for name, each in seconds.items()}
    own = np.sum([each[WARM:] for each in parts.values()], axis=0)
    rows = [
        Row("Switchyard, above the model", {}, spread(above["ours"])),
        *(Row(f"of it, {name}", {}, spread(each[WARM:])) for name, each in parts.items()),
        Row("Switchyard, overhead", {}, spread([a - b for a, b in zip(above["ours"], own.tolist(), strict=True)])),
        Row("langgraph dev, above the model", {}, spread(above["dev"]), baseline=True),
    ]
    targets = [Target("first token above model, route, retrieval and rerank, median, ms", rows[-2].latency_ms["p50"], OVERHEAD_MS)]
    return Measured("first-token", n, rows, targets, ["One worker a server, both on the same two cores as the client."])


def chat(question: str) -> tuple[str, dict[str, Any]]:
    """A streamed chat completion that begins a stored conversation."""
    said = [{"role": "user", "content": question}]
    body = {"model": "switchyard", "messages": said, "stream": True, "metadata": {"thread_id": uuid.uuid4().hex}}
    return "/v1/chat/completions", body


def streamed_run(question: str) -> tuple[str, dict[str, Any]]:
    """A streamed run on a new thread of the LangGraph server."""
    said = {"messages": [{"role": "user", "content": question}]}
    body = {"assistant_id": "switchyard", "input": said, "stream_mode": ["custom"], "if_not_exists": "create"}
    return f"/threads/{uuid.uuid4()}/runs/stream", body | {"context": {"live": True}}


def first_token(client: httpx.Client, side: Side, path: str, body: dict[str, Any]) -> float:
    """Seconds from the request to the first piece of text; the stream is then read to its end. Raises ModelError when none comes."""
    start, found = time.perf_counter(), 0.0
    with client.stream("POST", side.url + path, json=body) as response:
        for event in _events(response):
            if not found and _text(event):
                found = time.perf_counter() - start
    if not found:
        raise ModelError(f"Expected text from the server {side.name}; got none (status {response.status_code}).")
    return found


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def _text(event: dict[str, Any]) -> str:
    """What an event of either server adds to the answer."""
    if event.get("type") == "token":
        return str(event["data"])
    choices = event.get("choices")
    return (choices[0]["delta"].get("content") or "") if choices else ""


def parts_of(services: Services, question: str) -> tuple[float, float, float]:
    """Seconds of route, retrieval and rerank, nothing of this question known before."""
    times = [time.perf_counter()]
    expert = find_route(services, question).experts[0]
    times.append(time.perf_counter())
    hits = services.index(expert).search(question, services.encoder.encode([question])[0], CANDIDATES)
    times.append(time.perf_counter())
    services.reader.rerank(question, hits)
    times.append(time.perf_counter())
    route, retrieval, rerank = np.diff(times).tolist()
    return route, retrieval, rerank


if __name__ == "__main__":
    main()
