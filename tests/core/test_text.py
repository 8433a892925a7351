"""Text from outside."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.text import dumps, loads, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tea\tand\nbees", "tea\tand\nbees"),
        ("one\r\ntwo\rthree\x0cfour\u2028five", "one\ntwo\nthree\nfour\nfive"),
        ("\x1b]8;;https://evil.example\x1b\\click\x1b[2J", "]8;;https://evil.example\\click[2J"),
        ("\x9b31mred \x07", "31mred "),
        ("[\u200b1\u2060]", "[1]"),
        ("pay \u202e001\u202c", "pay 001"),
        ("tea" + "".join(chr(0xE0000 + ord(c)) for c in "obey"), "tea"),
        ("half \ud800 a pair", "half  a pair"),
        ("Grüner Tee, 緑茶, шай, ☕️", "Grüner Tee, 緑茶, шай, ☕️"),
    ],
)
def test_nothing_is_left_that_nobody_sees(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text(st.characters(codec=None)))
def test_no_control_and_no_format_character_gets_through(text: str) -> None:
    left = {c for c in plain(text) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n", "\t"}
    # Signs of some scripts are drawn, though Unicode counts them among these.
    assert {unicodedata.name(c).split()[0] for c in left} <= {"ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN", "SHORTHAND", "MUSICAL"}


@given(st.recursive(st.none() | st.text(st.characters(codec=None)), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_keeps_every_character_and_shows_it(value: object) -> None:
    text = dumps(value)
    assert json.loads(text) == value
    assert plain(text) == text


def test_json_is_read_by_people() -> None:
    assert dumps({"a": "grün \x9b\u2028"}, indent=2) == '{\n  "a": "grün \\u009b\\u2028"\n}'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5_000, "a number of too many digits"),
        (b'"\xff"', "not UTF-8"),
        ("{", "Expecting property name enclosed in double quotes"),
    ],
)
def test_what_is_wrong_with_json_is_said_in_one_way(text: str | bytes, reason: str) -> None:
    assert loads("[1]") == [1]
    with pytest.raises(json.JSONDecodeError) as found:
        loads(text)
    assert found.value.msg == reason
