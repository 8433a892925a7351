"""Citations: built from the draft's markers and checked against the passages; a model's word is not taken for it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.types import Citation, Hit
from retrieval.text import sentences, terms

_MARKER = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")
_SPACED_MARKER = re.compile(rf"([ \t]*){_MARKER.pattern}")
_OPEN = re.compile(r"\s*(?:\[[\d,;\s]*)?$")


class Renumber:
    """Rewrites `[n]` markers, piece by piece as a text streams: numbers in order of appearance, unknown ones dropped."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self._held = ""

    def feed(self, piece: str, passage_ids: Sequence[str]) -> str:
        """The part of the text that is ready, `[n]` meaning `passage_ids[n - 1]`; an open bracket and white space at the end wait."""
        text = self._held + piece
        open_ = _OPEN.search(text)
        assert open_  # it matches nothing at the end, too
        self._held = text[open_.start() :]
        return _SPACED_MARKER.sub(lambda match: self._rewrite(match[1], match[2], passage_ids), text[: open_.start()])

    def flush(self) -> str:
        """What was held back at the end of the text."""
        held, self._held = self._held, ""
        return held

    def whole(self, text: str, passage_ids: Sequence[str]) -> str:
        """A whole text at once."""
        return self.feed(text, passage_ids) + self.flush()

    def _rewrite(self, space: str, numbers: str, passage_ids: Sequence[str]) -> str:
        known = [passage_ids[int(n) - 1] for n in re.split(r"\s*[,;]\s*", numbers) if 0 < int(n) <= len(passage_ids)]
        markers = "".join(f"[{self.numbers.setdefault(p, len(self.numbers) + 1)}]" for p in dict.fromkeys(known))
        return space + markers if markers else ""


def claims(text: str) -> list[tuple[str, list[int]]]:
    """(sentence, numbers of the passages it cites) in reading order; sentences without a marker have no numbers."""
    found: list[tuple[str, list[int]]] = []
    early: list[int] = []
    at = 0
    for match in _MARKER.finditer(text):
        found += [(s, []) for s in sentences(text[at : match.start()]) if terms(s)]
        (found[-1][1] if found else early).extend(int(n) for n in re.findall(r"\d+", match[1]))
        at = match.end()
    found += [(s, []) for s in sentences(text[at:]) if terms(s)]
    if found:
        found[0][1][:0] = early
    return found


def cite(text: str, hits: Sequence[Hit]) -> list[Citation]:
    """The citations of a draft: for each marked sentence, the passage's sentence that shares most words with it."""
    found: dict[tuple[int, str], Citation] = {}
    for claim, numbers in claims(text):
        for n in numbers:
            if 0 < n <= len(hits):
                passage = hits[n - 1].passage
                quote, score = best_quote(claim, passage.text)
                found.setdefault((n, quote), Citation(n, passage.id, passage.title, passage.source, quote, round(score, 4)))
    return list(found.values())


def best_quote(claim: str, text: str) -> tuple[str, float]:
    """(sentence of `text`, share of the claim's content words that stand in it, in [0, 1])."""
    wanted = set(terms(claim))
    scored = [(len(wanted & set(terms(s))) / max(1, len(wanted)), s) for s in sentences(text)]
    score, quote = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
    return quote, score


def mark(text: str, hits: Sequence[Hit], *, at_least: float = 0.5) -> str:
    """Add markers to a draft that has none, behind every sentence that a passage supports."""
    if _MARKER.search(text):
        return text
    marked, at = "", 0
    for sentence in sentences(text):
        end = text.index(sentence, at) + len(sentence)
        scored = [(best_quote(sentence, hit.passage.text)[1], -n) for n, hit in enumerate(hits, 1)]
        score, n = max(scored, default=(0.0, 0))
        marked += text[at:end] + (f" [{-n}]" if score >= at_least else "")
        at = end
    return marked + text[at:]


def support(text: str, hits: Sequence[Hit]) -> float:
    """Groundedness in [0, 1]: mean share of a sentence's content words that stand in the passages it cites, or in any if it cites none."""
    scores = []
    for claim, numbers in claims(text):
        cited = [hits[n - 1] for n in numbers if 0 < n <= len(hits)] or list(hits)
        wanted = set(terms(claim))
        known = {t for hit in cited for t in terms(f"{hit.passage.title} {hit.passage.text}")}
        scores.append(len(wanted & known) / max(1, len(wanted)))
    return sum(scores) / len(scores) if scores else 0.0
