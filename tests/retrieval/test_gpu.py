"""The path of a GPU, as far as it goes without one: on the processor, the torch networks say what the ONNX ones say."""

from __future__ import annotations

import numpy as np
import pytest

from core.settings import ROOT
from retrieval.encoder import SentenceTransformerEncoder, load_encoder, packaged_model
from retrieval.gpu import TorchReader, float_weights, gpu
from retrieval.reader import Reader

FOLDER = ROOT / "artifacts" / "reader"
QUESTION = "How long does green tea steep?"
PASSAGES = [
    {"title": "Brewing", "text": "Tea is old. Green tea steeps for two minutes. It then turns bitter."},
    {"title": "Bees", "text": "A worker bee lives for six weeks in summer. In winter she lives for months."},
    {"title": "Tea", "text": "Green tea and black tea come from one plant, which grows in Assam."},
]


@pytest.mark.skipif(gpu() is not None, reason="there is a GPU here")
def test_without_a_gpu_the_processor_is_used(encoder_cache):
    assert load_encoder("auto", encoder_cache) is load_encoder("minilm-int8", encoder_cache)


def test_the_reader_says_the_same(minilm):
    onnx, torch = Reader(FOLDER, minilm), Reader(FOLDER, minilm)
    torch.__dict__["_network"] = (TorchReader(FOLDER / "model.onnx", packaged_model(), "cpu"), onnx._network[1])
    apart = []
    for one, other in zip(onnx.read(QUESTION, PASSAGES), torch.read(QUESTION, PASSAGES), strict=True):
        assert one.answers == pytest.approx(other.answers, abs=0.5)
        apart += [abs(s.score - o.score) for s, o in zip(one.sentences, other.sentences, strict=True)]
    # Of scores from -8 to 9. The ONNX network rounds its activations to 8 bits, which moves a single score by up to 2.8.
    assert max(apart) < 4 and np.mean(apart) < 1
    best, same = onnx.rank(QUESTION, PASSAGES)[0], torch.rank(QUESTION, PASSAGES)[0]
    assert (best.text, best.passage) == (same.text, same.passage) == ("Green tea steeps for two minutes.", 0)


def test_the_weights_have_the_names_and_shapes_of_the_network():
    weights = float_weights(FOLDER / "model.onnx")
    assert weights["encoder.encoder.layer.0.intermediate.dense.weight"].shape == (1536, 384)
    assert weights["answers.weight"].shape == (1, 768) and weights["spans.weight"].shape == (2, 384)
    assert 0.01 < float(np.abs(weights["encoder.encoder.layer.5.attention.self.value.weight"]).mean()) < 0.1


def test_a_file_of_another_kind():
    with pytest.raises(ValueError, match="no bias follows"):
        float_weights(ROOT / "artifacts" / "routers" / "transformer" / "model.onnx")


def test_the_encoder_in_bfloat16(minilm):
    half = SentenceTransformerEncoder(str(packaged_model()), device="cuda")
    half.device = "cpu"
    half._model.bfloat16()
    vectors = half.encode([QUESTION, *(p["text"] for p in PASSAGES)])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    whole = load_encoder("st", ROOT).encode([QUESTION, *(p["text"] for p in PASSAGES)])
    assert (vectors * whole).sum(1).min() > 0.999


class OnGpu:
    """A tensor in a GPU's memory, from where numpy takes none."""

    def __init__(self, tensor):
        self._tensor = tensor

    def flatten(self):
        return OnGpu(self._tensor.flatten())

    def float(self):
        return OnGpu(self._tensor.float())

    def __getitem__(self, part):
        return OnGpu(self._tensor[part])

    def numpy(self):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first.")

    def cpu(self):
        return self._tensor


class Weights:
    """A model with its weights on a GPU, or not."""

    max_seq_length = 256

    def __init__(self, kept=lambda tensor: tensor):
        self._kept = kept

    def __str__(self):
        return "a network"

    def state_dict(self):
        import torch

        return {"weight": self._kept(torch.arange(600.0).reshape(2, 300).bfloat16())}


def test_weights_on_a_gpu_have_the_same_fingerprint():
    here, there = (SentenceTransformerEncoder("folder/name", device="cuda") for _ in range(2))
    here.__dict__["_model"], there.__dict__["_model"] = Weights(), Weights(OnGpu)
    assert there.fingerprint == here.fingerprint
    assert there.fingerprint.startswith("st-name-bf16-")
