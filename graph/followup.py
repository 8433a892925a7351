"""Make a follow-up stand alone, by rules.

A scrap takes the whole question before it along: "and for teenagers?" after "How long is a sleep cycle?". A question with a verb of its own
takes the subject only, for two questions in one are answered half: "When was the Beetle introduced?", "how many were built?" becomes
"Beetle: how many were built?".
"""

from __future__ import annotations

import re

from retrieval.text import terms, words

_ASKS_ON = re.compile(
    r"^(?:(?:what|how) about|what if|(?:tell|give|show) me (?:more|(?:an? |some )?(?:examples?|details?)))\b"
    r"|^(?:(?:and|but|so) )?(?:why(?: not| is that)?|how(?: so| much| many| long| often| far| old| big| fast)|really)\W*$"
    r"|^(?:go on|continue|explain|elaborate)\W*$",
    re.I,
)
_JOINS_ON = re.compile(r"^(?:and|but|or|so|also|then)\b\W*", re.I)
_ASKS = re.compile(
    r"(?:what|why|when|where|who(?:se)?|which|how|is|are|was|were|do(?:es)?|did|can|could|should|would|will|may|must|ha[sv]e?|am)\b", re.I
)
_PRONOUNS = frozenset(["it", "its", "they", "them", "their", "theirs", "he", "him", "his", "she", "her", "hers"])
_POINTERS = frozenset(["this", "that", "these", "those", "one", "ones", "former", "latter", "same", "there"])
_EXPLETIVE = re.compile(
    r"\bit(?:['’]s)?\s+(?:\w+\s+){1,2}(?:to|that|if)\b|\bthere(?:['’]s)?\s+(?:is|are|was|were)\b|\b(?:is|are|was|were)\s+there\b", re.I
)
"""Where `it` and `there` stand for nothing: "is it safe to drive", "how long does it take to fall asleep", "are there"."""
_OF_NOTHING = frozenset(
    terms(
        "many much long often old big fast far high wide deep heavy expensive cheap cheaper common rare dangerous safe good bad "
        "better worse best worst first last next new today night day year years time times age number price cost size weight "
        "ever still really usually normally actually exactly build built make made sell sold produced invented introduced "
        "launched released designed discovered found founded start started begin began stop stopped end ended happen happens "
        "happened change changed won exist left need needed work works worked help helps use used mean means matter take taken "
        "took cause causes caused treat treated cure cured prevent prevented diagnosed fix fixed replace replaced lasts called "
        "differ different difference symptoms signs treatment treatments risks danger dangers effects benefits advantages "
        "disadvantages drawbacks inventor designer maker founder don't doesn't didn't isn't can't won't what's who's how's "
        "that's"
    )
)
"""Stems of words that may be asked of anything: a question with no others has lost its subject."""


def is_followup(question: str) -> bool:
    """Whether the question leans on the one before it: an opener, a word that points back, no subject, or a scrap that asks nothing."""
    question = question.strip()
    if _ASKS_ON.match(question):
        return True
    bare = _JOINS_ON.sub("", question)
    content = terms(bare)
    if _points_back(_EXPLETIVE.sub(" ", bare)):
        return True
    asks = bool(_ASKS.match(bare))
    if asks and _OF_NOTHING.issuperset(content):
        return True
    if bare != question:
        return len(content) <= (1 if asks else 3)
    return not content or (len(content) == 1 and len(words(bare)) <= 3 and not asks)


def stand_alone(question: str, previous: str | None) -> str:
    """The question as it would be asked without the conversation.

    Of a `previous` that is itself a chain of follow-ups, the first and the last question are kept: the topic, and what was said of it.
    """
    if not previous or not is_followup(question):
        return question
    asked = re.split(r"(?<=\?)\s+", previous.strip())
    topic = " ".join(asked if len(asked) < 3 else (asked[0], asked[-1])).rstrip("?!. ")
    bare = _JOINS_ON.sub("", question.strip())
    if not _ASKS_ON.match(question) and _ASKS.match(bare) and len(words(bare)) > 2 and (subject := _subject(topic, bare)):
        return f"{subject}: {bare}"
    return f"{topic}? {question.strip()}"


def _subject(topic: str, question: str) -> str:
    """The words of the topic that name something, and that the question does not say itself."""
    said = _OF_NOTHING.union(terms(question))
    return " ".join(word for word in re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", topic) if terms(word) and not said.issuperset(terms(word)))


def _points_back(question: str) -> bool:
    """Whether a pronoun comes too early to mean something within the question, or a short question holds a pointing word."""
    said = words(question)
    for at, word in enumerate(said):
        before = len(terms(" ".join(said[:at])))
        if word in _PRONOUNS and before < (4 if at == len(said) - 1 else 2):
            return True
    return any(word in _POINTERS for word in said) and len(terms(question)) <= 2
