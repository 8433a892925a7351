"""One contract for every encoder."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.errors import IndexFault, UnknownNameError
from core.settings import ROOT
from retrieval.encoder import OnnxEncoder, SentenceTransformerEncoder, exported_model, load_encoder, packaged_model
from tests.llms.wire import closed_port

NEAR = [
    ("How long should green tea steep?", "Steep green tea for two minutes."),
    ("The queen lays eggs", "the queen lays many eggs every day"),
    ("When was the Model T introduced?", "The Model T was introduced in 1908."),
]
ODD = ["", " ", "?", "word " * 600, "日本語のお茶", "null\0byte", "🍵", "\n\t", "a" * 5_000]


@pytest.fixture(scope="session", params=["words", "minilm-int8", "minilm-fp32", "st"])
def any_encoder(request, encoder, encoder_cache, minilm):
    if request.param == "words":
        return encoder
    return minilm if request.param == "minilm-int8" else load_encoder(request.param, encoder_cache)


def test_rows_are_unit_vectors(any_encoder):
    texts = [text for pair in NEAR for text in pair] + ODD
    vectors = any_encoder.encode(texts)
    assert (vectors.shape, vectors.dtype) == ((len(texts), any_encoder.dimensions), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_no_rows(any_encoder):
    assert any_encoder.encode([]).shape == (0, any_encoder.dimensions)


def test_a_text_has_one_vector_whatever_its_company(any_encoder):
    alone = any_encoder.encode(["green tea"])[0]
    among = any_encoder.encode(["word " * 200, "green tea", "?"])[1]
    np.testing.assert_allclose(alone, among, atol=1e-6)
    np.testing.assert_array_equal(any_encoder.encode(["green tea"])[0], alone)


def test_what_is_alike_lies_near(any_encoder):
    cosines = any_encoder.encode([a for a, _ in NEAR]) @ any_encoder.encode([b for _, b in NEAR]).T
    for n in range(len(NEAR)):
        assert cosines[n, n] > np.delete(cosines[n], n).max() + 0.2


def test_fingerprints_name_the_encoder(encoder, encoder_cache, minilm):
    same = OnnxEncoder(Path("elsewhere"), threads=2)
    assert same.fingerprint == minilm.fingerprint
    assert minilm.fingerprint.startswith("minilm-int8-")
    found = [encoder.fingerprint, minilm.fingerprint, load_encoder("minilm-fp32", encoder_cache).fingerprint]
    found.append(load_encoder("st", encoder_cache).fingerprint)
    assert len(set(found)) == 4
    assert SentenceTransformerEncoder(str(packaged_model())).fingerprint == found[3]


def test_a_model_that_was_trained_further_has_another_fingerprint(encoder_cache):
    import torch

    before = load_encoder("st", encoder_cache).fingerprint
    trained = SentenceTransformerEncoder(str(packaged_model()))
    with torch.no_grad():
        next(p for name, p in trained._model.named_parameters() if "layer.3.output.dense.bias" in name).add_(0.01)
    assert trained.fingerprint != before


def test_precisions_agree(minilm, encoder_cache):
    texts = [text for pair in NEAR for text in pair]
    exact = load_encoder("minilm-fp32", encoder_cache).encode(texts)
    assert (minilm.encode(texts) * exact).sum(axis=1).min() > 0.97
    np.testing.assert_allclose(load_encoder("st", encoder_cache).encode(texts), exact, atol=1e-4)


def test_a_vector_that_was_given_cannot_be_changed_by_its_user(minilm):
    first = minilm.encode(["green tea"])
    first[0, :] = 0
    assert np.linalg.norm(minilm.encode(["green tea"])[0]) == pytest.approx(1, abs=1e-5)


def test_only_the_sentence_transformer_loads_torch(encoder_cache):
    code = (
        "import sys; from pathlib import Path; from retrieval.encoder import load_encoder;"
        "[load_encoder(n, Path(sys.argv[1])).encode(['x']) for n in ('minilm-int8', 'minilm-fp32')];"
        "print([m for m in ('torch', 'transformers', 'sentence_transformers', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(encoder_cache)], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("[]\n", 0)


def test_an_unknown_name(tmp_path):
    with pytest.raises(
        UnknownNameError,
        match=r"^No encoder is called 'bert'\. Known: auto, minilm-int8, minilm-fp32, minilm-bf16, st, st:<model>, <folder of a trained "
        r"encoder>\.$",
    ):
        load_encoder("bert", tmp_path)


def test_a_folder_that_holds_no_model(tmp_path):
    with pytest.raises(IndexFault, match=r"^Encoder '.*nothing': expected a sentence-.*SWITCHYARD_ENCODER") as caught:
        load_encoder(f"st:{tmp_path / 'nothing'}", tmp_path).encode(["x"])
    assert "\n" not in str(caught.value)


def test_a_hub_that_cannot_be_reached_is_not_asked_again_and_again(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: pytest.fail("it is asked again"))
    with pytest.raises(IndexFault, match=r"^Encoder 'no/such': expected a sentence-.*, and couldn't find them in the cached files\. Set"):
        load_encoder("st:no/such", tmp_path).encode(["x"])


def test_a_folder_of_a_tuned_encoder_without_its_files(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(IndexFault, match=r"^Encoder .*: expected model\.onnx and tokenizer\.json there; tokenizer\.json: No such file"):
        _ = load_encoder(str(tmp_path), tmp_path).fingerprint


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(IndexFault, match=r"^Cannot write .*cache/f: Not a directory\. Set SWITCHYARD_INDEXES to a writable folder\.$"):
        exported_model(tmp_path / "cache" / "f", "int8")


@pytest.mark.parametrize(
    ("said", "remedy"),
    [("OSError: [Errno 28] No space left on device", "Free some disk."), ("No module named 'onnx'", "Run: pip install torch==2.13.0 onnx")],
)
def test_an_export_that_fails_says_what_to_do(tmp_path, monkeypatch, said, remedy):
    def run(command, **_):
        return subprocess.CompletedProcess(command, 1, "", f"Traceback\n{said}\n")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(IndexFault) as caught:
        exported_model(tmp_path, "int8")
    assert str(caught.value) == f"The text encoder could not be exported: {said}. {remedy}"


def test_a_broken_export_says_what_to_do(tmp_path, minilm):
    folder = tmp_path / minilm.fingerprint
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"no model")
    with pytest.raises(IndexFault, match=rf"^The exported model in {folder} is corrupt: .* Delete that folder"):
        OnnxEncoder(tmp_path).encode(["x"])
