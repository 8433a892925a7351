import json

import numpy as np
import pytest

from core.errors import InputError
from core.types import Passage
from evaluation.data import Query
from graph.services import Services
from retrieval.encoder import MAX_TOKENS, TunedEncoder, load_encoder
from training.encoder.data import Files
from training.encoder.job import train, work_folder
from training.encoder.tuning import Recipe, Trainer
from ui.cli import main

SENSES = [
    ("Who is the little one that barks?", "A puppy makes noise when strangers come near."),
    ("How do I travel across an ocean?", "Ships sail over the sea."),
    ("What do children read at night?", "Bedtime stories are a habit of many families."),
    ("Which instrument has black and white keys?", "A pianist sits before the piano."),
    ("Where is money kept safe?", "The bank locks its vault."),
    ("Who treats a broken leg?", "Surgeons mend fractured bones in a hospital."),
]


@pytest.fixture
def files():
    """Questions that share no word with their passage: only their meaning leads there. The last four are held out."""
    passages = [Passage(f"s{n}", "", text, "", f"s{n}") for n, (_, text) in enumerate(SENSES)]
    queries = [Query(f"s{n}", question, frozenset({f"s{n}"}), [f"fact {n}"]) for n, (question, _) in enumerate(SENSES)]
    return Files(passages, queries[:2], queries[2:])


@pytest.fixture
def poor(tmp_path, bert, rows, own_experts):
    """The tiny application with an encoder that knows nothing: a tiny BERT, as it was drawn."""
    (tmp_path / "poor").mkdir()
    Trainer(rows, Recipe(base=bert), tmp_path / "none").export(tmp_path / "poor")
    return Services(own_experts.model_copy(update={"encoder": str(tmp_path / "poor")}))


def test_a_better_encoder_is_written_and_opened_by_its_folder(poor, files, tmp_path):
    folder = tmp_path / "home" / "encoders" / "tuned"
    found = train(poor, Recipe(epochs=1, batch=8), folder, files)
    assert found.refused == []
    assert not work_folder(folder).exists()
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "about.json", "model.onnx", "tokenizer.json"]
    about = json.loads((folder / "about.json").read_text())
    assert (about["recipe"]["seed"], about["examples"]) == (0, found.examples)
    assert about["trained_on"] == "the experts' train questions and 2 questions of the user's files"
    mrr = about["held_out"]["held-out questions of the file: mrr"]
    assert mrr["after"] > mrr["before"]
    assert f"{mrr['after']:.3f}" in (folder / "README.md").read_text()
    encoder = load_encoder(str(folder), tmp_path)
    assert isinstance(encoder, TunedEncoder)
    assert (encoder.dimensions, encoder.encode([]).shape) == (384, (0, 384))
    near, far = encoder.encode(["tea", "a cup of tea"]), encoder.encode(["tea", "word " * (2 * MAX_TOKENS)])
    assert np.allclose(np.linalg.norm(near, axis=1), 1, atol=1e-3)
    assert near[0] @ near[1] > far[0] @ far[1]


def test_a_worse_encoder_is_refused_and_the_old_one_stays(tiny, bert, files, tmp_path):
    folder = tmp_path / "tuned"
    folder.mkdir()
    (folder / "model.onnx").write_text("the old one")
    with pytest.raises(InputError, match=r"tuned holds something else"):
        train(tiny, Recipe(base=bert), folder, files)
    (folder / "about.json").write_text('{"trained_on": "", "held_out": {}}')
    found = train(tiny, Recipe(base=bert, epochs=1, batch=8), folder, files)
    assert found.refused[0].startswith("retrieval gains -")
    assert (sorted(p.name for p in folder.iterdir()), (folder / "model.onnx").read_text()) == (["about.json", "model.onnx"], "the old one")
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "home") == ["tuned"]


def test_what_nobody_held_out_is_not_judged(own_experts, bert, files, tmp_path):
    for path in own_experts.experts_dir.rglob("*.csv"):
        path.write_text(path.read_text().replace(",dev", ",test"))
    shared = Services(own_experts)
    with pytest.raises(InputError, match="Expected 1 or more different questions with the split `dev` in"):
        train(shared, Recipe(base=bert), tmp_path / "tuned")
    found = train(shared, Recipe(base=bert, epochs=1, batch=8), tmp_path / "tuned", files)
    assert {compared.rows for compared in found.compared} == {"held-out questions of the file"}
    assert all(np.isfinite(compared.gain) for compared in found.compared)


@pytest.mark.parametrize(
    ("about", "names", "told"),
    [
        ({"held_out": {}, "trained_on": ""}, ["model.onnx", "README.md", "notes.txt"], r": notes\.txt"),
        ({"held_out": {}, "trained_on": ""}, ["model.onnx", "mine/notes.txt"], r": mine/notes\.txt"),
        # A router's.
        ({"kind": "transformer", "trained_on": "", "checksums": {"model.onnx": ""}}, ["model.onnx"], ""),
    ],
)
def test_what_is_not_an_encoder_alone_is_not_replaced(tiny, tmp_path, about, names, told):
    folder = tmp_path / "tuned"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "about.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=rf"tuned holds something else{told}\. Choose another --output\.$"):
        train(tiny, Recipe(base="none"), folder)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--corpus", "c.jsonl"], "Expected --corpus and --qrels together"),
        (["--held-out", "h.jsonl"], "Expected --corpus and --qrels together"),
        (["--corpus", "none.jsonl", "--qrels", "none.jsonl"], "Expected a JSONL file at none.jsonl"),
        (["--output", "file/tuned"], "Cannot write to file: file is no folder that you may write to."),
        (["--blend", "2"], "Input should be less than or equal to 1"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(capsys, tmp_path, args, message):
    (tmp_path / "file").touch()
    assert main(["train", "encoder", *args]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert message in captured.err
