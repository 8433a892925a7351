"""The suite `abstention`: does the reader know when the answer is not in the passages it is given.

Judged is its probability that they answer, and what it decides by the threshold in use. The two baselines with a score of their own,
`best-cosine` and `word-overlap`, decide by the threshold that is best on the other half of the rows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.evidence import Posed, of_corpus, of_experts, of_file
from evaluation.metrics import Floats, Rows, auroc, ece, mean, reliability, risk_coverage
from evaluation.results import Measures, Progress, Report, Result, result, silent
from evaluation.rows import Mapped
from graph.services import Services
from llms.local_reader import FLOOR
from retrieval.encoder import Encoder
from retrieval.index import embedded_text
from retrieval.text import terms

READER, COSINE, OVERLAP, MAJORITY, RANDOM = "reader", "best-cosine", "word-overlap", "majority", "random"


class Reader(Protocol):
    """What is judged."""

    def answers(self, question: str, passages: Sequence[Mapping[str, Any]]) -> float:
        """Probability, in [0, 1], that the answer is in the passages (title, text)."""


@dataclass(frozen=True, slots=True)
class Said:
    """One system: a score a row, higher where it would rather answer, and the share of the time it does: 0, 1 or, drawing lots, between."""

    name: str
    scores: Floats
    answered: Floats
    seconds: Sequence[float] = ()
    threshold: float | None = None

    @property
    def baseline(self) -> bool:
        """Whether it is not the system in question."""
        return self.name != READER


def evaluate(
    services: Services,
    command: str,
    data: Path | None = None,
    *,
    corpus: Path | None = None,
    qrels: Path | None = None,
    against: Path | None = None,
    count: int = 1,
    mapping: Mapped | None = None,
    progress: Progress = silent,
) -> Report:
    """Judge the reader on a file, on questions over a corpus (see `evidence.of_corpus`), or on the experts' own. Raises InputError."""
    notes = []
    if data:
        posed = of_file(data, mapping or {})
    elif corpus and qrels:
        posed = of_corpus(services.encoder, corpus, qrels, against, count, mapping or {}, progress)
    else:
        posed, left_out = of_experts(services, progress)
        notes = [f"Left out, because the passages that are found do not hold the key fact: {left_out} questions."] if left_out else []
    said = read(services.reader, FLOOR, posed, progress)
    return judge(said, services.encoder, posed, command, notes, progress)


def judge(
    said: Said, encoder: Encoder, posed: Sequence[Posed], command: str, notes: Sequence[str] = (), progress: Progress = silent
) -> Report:
    """Compare what the reader said with the baselines. The wrong items: those it was surest of first."""
    answerable = np.array([p.answerable for p in posed], bool)
    majority = float(answerable.mean() >= 0.5)
    systems = [
        said,
        _halved(COSINE, _cosines(encoder, posed, progress), answerable),
        _halved(OVERLAP, np.array([_overlap(p) for p in posed]), answerable),
        Said(MAJORITY, np.full(len(posed), majority), np.full(len(posed), majority)),
        Said(RANDOM, np.full(len(posed), 0.5), np.full(len(posed), 0.5)),
    ]
    wrong = np.flatnonzero((said.answered == 1) != answerable).tolist()
    return Report(
        "abstention",
        len(posed),
        command,
        ["auroc", "abstain_accuracy", "refused", "answered"],
        [_result(s, posed, answerable) for s in systems],
        [_wrong(posed[n], said.scores[n]) for n in sorted(wrong, key=lambda n: (-abs(said.scores[n] - (said.threshold or 0.0)), n))],
        reliability=reliability(said.scores, answerable),
        risk_coverage={s.name: risk_coverage(s.scores, answerable) for s in systems},
        notes=list(notes),
    )


def read(reader: Reader, threshold: float, posed: Sequence[Posed], progress: Progress = silent) -> Said:
    """What the reader says of each row; it takes the passages for an answer where their probability is at least `threshold`."""
    advance, scores, seconds = progress("Reading", len(posed)), [], []
    reader.answers("The first question loads the model.", _dicts(posed[0]))
    for one in posed:
        start = time.perf_counter()
        scores.append(reader.answers(one.question, _dicts(one)))
        seconds.append(time.perf_counter() - start)
        advance(1)
    found = np.array(scores, np.float64)
    return Said(READER, found, (found >= threshold).astype(np.float64), seconds, threshold)


