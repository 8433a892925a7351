"""Sentences, words, and the form in which facts are compared."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.text import contains_key, locate_key, normalise, sentences, terms, words


@pytest.mark.parametrize(
    "split",
    [
        ["Dr. Kleitman worked in Chicago.", "He slept in a cave."],
        ["It is 3.5 litres.", "That is a lot."],
        ["Bees sleep, e.g. at night, i.e. in the dark.", "Ants do too."],
        ["He said: “Stop.”", "She stopped."],
        ['"Is it safe?"', '"Perhaps."', "Nobody knew."],
        ["I wake at 3 a.m. and stay awake until 6 p.m. or so.", "It is hard."],
        ["J. R. R. Tolkien and Karl F. Benz never met.", "Both were busy."],
        ["The U.S. Congress passed it in 1966.", "It held."],
        ["Ford vs. Ferrari was a film.", "See Fig. 2 for more (cf. No. 5)."],
        ["Really?!", "Yes!", "Well..."],
        ["(He came in 1908.)", "(Then he left.)"],
        ["The engine has 4 cylinders.", "2 of them failed."],
        ["Prices fell to $290 in 1924.", "“Any colour,” he said, “so long as it is black.”"],
        ["It ran on Ethyl Corp. fuel from approx. 1924."],
        ["Visit example.com or mail a.b@c.org.", "Thanks."],
        ["no capital, no stop. so this stays one"],
        ["Äther ist da.", "Ende."],
        ["He won in 1895.", "Émile Levassor drove alone.", "Это всё.", "Да."],
        ["It replaced the Model T.", "The Model A.", "“It sold well.”"],
        ["The book is by É. Zola.", "Ford liked it."],
        ["1. Boil the water.", "It was 1908.", "2 came."],
    ],
    ids=lambda split: split[0][:20],
)
def test_hard_cases(split):
    assert sentences(" ".join(split)) == split


def test_a_new_line_ends_a_sentence():
    assert sentences("A heading\nThen text. And more.\n\n") == ["A heading", "Then text.", "And more."]
    assert sentences(" \n\t\n") == []


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("緑茶は熱い。紅茶は？はい！終わり", ["緑茶は熱い。", "紅茶は？", "はい！", "終わり"]),
        ("「そうですか！？」 彼は言った。（本当に。）次", ["「そうですか！？」", "彼は言った。", "（本当に。）", "次"]),
        ("什么……。。好", ["什么……。。", "好"]),
        ("Tea is hot。Really", ["Tea is hot。", "Really"]),
    ],
)
def test_chinese_and_japanese_sentences_need_no_space(text, split):
    assert sentences(text) == split


@given(st.text(st.sampled_from("aB3É .!?。？」「\"'”)(\n“Dr"), max_size=60))
def test_sentences_are_slices_in_order_and_nothing_is_lost(text):
    at = 0
    for sentence in sentences(text):
        found = text.index(sentence, at)
        assert not text[at:found].strip()
        assert sentence == sentence.strip() != ""
        at = found + len(sentence)
    assert not text[at:].strip()


@pytest.mark.parametrize(
    "text", ["3 a.m. Aa " * 20_000, "." * 200_000, ". " * 100_000, '."' * 100_000 + "x", "A." * 100_000, "。" * 200_000, "。」" * 100_000]
)
def test_long_nonsense_takes_no_time(text):
    started = time.perf_counter()
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("text", "key", "there"),
    [
        ("It was introduced on 1 October 1908.", "October 1908", True),
        ("It cost $850 in 1908", "850", True),
        ("It cost $1,850", "850", False),
        ("It cost $1,850.", "1850", True),
        ("It made 15,007,033 of them", "15007033|15 million", True),
        ("An engine of 3.5 litres", "5 litres", False),
        ("An engine of 3.5 litres", "3.5", True),
        ("In 1908. 2 years later", "1908 2", True),
        ("About 90-minute cycles", "90 minute|ninety minute", True),
        ("about NINETY minutes", "90 minute|ninety minutes", True),
        ("underestimate", "estimate", False),
        ("Anything", "", False),
        ("Anything", "|", False),
        ("The half‑life is five hours", "half life", True),
        ("CO₂ rose", "co2", True),
    ],
)
def test_keys(text, key, there):
    assert contains_key(text, key) is there


def test_normal_form():
    assert normalise("  The “Model T”,\nit's CHEAP!  ") == "the model t it s cheap"


def test_words_and_terms():
    assert words("Don't sleep_walk at 3.5, Łukasz’s cat!") == ["don't", "sleep", "walk", "at", "3", "5", "łukasz’s", "cat"]
    assert terms("Why do the sleepers sleep?") == ("sleeper", "sleep")
    assert terms("cycles cycling") == terms("cycle cycle") == ("cycl", "cycl")
    assert terms("what is the") == ()


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ("It lasts two minutes.", "two minutes", ["two minutes"]),
        ("In 1908 it cost $850; by 1925 it cost $260.", "850|260", ["850", "260"]),
        ("About 15,007,033 were built.", "15007033", ["15,007,033"]),
        ("An A1-A2A receptor.", "a1 a2a", ["A1-A2A"]),
        ("The cart", "car", []),
        ("3.5 hours", "5 hours", []),
        ("nothing", "", []),
        ("Either | or", "|", []),
    ],
)
def test_where_a_key_stands(text, key, found):
    assert [text[a:b] for a, b in locate_key(text, key)] == found
