from dataclasses import replace

import numpy as np
import pytest

from core.errors import InputError
from retrieval.encoder import TunedEncoder
from training.encoder.tuning import CHECKPOINT, Recipe, Trainer


@pytest.fixture
def recipe(bert):
    return Recipe(base=bert, epochs=8, batch=4, rate=2e-3, blend=1.0)


def weights(trainer):
    return {name: tensor.detach().numpy() for name, tensor in trainer._encoder.state_dict().items()}


def margins(folder, rows):
    """How much nearer each question is to its passage than to the wrong one, on average."""
    encoder = TunedEncoder(folder)
    asked, right, wrong = (
        encoder.encode(texts) for texts in zip(*((e.question, e.right.text, e.wrong[0].text) for e in rows), strict=True)
    )
    return float(((asked * right).sum(axis=1) - (asked * wrong).sum(axis=1)).mean())


def exported(trainer, folder):
    folder.mkdir()
    trainer.export(folder)
    return folder


def test_questions_move_to_their_passages(tmp_path, rows, recipe):
    steps = []
    trainer = Trainer(rows, recipe, tmp_path / "work")
    before = exported(Trainer(rows, recipe, tmp_path / "work"), tmp_path / "before")
    assert trainer.left == 16
    trainer.run(steps.append)
    assert (steps, trainer.left) == ([1] * 16, 0)
    after = exported(trainer, tmp_path / "after")
    assert sorted(p.name for p in after.iterdir()) == ["model.onnx", "tokenizer.json"]
    assert margins(after, rows) > margins(before, rows) + 0.04
    assert TunedEncoder(after).fingerprint != TunedEncoder(before).fingerprint


def test_blend_0_gives_the_old_weights_back(tmp_path, rows, recipe):
    old = weights(Trainer(rows, recipe, tmp_path))
    trainer = Trainer(rows, replace(recipe, blend=0.0, epochs=1), tmp_path)
    trainer.run()
    exported(trainer, tmp_path / "out")
    new = weights(trainer)
    assert all(np.array_equal(old[name], new[name]) for name in old)


def test_one_that_was_stopped_goes_on_with_the_same_batches(tmp_path, rows, recipe):
    whole = Trainer(rows, recipe, tmp_path / "whole")
    whole.run()
    stopped, steps = Trainer(rows, recipe, tmp_path / "stopped"), []

    def step(done):
        steps.append(done)
        if len(steps) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.run(step)
    resumed = Trainer(rows, recipe, tmp_path / "stopped", resume=True)
    assert resumed.left == 11
    resumed.run()
    assert all(np.allclose(tensor, weights(resumed)[name], atol=1e-6) for name, tensor in weights(whole).items())


def test_a_checkpoint_of_another_training_is_refused(tmp_path, rows, recipe):
    short = replace(recipe, epochs=1)
    Trainer(rows, short, tmp_path).run()
    with pytest.raises(InputError, match="a training of other data or settings"):
        Trainer(rows, recipe, tmp_path, resume=True)
    with pytest.raises(InputError, match="a training of other data or settings"):
        Trainer(rows[1:], short, tmp_path, resume=True)
    (tmp_path / CHECKPOINT).write_bytes(b"half")
    with pytest.raises(InputError, match=r"cannot be read: .* Run without --resume"):
        Trainer(rows, short, tmp_path, resume=True)


def test_a_passage_stands_in_a_batch_once(tmp_path, rows, recipe):
    # Both questions have one right passage, which is also the wrong one of the third.
    same = [rows[0], replace(rows[1], right=rows[0].right), replace(rows[2], wrong=(rows[0].right,))]
    [(questions, passages, right)] = Trainer(same, recipe, tmp_path)._drawn()
    assert len(passages) == len(set(passages))
    of = {question: passages[n] for question, n in zip(questions, right, strict=True)}
    assert of[rows[0].question] == of[rows[1].question] == rows[0].right.text
