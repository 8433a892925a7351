"""Which language a message is in: none of the experts' own English is taken for another, and short cries for help are known."""

import csv
from pathlib import Path

import pytest

from graph.language import language_line, not_english

EXPERTS = Path(__file__).parents[2] / "experts"
FOREIGN = {
    "Wie lange dauert ein Schlafzyklus?": "German",
    "Ich bin am Steuer eingeschlafen": "German",
    "Meine Bremsen gehen nicht mehr": "German",
    "Mon mari arrête de respirer la nuit": "French",
    "Combien de temps dure un cycle de sommeil ?": "French",
    "J’ai mal dormi": "French",
    "¿Cuánto dura un ciclo de sueño?": "Spanish",
    "No puedo dormir": "Spanish",
    "I freni non funzionano": "Italian",
    "Meu marido para de respirar à noite": "Portuguese",
    "Mijn remmen doen het niet": "Dutch",
    "睡眠周期有多长？": "another script",
    "Сколько длится цикл сна?": "another script",
}


@pytest.mark.parametrize(("text", "language"), FOREIGN.items())
def test_another_language_is_known_by_few_words(text: str, language: str) -> None:
    assert not_english(text) == language


@pytest.mark.parametrize(
    "text", ["", "?!", "VW Golf GTI", "El Camino at Le Mans", "did the die cast part bin das boot", "fetus in utero", "no me"]
)
def test_names_and_loans_are_english(text: str) -> None:
    assert not_english(text) is None


def test_the_experts_own_english_is() -> None:
    rows = [row for file in EXPERTS.rglob("*.csv") for row in csv.reader(file.read_text(encoding="utf-8").splitlines())]
    texts = [text for row in rows for text in row]
    assert {text for text in texts if not_english(text)} == {
        "was kostet ein Flug nach Wien",
        "¿dónde está la biblioteca?",
        "buongiorno, che ore sono a Roma",
        "bonjour, je cherche une recette de quiche",
        "french: se coucher vs dormir conjugate passé composé",
    }


def test_the_line_ends_with_what_helps_in_an_emergency() -> None:
    assert language_line("Warum?") == "I answer questions in English; this one looks like German. In an emergency call 112, 999 or 911."
    assert language_line("なぜ？").startswith("I answer questions in English; this one is in another script. In an emergency")
    assert language_line("Why?") == ""
