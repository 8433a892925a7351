"""Make a follow-up stand alone, by rules: "and for teenagers?" after "How long is a sleep cycle?"."""

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


def is_followup(question: str) -> bool:
    """Whether the question leans on the one before it: an opener, a word that points back, or a scrap that asks nothing by itself."""
    question = question.strip()
    if _ASKS_ON.match(question):
        return True
    bare = _JOINS_ON.sub("", question)
    content = terms(bare)
    if _points_back(_EXPLETIVE.sub(" ", bare)):
        return True
    asks = bool(_ASKS.match(bare))
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
    return f"{topic}? {question.strip()}"


def _points_back(question: str) -> bool:
    """Whether a pronoun comes too early to mean something within the question, or a short question holds a pointing word."""
    said = words(question)
    for at, word in enumerate(said):
        before = len(terms(" ".join(said[:at])))
        if word in _PRONOUNS and before < (4 if at == len(said) - 1 else 2):
            return True
    return any(word in _POINTERS for word in said) and len(terms(question)) <= 2
