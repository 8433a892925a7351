"""Is a tuned encoder better than the one in use? The experts' `dev` questions and utterances, and held-out questions of files, by both.

Judged is the search as it is served, its fusion weight fitted on the training questions for each encoder, and the router `similarity`,
which is fitted on the encoder's vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.types import Passage
from evaluation.data import Query
from evaluation.metrics import Floats, bootstrap, mean
from evaluation.results import Progress, silent
from evaluation.retrieval import DENSE, ask
from experts.examples import held_out_examples, router_examples
from graph.routers.similarity import SimilarityRouter
from graph.services import Services
from retrieval.encoder import Encoder
from retrieval.index import Index, Question, assemble
from training.encoder.data import Files

if TYPE_CHECKING:
    from rich.table import Table

MRR, ACCURACY, DENSE_MRR = "mrr", "accuracy", "mrr, dense alone"
CHANCE = 0.005
"""A smaller difference is taken for chance: retrieval must gain more, and neither a question file nor routing may lose more."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric of the same rows by both encoders: a number in [0, 1] a row, more is better."""

    rows: str
    metric: str
    before: Floats
    after: Floats

    @property
    def gain(self) -> float:
        """How much higher the mean is after."""
        return mean(self.after - self.before) or 0.0


def compare(services: Services, tuned: Encoder, files: Files | None, progress: Progress = silent) -> list[Compared]:
    """Both encoders' numbers on all held-out rows that there are."""
    before, after = ([*_measured(services, encoder, files, progress)] for encoder in (services.encoder, tuned))
    return [Compared(rows, metric, old, new) for (rows, metric, old), (_, _, new) in zip(before, after, strict=True) if len(old)]


def refusals(compared: Sequence[Compared]) -> list[str]:
    """Why the tuned encoder is not to be adopted; none when it is."""
    gained = mean([c.gain for c in compared if c.metric == MRR]) or 0.0
    found = [] if gained > CHANCE else [f"retrieval gains {gained:+.3f} MRR on held-out questions, no more than chance ({CHANCE})"]
    worse = [c for c in compared if c.metric in (MRR, ACCURACY) and c.gain < -CHANCE]
    return found + [f"{c.metric} on {c.rows} falls by {-c.gain:.3f}" for c in worse]


def as_table(compared: Sequence[Compared]) -> Table:
    """Before, after and the gain, each with its 95% bootstrap interval; the gain's is paired."""
    from rich.table import Table

    table = Table("held-out rows", "metric", "before", "after", "gain", title="Held out, before and after", title_justify="left")
    for c in compared:
        table.add_row(f"{c.rows} ({len(c.before):,})", c.metric, *(_cell(values) for values in (c.before, c.after, c.after - c.before)))
    return table


def numbers(compared: Sequence[Compared]) -> dict[str, dict[str, float]]:
    """{"rows: metric": {before, after}}, for the file that is kept with the weights."""
    return {
        f"{c.rows}: {c.metric}": {"before": round(float(c.before.mean()), 4), "after": round(float(c.after.mean()), 4)} for c in compared
    }


def _cell(values: Floats) -> str:
    low, high = bootstrap(lambda rows: mean(values[rows]), len(values)) or (0.0, 0.0)
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def _measured(services: Services, encoder: Encoder, files: Files | None, progress: Progress) -> list[tuple[str, str, Floats]]:
    indexes = {name: _index_of(services, name, encoder, progress) for name in services.experts}
    asked = []
    for name, expert in services.experts.items():
        queries = [Query(f"{name}/{n}", i.question, frozenset({i.document}), [i.answer]) for n, i in enumerate(expert.questions("dev"))]
        asked += ask(indexes[name], encoder, queries, progress, name)
    found = _ranks("the experts' dev questions", [(a.rank(a.index.manifest.dense_weight), a.rank(DENSE)) for a in asked])
    if files:
        learnt = [(q.question, document) for q in files.train for document in sorted(q.passages)[:1]]
        index = _assembled(files.passages, encoder, learnt, progress)
        of_files = ask(index, encoder, files.held_out, progress)
        found += _ranks("held-out questions of the file", [(a.rank(index.manifest.dense_weight), a.rank(DENSE)) for a in of_files])
    return [*found, ("the experts' dev utterances", ACCURACY, _routed(services, encoder, indexes, progress))]


def _index_of(services: Services, name: str, encoder: Encoder, progress: Progress) -> Index:
    if encoder.fingerprint == services.encoder.fingerprint:
        return services.index(name)
    questions = [(item.question, item.document) for item in services.expert(name).questions("train")]
    return _assembled(list(services.index(name).passages), encoder, questions, progress)


def _assembled(passages: Sequence[Passage], encoder: Encoder, questions: Sequence[Question], progress: Progress) -> Index:
    return assemble(passages, encoder, questions=questions, progress=progress("Embedding passages", len(passages)))


def _ranks(rows: str, ranks: Sequence[tuple[float, float]]) -> list[tuple[str, str, Floats]]:
    served, dense = np.array(ranks, np.float64).reshape(-1, 2).T
    return [(rows, MRR, 1 / served), *((rows, f"r@{k}", (served <= k).astype(np.float64)) for k in (1, 5)), (rows, DENSE_MRR, 1 / dense)]


def _routed(services: Services, encoder: Encoder, indexes: dict[str, Index], progress: Progress) -> Floats:
    """Whether each `dev` utterance gets its label."""
    learnt = router_examples(services.experts, services.settings.experts_dir)
    texts, labels = held_out_examples(services.experts, services.settings.experts_dir, "dev")
    advance = progress("Routing", 2)
    router = SimilarityRouter(encoder, lambda label: indexes[label].vectors if label in indexes else None).fit(*learnt)
    advance(1)
    said = router.predict_proba(texts).argmax(axis=1)
    advance(1)
    return np.array([router.labels[n] == label for n, label in zip(said, labels, strict=True)], np.float64)
