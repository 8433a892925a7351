"""Join a follow-up and the question before it into one that stands alone, by rules.

"the Beetle?" after "When was the Model T introduced?" takes the other's place: "When was the Beetle introduced?". Another scrap takes the
whole question before it along: "How long is a sleep cycle? and for teenagers?". A question with a verb of its own takes the subject only,
for two questions in one are answered half: "how many were built?" becomes "Beetle: how many were built?".
"""

from __future__ import annotations

import re
from collections.abc import Callable

from retrieval.text import STOPWORDS, terms, words

JOINS_ON = re.compile(r"^(?:and|but|or|so|also|then)\b\W*", re.I)
ASKS = re.compile(
    r"(?:(?:in|at|on|from|by|for|to|with|since|until) )?(?:what|why|when|where|who(?:se|m)?|which|how)\b"
    r"|(?:is|are|was|were|do(?:es)?|did|can|could|should|would|will|may|must|ha[sv]e?|am)\b",
    re.I,
)
"""How a question begins."""
ASKS_ON = re.compile(
    r"^(?:(?:what|how) about|what if|(?:tell|give|show) me (?:more|(?:an? |some )?(?:examples?|details?)))\b"
    r"|^(?:why(?: not| is that| (?:do|does|did|would|is|are)(?:n['’]t)? (?:we|they|it|that))?"
    r"|how(?: so| come| much| many| long| often| far| old| big| fast)|really|in (?:what|which) way|since when)\W*$"
    r"|^(?:go on|continue|explain|elaborate)\W*$",
    re.I,
)
"""What asks on: it is nothing without the question before it."""
OF_NOTHING = frozenset(
    terms(
        "many much long often old big fast far high wide deep heavy expensive cheap cheaper common rare dangerous safe good bad "
        "better worse best worst first last next new today night day year years time times age number price cost size weight "
        "ever still really usually normally actually exactly build built make made sell sold produced invented introduced "
        "launched released designed discovered found founded start started begin began stop stopped end ended happen happens "
        "happened change changed won exist left need needed work works worked help helps use used mean means matter take taken "
        "took cause causes caused treat treated cure cured prevent prevented diagnosed fix fixed replace replaced lasts called "
        "differ different difference symptoms signs treatment treatments risks danger dangers effects benefits advantages "
        "disadvantages drawbacks inventor designer maker founder don't doesn't didn't isn't can't won't what's who's how's that's "
        "top maximum minimum speed power length side reason reasons name affected fail failed win wins lose lost own owns owner "
        "person people look looks known famous normal harmful required compulsory available"
    )
)
"""Stems of words that may be asked of anything: a question with no others has lost its subject."""
_ARTICLES = frozenset(["a", "an", "the", "my", "your"])
_WORD = re.compile(r"[^\W_]+(?:['’/-][^\W_]+)*")
_SCRAP_WORDS = 4


def join(question: str, previous: str) -> str:
    """What a follow-up to `previous` asks.

    Of a `previous` that is itself a chain of follow-ups, the first and the last question are kept: the topic, and what was said of it.
    """
    asked = re.split(r"(?<=\?)\s+", previous.strip())
    kept = asked if len(asked) < 3 else [asked[0], asked[-1]]
    bare = JOINS_ON.sub("", question.strip())
    if len(kept) == 1 and (swapped := _swapped(bare, kept[0])):
        return swapped
    topic = " ".join(kept).rstrip("?!. ")
    if not ASKS_ON.match(bare) and ASKS.match(bare) and len(words(bare)) > 2 and (subject := _subject(topic, bare)):
        return f"{subject}: {bare}"
    return f"{topic}? {question.strip()}"


def _subject(topic: str, question: str) -> str:
    """The words of the topic that name something, and that the question does not say itself."""
    said = OF_NOTHING.union(terms(question))
    return " ".join(word for word in re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", topic) if terms(word) and not said.issuperset(terms(word)))


def _swapped(scrap: str, before: str) -> str | None:
    """The question before, the scrap in the place of what it stands against; None where it is no such scrap, or nothing is.

    That is the last thing with an article too, or the last name or number, or the last thing that ends in the same word.
    """
    scrap = re.sub(r"^(?:what|how) about\s+|\W+$", "", scrap, flags=re.I)
    said = scrap.split()
    if not terms(scrap) or len(said) > _SCRAP_WORDS or ASKS.match(scrap) or re.search(r"['’]s$", scrap):
        return None
    if said[0].lower() in _ARTICLES:
        span = _last_run(before, lambda word: bool(terms(word)) and not OF_NOTHING.issuperset(terms(word)), article=True)
    elif _is_name(said[0]):
        span = _last_run(before, _is_name, article=False)
    elif len(said) > 1 and said[0].lower() not in STOPWORDS:
        found = list(re.finditer(rf"\b[\w-]+\s+{re.escape(said[-1])}\b", before, re.I))
        span = found[-1].span() if found and words(found[-1][0])[0] not in STOPWORDS else None
    else:
        span = None
    return f"{before[: span[0]]}{scrap}{before[span[1] :]}" if span else None


def _is_name(word: str) -> bool:
    return word[0].isupper() or word[0].isdigit()


def _last_run(text: str, fits: Callable[[str], bool], *, article: bool) -> tuple[int, int] | None:
    """Where the last run of words that fit stands in the text, from its article on where it must have one; the first word never counts."""
    spans: list[tuple[int, int]] = []
    begun = end = -1
    before = ""
    for at, word in enumerate(_WORD.finditer(text)):
        if at and fits(word[0]) and ((end >= 0 and word.start() == end + 1) or not article or before in _ARTICLES):
            if end < 0 or word.start() != end + 1:
                begun = word.start() - len(before) - 1 if article else word.start()
            end = word.end()
            spans = [*(s for s in spans if s[0] != begun), (begun, end)]
        else:
            end = -1
        before = word[0].lower()
    return spans[-1] if spans else None
