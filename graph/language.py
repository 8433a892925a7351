"""Which language a message is in, where it is not English: the experts, the router and the safety rules know only English."""

from __future__ import annotations

from retrieval.text import STOPWORDS, words

_TELLTALES = {
    "German": "ich ist sind wie wann warum wieso welche nicht kein keine einen einem einer und oder wenn meine meinen meiner meinem wurde "
    "wird werden habe haben kann können muss dauert mehr noch sehr auf für nach zum zur viel viele sich wir geht gehen schlafe schlafen "
    "hilfe bremse bremsen atmet brennt",
    "French": "je j'ai nous vous une sont suis faut peut pourquoi quand combien quel quelle qu'est c'est dans avec cette très où dormir "
    "dors respire respirer voiture freins",
    "Spanish": "está están estoy tengo tiene puedo puede cuándo cuánto cuánta cuántas cuántos cómo qué muy más cuando dormir duermo "
    "quiero noche coche bebé frenos quedé",
    "Italian": "gli sono mio miei mie perché quando quanto quanti quante della nel posso può devo cos'è dormire dormo notte macchina "
    "bambino freni",
    "Portuguese": "é são estão estou meu minha meus quando quanto quantas quantos não ao muito posso pode tenho dormir durmo noite carro "
    "bebê freios",
    "Dutch": "ik een niet geen mijn wanneer waarom wie voor zijn heeft duurt ook maar naar bij slapen slaap remmen",
}
"""Words that give a language away. None of them is an English word or in the name of a car or a medicine, as "die" and "la" are."""
_ENGLISH = STOPWORDS.difference(
    ("a", "an", "am", "as", "do", "has", "her", "i", "in", "me", "more", "most", "no", "on", "own", "so", "was", "will")
)
"""Common words that are English alone."""


def language_line(text: str) -> str:
    """What to say first to somebody who writes in another language than English; empty for English."""
    language = not_english(text)
    if not language:
        return ""
    looks = f"is in {language}" if language == "another script" else f"looks like {language}"
    return f"I answer questions in English; this one {looks}. In an emergency call 112, 999 or 911."


def not_english(text: str) -> str | None:
    """The language a text seems to be in when it is not English."""
    letters = [c for c in text if c.isalpha()]
    if sum(not c.isascii() for c in letters) > len(letters) / 3:
        return "another script"
    said = set(words(text.replace("’", "'")))
    found = {language: len(said.intersection(telltales.split())) for language, telltales in _TELLTALES.items()}
    best = max(found, key=lambda language: found[language])
    # A quotation in an English question has English around it.
    return best if found[best] > 2 * len(said & _ENGLISH) else None
