"""A BERT that is written as a graph says what torch says."""

import json

import numpy as np
import pytest

from retrieval.bert import writable, write_bert
from retrieval.encoder import packaged_model
from retrieval.onnx_text import OnnxText
from tests.graph import tiny_bert

MAX_TOKENS = 64
WORDS = ["how", "long", "does", "green", "tea", "steep", "two", "minutes"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    tiny_bert.make(folder, WORDS)
    return folder


@pytest.mark.parametrize("text", ["tea", "how long does green tea steep", "green tea " * 100, ""])
def test_its_vectors_are_those_of_torch(bert, text):
    import torch
    from transformers import AutoModel

    write_bert(bert, bert / "model.onnx")
    written = OnnxText(bert / "model.onnx", bert / "tokenizer.json", max_tokens=MAX_TOKENS)
    *first, last = written._tokenizer.encode(text).ids
    ids = torch.tensor([[*first[: MAX_TOKENS - 1], last]])
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(bert).eval()(input_ids=ids).last_hidden_state
    expected = torch.nn.functional.normalize(hidden.mean(dim=1), dim=1).numpy()
    np.testing.assert_allclose(written.vectors([text]), expected, atol=1e-5)


def test_what_it_can_write(bert, tmp_path):
    assert writable(bert)
    assert writable(packaged_model())
    config = json.loads((bert / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"")
    for field, value in (("model_type", "roberta"), ("hidden_act", "relu"), ("position_embedding_type", "relative_key")):
        (tmp_path / "config.json").write_text(json.dumps(config | {field: value}))
        assert not writable(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert writable(tmp_path)
