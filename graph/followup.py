"""Which questions lean on the one before them, by rules; `graph/joining.py` makes those stand alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from graph.joining import ASKS, ASKS_ON, JOINS_ON, OF_NOTHING, join
from retrieval.text import terms, words

_PREAMBLE = re.compile(
    r"""^(?:(?: ok(?:ay)? | thank[ ]you | thanks | thx | cheers | oh | ah | hmm | i[ ]see | got[ ]it | a[ ]lot | so[ ]much | very[ ]much
    | (?:and[ ])?(?:by[ ]the[ ]way|btw) | never[ ]?mind | forget[ ](?:it|that) | let['’]?s[ ]talk[ ]about[ ][^.?!:]*
    | (?:and[ ]|now[ ]|on[ ])*
      (?:something[ ]else|(?:an)?other[ ](?:thing|question|note|topic)|(?:a[ ])?(?:new|different)[ ](?:question|topic))(?=[,.;:!–-])
    | (?: great | perfect | cool | nice | good | right | fine | well | wow | interesting | yes | yeah | sure | that[ ]helps
      | that(?:[ ]i|['’])s[ ]\w+ )(?=[,.;:!]) )\b[\s,.:;!–-]*)+""",
    re.I | re.X,
)
"""What comes before a question and asks nothing: thanks, and words that announce another topic."""
_CORRECTS = re.compile(
    r"""^(?:(?: (?:no|nope|sorry|oops|wait)(?=[,.;:!]|\s+i\b) | not[ ](?:that|this)(?:[ ]one)?(?=[,.;:!]) | actually | rather | i[ ]meant?
    | i(?:[ ]was|['’]m|[ ]am)[ ](?:asking|talking)(?:[ ]about)?
    | i[ ]want(?:ed)?[ ]to[ ](?:know|ask)(?:[ ]about)? )\b[\s,.:;!–-]*)+
    | (?<![\s,])[\s,]+i[ ]meant?\b""",
    re.I | re.X,
)
"""What takes the question before back."""
_LEANS_AT_ITS_END = re.compile(r"\b(?:instead|then|too|either|as well|otherwise|else|afterwards?|after|before|for that)\W*$", re.I)
_PRONOUN = re.compile(r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers)\b", re.I)
_POSSESSIVES = frozenset(["its", "their", "theirs", "his", "her", "hers"])
_CLAUSE = re.compile(
    r"[,;:–-]\s|\b(?:and|but|or|if|when|that|who|what|how|why|where|which|because|since|while|so|after|before|until|as)\b", re.I
)
_POINTERS = frozenset(["this", "that", "these", "those", "one", "ones", "same", "there"])
_DETERMINERS = frozenset(["this", "that", "these", "those", "same"])
_POINTS_AT = re.compile(
    r"""\b(?: the[ ](?:former|latter) | of[ ](?:the|these|those)[ ](?:two|three|four|five)
    | (?:n?either|both|each|any|none|one|some)[ ]of[ ](?:them|these|those)
    | the[ ](?:idea|theory|method|therapy|effect|condition|disorder|disease|syndrome|company|study|trial|experiment)(?![ ](?:of|that)\b)
    | the[ ](?:first|second|third|last|other)[ ](?:one|kind|sort|type|option|thing)s? | the[ ]one[ ](?:with|that|about|which) )\b""",
    re.I | re.X,
)
"""What points at a part of the question or the answer before."""
_EXPLETIVE = re.compile(
    r"""\bit(?:['’]s)?\s+(?:\w+\s+){1,2}(?:to|that|if)\b | \bit[ ](?:true|called|worth|possible|ok(?:ay)?|a[ ]good[ ]idea)\s+(?=\S)
    | \b(?:know|says?|said|tells?|told|thinks?|believes?|sure|means?|shows?|shown|proves?|proven)\s+that\s+(?=\w+\s+\w)
    | \bworth[ ]it\b | \bthere(?:['’]s)?\s+(?:is|are|was|were)\b | \b(?:is|are|was|were)\s+there\b""",
    re.I | re.X,
)
"""Where `it`, `there` and `that` stand for nothing: "is it safe to drive", "are there", "do doctors say that naps are bad"."""
_A_KIND_OF = re.compile(
    r"^(?:which|what) (?:car|model|version|(?:car)?maker|company|firm|country|city|gene|drug|medicine|animal|hormone|part|person|team)s?\b",
    re.I,
)
"""After these words the subject is still missing: "which car failed?"."""
_OF_ANYBODY = OF_NOTHING.union(terms("adults children kids women men patients babies teenagers"))
_CIRCUMSTANCE = re.compile(
    r"\b(?:in|for|with|on|at|during) (?:the )?(?:UK|US|USA|EU|Britain|America|Europe|Germany|France|Japan|children|kids|adults|women|men"
    r"|babies|teenagers|elderly|winter|summer|general|practice)\b"
)
"""Where or for whom: it is no subject."""
_MEASURES_A_PART = re.compile(r"how (?:big|fast|long|old|heavy|high|strong|large)\b.*\bthe [a-z]+\W*$", re.I)
"""Of what the part is, is missing: "how big was the engine?"."""
_ELLIPTICAL = re.compile(r"(?:how (?:many |much )?|which |what )[a-z]+\?$", re.I)
"""No verb: "how dark?", "how many naps?"."""
_SCRAP = re.compile(r"(?:for|with|without|in|during|on|at|from|about|every|only|because|if)\b", re.I)
_POINTING_TERMS, _FRAGMENT_TERMS, _TELLING_TERMS = 3, 4, 5
"""Content words: so many at most where a word points back; in a fragment; and more than so many tell enough by themselves."""


def stand_alone(question: str, previous: str | None) -> str:
    """The question as it would be asked without the conversation."""
    if not previous:
        return question
    asked, _ = without_preamble(question)
    return join(asked, previous) if leans(question) else asked


def leans(question: str) -> bool:
    """Whether it leans on the question before it, or takes that one back."""
    asked, corrects = without_preamble(question)
    return is_followup(asked) or (corrects and not ASKS.match(asked))


def without_preamble(question: str) -> tuple[str, bool]:
    """The question itself, and whether it takes the one before back: "no, I meant the Mini" gives "the Mini", True."""
    asked = _PREAMBLE.sub("", question.strip()) or question.strip()
    meant = _CORRECTS.sub("", asked).strip(" ,")
    return (meant, meant != asked) if meant else (asked, False)


def is_followup(question: str) -> bool:
    """Whether the question leans on the one before it: an opener, a word that points back, no subject, or a scrap that asks nothing."""
    question = question.strip()
    bare = JOINS_ON.sub("", question)
    if ASKS_ON.match(bare) or _points_back(_EXPLETIVE.sub(" ", bare)):
        return True
    content, asks = terms(bare), bool(ASKS.match(bare))
    if len(content) <= _POINTING_TERMS and _LEANS_AT_ITS_END.search(bare):
        return True
    if asks and (_ELLIPTICAL.match(bare) or _has_no_subject(bare)):
        return True
    if bare != question:
        return len(content) <= (1 if asks else 3)
    return not content or (len(content) == 1 and len(words(bare)) <= 3 and not asks)


def is_fragment(question: str) -> bool:
    """Whether it is a few words and no verb that asks, with a question mark or the beginning of a scrap: "for my 6 year old".

    Its meaning says whether it leans.
    """
    asked, _ = without_preamble(question)
    looks_like_one = asked.endswith("?") or bool(_SCRAP.match(asked))
    return looks_like_one and not ASKS.match(asked) and not is_followup(asked) and len(terms(asked)) <= _FRAGMENT_TERMS


def without_pointers(question: str) -> str:
    """The words of a question that a rewrite keeps: all but those that point at something said before."""
    return " ".join(word for word in words(_POINTS_AT.sub(" ", question)) if word not in _POINTERS and not _PRONOUN.fullmatch(word))


def is_brief(question: str) -> bool:
    """Whether it asks about one thing only and leaves open of what: "which drugs are to blame?". Its meaning says whether it leans."""
    asked, _ = without_preamble(question)
    names = re.search(r"\s[A-Z][a-z]", asked)
    return bool(ASKS.match(asked)) and not names and not is_followup(asked) and len(_told(asked)) <= 2


def _has_no_subject(question: str) -> bool:
    asked = _A_KIND_OF.sub("", _CIRCUMSTANCE.sub(" ", question))
    told = [term for term in terms(asked) if term not in _OF_ANYBODY]
    return not told or (len(told) == 1 and bool(_MEASURES_A_PART.match(asked)))


def _points_back(question: str) -> bool:
    """Whether a pronoun has nothing within the question to stand for, or a short question points at something outside it."""
    if any(_without_antecedent(question, found) for found in _PRONOUN.finditer(question)):
        return True
    told, said = len(_told(question)), words(question)
    if _POINTS_AT.search(question) and len(_told(_POINTS_AT.sub(" ", question))) <= _POINTING_TERMS:
        return True
    return any(_points(said, at, told) for at, word in enumerate(said) if word in _POINTERS)


def _points(said: Sequence[str], at: int, told: int) -> bool:
    """Whether the pointing word there points back; that of "flashes that wreck the night" does not."""
    relative = said[at] == "that" and at > 0 and _told(said[at - 1]) and len(_told(" ".join(said[at + 1 :]))) > 1
    determines = said[at] in _DETERMINERS and bool(terms(" ".join(said[at + 1 : at + 2])))
    return told <= (_POINTING_TERMS if determines else 2) and not relative


def _told(question: str) -> list[str]:
    return [term for term in terms(question) if term not in OF_NOTHING]


def _without_antecedent(question: str, pronoun: re.Match[str]) -> bool:
    """Whether no thing is named before the pronoun that it could stand for.

    Within its own clause only a possessive stands for the subject: "how do hurricanes get their names", not "does alcohol make it worse".
    """
    told = _told(question)
    if len(told) > _TELLING_TERMS:
        return False
    before = question[: pronoun.start()]
    owns = pronoun[0].lower() in _POSSESSIVES and bool(words(question[pronoun.end() :]))
    if not owns and len(told) <= _POINTING_TERMS:
        before = "".join(_CLAUSE.split(before)[:-1])
    return OF_NOTHING.issuperset(terms(before))
