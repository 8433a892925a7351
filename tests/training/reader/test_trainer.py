"""Fine-tuning the reader: it learns, goes on where it was stopped, and leaves nothing half-written."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

from core.errors import InputError, SwitchyardError
from core.types import Passage
from retrieval.encoder import packaged_model
from retrieval.pairs import encode_pair
from retrieval.reader import Reader
from retrieval.reader_network import ReaderModel
from retrieval.tokens import open_tokenizer
from training.reader.data import Example
from training.reader.network import export, opened
from training.reader.run import Recipe
from training.reader.trainer import BEST, CHECKPOINT, Trainer, _tokens

TOKENIZER = packaged_model() / "tokenizer.json"
RECIPE = Recipe(epochs=2, questions=2, wrong=2, rate=3e-3)
TEAS = {
    "green": "two minutes",
    "black": "four minutes",
    "white": "one minute",
    "red": "nine minutes",
    "oolong": "six minutes",
    "mint": "ten minutes",
}


def passage(name: str, text: str) -> Passage:
    return Passage(name, name, text, "", name)


def example(tea: str) -> Example:
    text = f"Leaves of {tea} tea steep for {TEAS[tea]} at most."
    start = text.index(TEAS[tea])
    others = tuple(passage(o, f"Leaves of {o} tea grow in the hills.") for o in TEAS if o != tea)
    return Example(f"How long does {tea} tea steep?", passage(tea, text), ((start, start + len(TEAS[tea])),), others)


EXAMPLES = [example(tea) for tea in TEAS]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bert")
    size = {"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 96}
    BertModel(BertConfig(**size, hidden_dropout_prob=0.1)).save_pretrained(folder)
    return folder


def trainer(
    base: Path,
    work: Path,
    recipe: Recipe = RECIPE,
    *,
    resume: bool = False,
    rows: list[Example] = EXAMPLES,
    start: ReaderModel | None = None,
) -> Trainer:
    return Trainer(base, open_tokenizer(TOKENIZER), rows, rows, recipe, work, resume=resume, start=start)


def stop_at(n: int):
    left = [n]

    def step() -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    return step


def test_it_learns_which_passage_answers_and_where(tiny, tmp_path):
    made = trainer(tiny, tmp_path, replace(RECIPE, epochs=40))
    before = made.judge()
    made.run(lambda: None)
    after = made.judge()
    assert after["r@1"] == 1.0
    assert after["em"] == 1.0
    assert before["em"] < 0.5


def test_what_is_exported_reads_as_the_trained_network_does(tiny, tmp_path, encoder):
    made = trainer(tiny, tmp_path, replace(RECIPE, epochs=40))
    made.run(lambda: None)
    export(made.model, tmp_path / "model.onnx")
    (tmp_path / "tokenizer.json").write_bytes(TOKENIZER.read_bytes())
    asked = example("green")
    passages = [{"title": p.title, "text": p.text} for p in (asked.wrong[0], asked.right)]
    wrong, right = Reader(tmp_path, encoder).read(asked.question, passages)
    assert right.answers > wrong.answers + 0.1
    assert right.span.text == "two minutes"
    assert right.span.score > wrong.span.score


def test_a_stopped_training_ends_like_one_that_was_not(tiny, tmp_path):
    whole = trainer(tiny, tmp_path / "whole")
    whole.run(lambda: None)
    first = trainer(tiny, tmp_path / "parts")
    with pytest.raises(KeyboardInterrupt):
        first.run(stop_at(4))
    assert (first.progress.epoch, first.progress.batch) == (1, 1)
    second = trainer(tiny, tmp_path / "parts", resume=True)
    assert (second.progress.epoch, second.progress.batch) == (1, 1)
    second.run(lambda: None)
    assert second.progress.log == whole.progress.log
    one, other = load_file(tmp_path / "whole" / BEST), load_file(tmp_path / "parts" / BEST)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_reader_is_trained_further_and_kept_where_it_gets_no_better(tiny, tmp_path):
    first = trainer(tiny, tmp_path / "first")
    first.run(lambda: None)
    export(first.model, tmp_path / "model.onnx")
    recipe = replace(RECIPE, start="its checksum", rate=0.0, epochs=1)
    again = trainer(tiny, tmp_path / "again", recipe, start=opened(tmp_path, tiny))
    again.run(lambda: None)
    kept = again.progress.log
    assert again.progress.epoch == 0, "nothing is learnt at a rate of 0"
    assert [(numbers["epoch"], numbers.get("start")) for numbers in kept] == [(0, None), (1, None), (1, 0.5)]
    assert kept[0]["em"] == pytest.approx(first.progress.log[-1]["em"], abs=0.2), "it starts from what the first had learnt, in int8"
    assert kept[0]["em"] > 0.6
    weights = opened(tmp_path, tiny).state_dict()
    assert all(torch.equal(weights[name], value.cpu()) for name, value in again.model.state_dict().items())


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ((0.5, 0.4, 0.6), {"epoch": 1, "score": 0.6, "start": 0.5}),
        ((0.5, 0.6, 0.597), {"epoch": 1, "score": 0.597, "start": 0.5}),
        ((0.5, 0.6, 0.6), {"epoch": 1, "score": 0.6, "start": 0.5}),
        ((0.5, 0.6, 0.59), {"epoch": 1, "score": 0.6}),
        ((0.5, 0.4, 0.499), {"epoch": 0, "score": 0.5}),
    ],
)
def test_the_mean_of_both_ends_is_kept_where_it_is_as_good_as_the_best_epoch(tiny, tmp_path, monkeypatch, scores, kept):
    first = trainer(tiny, tmp_path / "first")
    first.run(lambda: None)
    export(first.model, tmp_path / "model.onnx")
    recipe = replace(RECIPE, start="its checksum", epochs=1)
    judged = iter(scores)
    monkeypatch.setattr(Trainer, "judge", lambda _: {"score": next(judged)})
    further = trainer(tiny, tmp_path / "further", recipe, start=opened(tmp_path, tiny))
    last: dict[str, torch.Tensor] = {}
    found = further.run(lambda: last.update({name: weights.clone() for name, weights in further.model.state_dict().items()}))
    assert (found, len(further.progress.log)) == (kept, 3)
    begun = opened(tmp_path, tiny).state_dict()
    assert any(not torch.equal(begun[name], weights) for name, weights in last.items()), "something was learnt"
    share = kept.get("start", 1.0 if kept["epoch"] == 0 else 0.0)
    for name, weights in further.model.state_dict().items():
        torch.testing.assert_close(weights, share * begun[name] + (1 - share) * last[name])
    again = trainer(tiny, tmp_path / "further", recipe, resume=True, start=opened(tmp_path, tiny))
    assert again.run(lambda: pytest.fail("trained")) == kept
    assert again.progress.log == further.progress.log, "one that is over is not judged again"


def test_a_training_that_is_stopped_while_the_mean_is_judged_judges_it_again(tiny, tmp_path, monkeypatch):
    first = trainer(tiny, tmp_path / "first")
    first.run(lambda: None)
    export(first.model, tmp_path / "model.onnx")
    recipe = replace(RECIPE, start="its checksum", epochs=1)

    def further(work, scores, *, resume=False):
        def judge(_):
            if (score := next(judged)) is None:
                raise KeyboardInterrupt
            return {"score": score}

        judged = iter(scores)
        monkeypatch.setattr(Trainer, "judge", judge)
        made = trainer(tiny, tmp_path / work, recipe, resume=resume, start=opened(tmp_path, tiny))
        made.run(lambda: None)
        return made

    whole = further("whole", [0.5, 0.6, 0.7])
    with pytest.raises(KeyboardInterrupt):
        further("parts", [0.5, 0.6, None])
    again = further("parts", [0.7], resume=True)
    assert again.progress.log == whole.progress.log
    assert all(torch.equal(weights, whole.model.state_dict()[name]) for name, weights in again.model.state_dict().items())


def test_a_folder_without_a_reader_is_no_start(tiny, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no network")
    with pytest.raises(InputError, match=r"Expected a reader in .*; its model\.onnx cannot be opened: "):
        opened(tmp_path, tiny)


def test_a_checkpoint_of_another_training_is_refused(tiny, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trainer(tiny, tmp_path).run(stop_at(1))
    with pytest.raises(InputError, match="of other data or settings"):
        trainer(tiny, tmp_path, resume=True, rows=EXAMPLES[:3])


def test_a_disk_that_is_full_leaves_the_old_checkpoint(tiny, tmp_path, monkeypatch):
    made = trainer(tiny, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        made.run(stop_at(1))
    before = (tmp_path / CHECKPOINT).read_bytes()

    def full(tensors, path, about=None):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(SwitchyardError, match=r"Cannot write .*best\.safetensors: .*No space left.*--resume"):
        made.run(lambda: None)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_out_of_memory_on_a_gpu_is_one_line_with_the_way_on(tiny, tmp_path, monkeypatch):
    made = trainer(tiny, tmp_path)

    def full(_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(made, "_loss", full)
    with pytest.raises(SwitchyardError, match=r"out of memory.*--resume --questions"):
        made.run(lambda: None)
    assert (tmp_path / CHECKPOINT).exists()


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="Expected the folder of a BERT model"):
        trainer(tmp_path, tmp_path / "work")


@pytest.mark.parametrize(("said", "expected"), [("two minutes", ["two", "minutes"]), ("1,850 cars", ["1", ",", "850", "cars"])])
def test_the_tokens_of_an_answer(said, expected):
    text = f"It takes {said} or so."
    pair = encode_pair(open_tokenizer(TOKENIZER), "How long?", "Tea", text)
    first, last = _tokens(pair, (9, 9 + len(said)))
    assert [text[a:b] for a, b in pair.spans[first : last + 1]] == expected


def test_an_answer_that_was_cut_off_has_no_tokens():
    text = "word " * 400 + "answer"
    pair = encode_pair(open_tokenizer(TOKENIZER), "What?", "", text)
    assert _tokens(pair, (text.index("answer"), len(text))) is None
