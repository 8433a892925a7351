"""A question and a passage as tokens: where each token stands in the passage's text."""

import pytest

from retrieval.encoder import packaged_model
from retrieval.pairs import encode_pair
from retrieval.tokens import MAX_TOKENS, open_tokenizer

TOKENIZER = open_tokenizer(packaged_model() / "tokenizer.json")


@pytest.mark.parametrize("title", ["Tea", ""])
def test_tokens_know_their_place_in_the_text(title):
    text = "Green tea steeps for two minutes."
    pair = encode_pair(TOKENIZER, "How long?", title, text)
    inside = [tuple(span) for span in pair.spans if span[0] >= 0]
    assert [text[a:b] for a, b in inside] == ["Green", "tea", "steep", "s", "for", "two", "minutes", "."]
    assert pair.types.tolist() == sorted(pair.types.tolist())
    assert (pair.spans[pair.types == 0] == -1).all()
    assert tuple(pair.spans[-1]) == (-1, -1)


def test_a_long_passage_is_cut_and_the_question_stays():
    pair = encode_pair(TOKENIZER, "How long does green tea steep?", "Tea", "word " * 1000)
    assert len(pair.ids) == MAX_TOKENS
    whole = encode_pair(TOKENIZER, "How long does green tea steep?", "", "")
    asked = whole.ids[whole.types == 0]
    assert pair.ids[: len(asked)].tolist() == asked.tolist()


def test_two_lengths_do_not_share_a_tokenizer():
    path = packaged_model() / "tokenizer.json"
    assert len(encode_pair(open_tokenizer(path, 16), "Why?", "", "word " * 100).ids) == 16
    assert len(encode_pair(open_tokenizer(path), "Why?", "", "word " * 100).ids) > 100
