"""Make a follow-up stand alone, by rules: "and for teenagers?" after "How long is a sleep cycle?"."""

from __future__ import annotations

import re

from retrieval.text import terms, words

_OPENERS = re.compile(r"^\s*(?:and|but|or|so|also|then|what about|how about|what if|why(?: is that| not)?\s*\?*$|really)\b", re.I)
_POINTERS = frozenset("it its they them their theirs that those this these he him his she her hers there one ones former latter same".split())
_SHORT = 3


def is_followup(question: str) -> bool:
    """Whether the question leans on the one before it: an opener, a pointing word without a noun of its own, or a bare scrap."""
    if _OPENERS.match(question):
        return True
    content = terms(question)
    points = any(word in _POINTERS for word in words(question))
    return (points and len(content) <= 4) or (len(content) <= 1 and len(words(question)) <= _SHORT)


def stand_alone(question: str, previous: str | None) -> str:
    """The question as it would be asked without the conversation."""
    if not previous or not is_followup(question):
        return question
    topic = previous.strip().rstrip("?!. ")
    return f"{topic}? {question.strip()}"
