"""What asks nothing: a greeting, thanks, or who is speaking. Known by rules, for it must cost nothing and never be taken for a question."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from experts.discovery import Expert
from retrieval.text import normalise

_GREETING = (
    r"hi+|hello+|hey+|hiya|howdy|yo|greetings|good (?:day|morning|afternoon|evening)|how are you(?: doing)?(?: today)?"
    r"|how (?:is|s) it going|what s up|nice to meet you"
)
_THANKS = (
    r"thank you|thanks|thx|ty|cheers|much appreciated|(?:that (?:is|was) |that s )?(?:great|perfect|awesome|very helpful|helpful)"
    r"|ok|okay|cool|nice|got it|good ?bye|bye|see you|good ?night"
)
_ABOUT = (
    r"(?:who|what) are you|what(?: else)? (?:can|do) you (?:do|know|answer|offer)|what (?:can|may|should) i ask(?: you)?(?: about)?"
    r"|what(?: topics| subjects)? (?:do|can) you (?:cover|help with|help me with)|how do you work"
    r"|what is (?:this|switchyard)|what s (?:this|your name)|what is your name|are you (?:an? )?(?:bot|robot|human|person|ai|real|chatgpt)"
)
_FILLER = (
    r"there|all|everyone|again|so|very|much|a lot|a bunch|many|please|for (?:the|your) (?:help|answer|time)|for that|and|then|switchyard"
    r"|oh|well"
)
_PHRASE = re.compile(rf"(?:(?P<about>{_ABOUT})|(?P<greeting>{_GREETING})|(?P<thanks>{_THANKS})|{_FILLER})(?: |$)")
_OPENINGS = {
    "about": "I am Switchyard. I pass a question on to the right expert, who answers from its own documents and names the sources.",
    "greeting": "Hello! Ask me something, and the right expert answers from its own documents.",
    "thanks": "You are welcome. Ask on whenever you like.",
}


def small_talk(text: str) -> str | None:
    """`about`, `greeting` or `thanks` when the whole text is no more than that; None for everything else."""
    said = normalise(text)
    if not said:
        return "greeting" if any(unicodedata.category(c) == "So" for c in text) else None
    kinds, at = set(), 0
    while at < len(said):
        phrase = _PHRASE.match(said, at)
        if phrase is None:
            return None
        kinds.add(phrase.lastgroup)
        at = phrase.end()
    return next((kind for kind in _OPENINGS if kind in kinds), None)


def reply(kind: str, experts: Iterable[Expert]) -> str:
    """A friendly word, and what can be asked."""
    return f"{_OPENINGS[kind]}\n\n{offer(experts)}"


def offer(experts: Iterable[Expert]) -> str:
    """What is covered, with a question to try for each expert."""
    lines = [f"- **{e.card.title}**: {e.card.description}" + (f" Try: *{e.card.examples[0]}*" if e.card.examples else "") for e in experts]
    return "\n".join(["I can help with:", *lines])
