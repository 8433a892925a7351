"""Citations: built from the draft's markers and checked against the passages; a model's word is not taken for it."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

from core.types import Citation, Hit
from graph.faithful import faithful
from retrieval.text import sentences, terms

_MARKER = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")
_SPACED_MARKER = re.compile(rf"([ \t]*){_MARKER.pattern}")
_OPEN = re.compile(r"\s*(?:\[[\d,;\s]*)?$")
_UNDECIDED = re.compile(r"\s*[\"'“‘(\[]*(?:\[[\d,;\s]*)?$")
SUPPORTED = 0.5
"""A sentence is supported by a passage that holds at least this share of its content words."""


class Renumber:
    """Rewrites `[n]` markers, piece by piece as a text streams: numbers in order of appearance, unknown ones dropped.

    Passages that are equal share a number; whole ones do not take those of two experts for one because their ids are the same.
    """

    def __init__(self) -> None:
        self.numbers: dict[Hashable, int] = {}
        self._held = ""

    def feed(self, piece: str, passages: Sequence[Hashable]) -> str:
        """The part of the text that is ready, `[n]` meaning `passages[n - 1]`; an open bracket and white space at the end wait."""
        text = self._held + piece
        open_ = _OPEN.search(text)
        assert open_  # it matches nothing at the end, too
        self._held = text[open_.start() :]
        return _SPACED_MARKER.sub(lambda match: self._rewrite(match[1], match[2], passages), text[: open_.start()])

    def flush(self) -> str:
        """What was held back at the end of the text."""
        held, self._held = self._held, ""
        return held

    def whole(self, text: str, passages: Sequence[Hashable]) -> str:
        """A whole text at once."""
        return self.feed(text, passages) + self.flush()

    def _rewrite(self, space: str, numbers: str, passages: Sequence[Hashable]) -> str:
        known = [passages[int(n) - 1] for n in re.split(r"\s*[,;]\s*", numbers) if 0 < int(n) <= len(passages)]
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


def cite(text: str, hits: Sequence[Hit], asked: str = "") -> list[Citation]:
    """The citations of a draft: for each sentence and each passage that it cites and that supports it, the passage's nearest sentence.

    `asked`: the question, whose numbers an answer may repeat.
    """
    found: dict[tuple[int, str], Citation] = {}
    for claim, numbers in claims(text):
        for n in _supporting(claim, numbers, hits, asked):
            passage = hits[n - 1].passage
            quote, score = best_quote(claim, passage.text)
            found.setdefault((n, quote), Citation(n, passage.id, passage.title, passage.source, quote, round(score, 4)))
    return list(found.values())


def unsupported(text: str, hits: Sequence[Hit], asked: str = "") -> bool:
    """Whether a sentence cites a passage that does not support it. `asked`: as in `cite`."""
    cited = [(claim, {n for n in numbers if 0 < n <= len(hits)}) for claim, numbers in claims(text)]
    return any(numbers.difference(_supporting(claim, sorted(numbers), hits, asked)) for claim, numbers in cited)


def best_quote(claim: str, text: str) -> tuple[str, float]:
    """(sentence of `text`, share of the claim's content words that stand in it, in [0, 1])."""
    wanted = set(terms(claim))
    scored = [(len(wanted & set(terms(s))) / max(1, len(wanted)), s) for s in sentences(text)]
    score, quote = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
    return quote, score


def mark(text: str, hits: Sequence[Hit], asked: str = "") -> str:
    """Make a draft's markers true: behind each sentence stays what supports it, or comes the passage that does, or nothing.

    `asked`: as in `cite`.
    """
    if not _MARKER.search(text):
        live = LiveMarks(hits, asked)
        return live.feed(text) + live.flush()
    marked, at, claim = "", 0, ""
    for match in _SPACED_MARKER.finditer(text):
        between = text[at : match.start()]
        said = [s for s in sentences(between) if terms(s)]
        claim = said[-1] if said else claim or next((s for s, _ in claims(text)), "")
        true = _true_numbers(claim, [int(n) for n in re.findall(r"\d+", match[2])], hits, asked)
        marked += between + (f"{match[1]}[{', '.join(map(str, true))}]" if true else "")
        at = match.end()
    return marked + text[at:]


class LiveMarks:
    """Adds markers to a text that streams and has none, behind each sentence that a passage supports; its first own marker ends that."""

    def __init__(self, hits: Sequence[Hit], asked: str = "") -> None:
        self.text = ""
        self._hits = hits
        self._asked = asked
        self._open = ""
        self._given = 0
        self._own = False

    def feed(self, piece: str) -> str:
        """What is ready of the text; white space and what opens at its end wait, for a marker may have to go before them."""
        self._open += piece
        self._own = self._own or bool(_MARKER.search(self._open))
        end = _UNDECIDED.search(self._open)
        assert end  # it matches nothing at the end, too
        # The last sentence may not be over yet.
        return self._ready(len(self._open) if self._own else end.start(), sentences(self._open[: end.start()])[:-1])

    def flush(self) -> str:
        """The rest, at the end of the text."""
        return self._ready(len(self._open), sentences(self._open))

    def _ready(self, until: int, over: Sequence[str]) -> str:
        """The open text up to `until`, with markers behind the sentences that are `over`."""
        ready = ""
        for sentence in () if self._own else over:
            end = self._open.index(sentence) + len(sentence)
            numbers = _true_numbers(sentence, [], self._hits, self._asked)
            ready += self._open[self._given : end] + "".join(f" [{n}]" for n in numbers)
            self._open, self._given, until = self._open[end:], 0, until - end
        ready += self._open[self._given : until]
        self._given = until
        self.text += ready
        return ready


def _true_numbers(claim: str, numbers: Sequence[int], hits: Sequence[Hit], asked: str) -> list[int]:
    """Those of `numbers` whose passage supports the claim; where none does, the passage with the sentence that supports it best, if any."""
    if true := _supporting(claim, numbers, hits, asked):
        return true
    n, score = _nearest(claim, hits)
    return [n] if score >= SUPPORTED and faithful(claim, [_whole(hits[n - 1])], asked) else []


def _supporting(claim: str, numbers: Sequence[int], hits: Sequence[Hit], asked: str) -> list[int]:
    """Those of `numbers` whose passage holds enough of the claim's words; none where the claim says something else than all of them."""
    wanted = set(terms(claim))
    cited = {n: _whole(hits[n - 1]) for n in numbers if 0 < n <= len(hits)}
    if not faithful(claim, list(cited.values()), asked):
        return []
    return [n for n, text in cited.items() if len(wanted & set(terms(text))) >= SUPPORTED * max(1, len(wanted))]


def _nearest(claim: str, hits: Sequence[Hit]) -> tuple[int, float]:
    """The number of the passage with the sentence that holds most of the claim's words, and their share; (0, 0.0) without passages."""
    scored = [(best_quote(claim, hit.passage.text)[1], -n) for n, hit in enumerate(hits, 1)]
    score, n = max(scored, default=(0.0, 0))
    return -n, score


def _whole(hit: Hit) -> str:
    return f"{hit.passage.title}\n{hit.passage.text}"


def support(text: str, hits: Sequence[Hit], asked: str = "") -> float:
    """Groundedness in [0, 1]: mean share of a sentence's content words that stand in the passages it cites, or in any if it cites none.

    A sentence that says something else than the passages that it cites, or than the nearest one, counts nothing. `asked`: as in `cite`.
    """
    scores = []
    for claim, numbers in claims(text):
        cited = [hits[n - 1] for n in numbers if 0 < n <= len(hits)]
        wanted, known = set(terms(claim)), {t for hit in cited or hits for t in terms(_whole(hit))}
        scores.append(len(wanted & known) / max(1, len(wanted)) if _faithful(claim, cited, hits, asked) else 0.0)
    return sum(scores) / len(scores) if scores else 0.0


def says_something_else(text: str, hits: Sequence[Hit], asked: str) -> bool:
    """Whether a sentence says something else than the passages that it cites, or than the nearest one. `asked`: as in `cite`."""
    return any(not _faithful(claim, [hits[n - 1] for n in numbers if 0 < n <= len(hits)], hits, asked) for claim, numbers in claims(text))


def _faithful(claim: str, cited: Sequence[Hit], hits: Sequence[Hit], asked: str) -> bool:
    if not cited and hits:
        cited = [hits[_nearest(claim, hits)[0] - 1]]
    return faithful(claim, [_whole(hit) for hit in cited], asked)