def _dicts(posed: Posed) -> list[dict[str, Any]]:
    return [{"title": p.title, "text": p.text} for p in posed.passages]


def _cosines(encoder: Encoder, posed: Sequence[Posed], progress: Progress) -> Floats:
    """The question's cosine to the nearest passage; -1 without passages."""
    texts = list(dict.fromkeys(text for p in posed for text in (p.question, *map(embedded_text, p.passages))))
    advance, vector_of = progress("Embedding", len(texts)), {}
    for text in texts:
        vector_of[text] = encoder.encode([text])[0]
        advance(1)
    best = [max((float(vector_of[p.question] @ vector_of[embedded_text(q)]) for q in p.passages), default=-1.0) for p in posed]
    return np.array(best, np.float64)


def _overlap(posed: Posed) -> float:
    """Share of the question's content words that stand in the passage with the most of them."""
    wanted = set(terms(posed.question))
    return max((len(wanted & set(terms(embedded_text(p)))) / max(1, len(wanted)) for p in posed.passages), default=0.0)


def _halved(name: str, scores: Floats, answerable: NDArray[np.bool_]) -> Said:
    """Decides each half of the rows by the threshold that is best on the other."""
    half = np.random.default_rng(0).permutation(len(scores)) % 2
    answered = np.zeros(len(scores))
    for side in (0, 1):
        answered[half == side] = scores[half == side] >= best_threshold(scores[half != side], answerable[half != side])
    return Said(name, scores, answered)


def best_threshold(scores: Floats, answerable: NDArray[np.bool_]) -> float:
    """The threshold with the most right decisions (answer at or above it); inf where refusing all is best, or there are no rows."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)[: len(scores)]
    gain = np.cumsum(np.where(answerable[order], 1, -1))[last]
    if not len(gain) or gain.max() < 0:
        return float(np.inf)
    return float(scores[order][last][int(gain.argmax())])


def _result(said: Said, posed: Sequence[Posed], answerable: NDArray[np.bool_]) -> Result:
    of_group = {g: np.array([g in p.groups for p in posed]) for g in dict.fromkeys(g for p in posed for g in p.groups)}
    right = np.where(answerable, said.answered, 1 - said.answered)

    def apart(rows: Rows, inside: NDArray[np.bool_] | None = None) -> float | None:
        """Within the group; a group of one kind only is told from all rows of the other kind."""
        positive, negative = rows[answerable[rows]], rows[~answerable[rows]]
        if inside is not None:
            own = positive[inside[positive]], negative[inside[negative]]
            positive, negative = own[0] if len(own[0]) else positive, own[1] if len(own[1]) else negative
        return auroc(said.scores[positive], said.scores[negative])

    def measured(rows: Rows) -> dict[str, float | None]:
        positive, negative = rows[answerable[rows]], rows[~answerable[rows]]
        found = {
            "auroc": apart(rows),
            "abstain_accuracy": mean(right[rows]),
            "refused": mean(right[negative]),
            "answered": mean(right[positive]),
        }
        for group, inside in of_group.items():
            found[f"auroc.{group}"] = apart(rows, inside)
            if (inside & ~answerable).any():
                found[f"refused.{group}"] = mean(right[negative[inside[negative]]])
            if (inside & answerable).any():
                found[f"answered.{group}"] = mean(right[positive[inside[positive]]])
        return found

    plain = {} if said.baseline else {"ece": ece(said.scores, answerable), "threshold": said.threshold}
    return result(said.name, Measures(len(posed), measured), plain=plain, seconds=said.seconds, baseline=said.baseline)


def _wrong(posed: Posed, score: float) -> dict[str, object]:
    titles = list(dict.fromkeys(p.title or p.id for p in posed.passages))
    group = ", ".join(posed.groups)
    return {"question": posed.question, "answerable": posed.answerable, "score": round(float(score), 4), "group": group, "passages": titles}
