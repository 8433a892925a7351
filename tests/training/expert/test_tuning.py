"""A whole training on a small model: what is written, resumed, searched, compared and refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from langchain_core.messages import HumanMessage

from core.errors import InputError, SwitchyardError
from core.files import files_in
from core.settings import ROOT
from graph.services import Services
from llms.finetuned import FineTunedModel
from tests.training.expert import small
from training.expert import fit, tuning
from training.expert.output import Output
from training.expert.recipe import Job
from training.expert.tuning import Tuned, as_table, plan, tune

Make = Callable[..., Job]


def run(services: Services, job: Job, folder: Path, *, resume: bool = False) -> Tuned:
    done = tune(services, job, Output(folder, plan(job)), resume=resume)
    assert done is not None
    return done


def stop_at(update: int) -> Callable[[str, int], Callable[[int], None]]:
    """A progress that is interrupted by Ctrl-C after so many updates of a tuning."""

    def progress(what: str, total: int) -> Callable[[int], None]:
        made = 0

        def advance(done: int) -> None:
            nonlocal made
            made += done
            if what.startswith("Tuning") and made >= update:
                raise KeyboardInterrupt

        return advance

    return progress


def test_a_tuned_model_is_written_opened_and_reported(tiny: Services, job: Make, target: Path) -> None:
    done = run(tiny, job(epochs=2, without=0.0), target)
    (trial,) = done.trials
    assert (trial.steps, trial.recipe.full) == (8, True)
    assert trial.dev_loss == min(loss for _, loss in trial.dev_log)
    assert trial.dev_loss < trial.dev_log[0][1]
    assert [step for step, _ in trial.train_log] == list(range(1, 9))
    about = json.loads((target / "about.json").read_text())
    assert about["recipe"]["rate"] == 1e-2
    assert {k: about["data"][k] for k in ("train", "dev", "test")} == {"train": 4, "dev": 2, "test": 3}
    assert set(about["versions"]) == {"accelerate", "peft", "torch", "transformers", "trl"}
    assert [r["name"] for r in about["results"] if r["baseline"]] == ["local:reader", "first-sentence"]
    assert {"tuned", "base", "tuned, no retrieval", "base, no retrieval"} <= {r["name"] for r in about["results"]}
    assert (target / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (target / "report" / "report.html").read_text().startswith("<!doctype html>")
    assert list((target / "tensorboard").iterdir())
    assert not target.with_name("tea.partial").exists()
    assert about["files"] == files_in(target)
    assert not list(target.glob("trial-*"))
    reply = FineTunedModel(folder=target, max_tokens=4).invoke([HumanMessage("How long does green tea steep?")])
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["output_tokens"] <= 4
    assert all(token["logprob"] <= 0 for token in reply.response_metadata["logprobs"]["content"])


def test_an_interrupted_training_goes_on_where_it_was(tiny: Services, job: Make, target: Path, tmp_path: Path) -> None:
    whole = run(tiny, job(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tiny, job(progress=stop_at(3)), target)
    assert not target.exists()
    partial = target.with_name("tea.partial")
    saved = sorted(partial.glob("trial-1/checkpoints/checkpoint-*"))
    assert saved
    # As a kill in the middle of writing leaves it: some files, and no state.
    half = saved[0].with_name("checkpoint-99")
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match=r"^An interrupted training lies in .*tea\.partial\. Go on with it: the same command and --resume"):
        run(tiny, job(), target)
    with pytest.raises(InputError, match=r"these have changed: rate\. Give the same ones, or remove that folder\.$"):
        run(tiny, job(rate=1e-3), target, resume=True)
    seen: list[int] = []

    def progress(what: str, total: int) -> Callable[[int], None]:
        return seen.append if what == "Tuning" else lambda done: None

    again = run(tiny, job(progress=progress), target, resume=True)
    assert seen[0] == int(saved[-1].name.rpartition("-")[2])
    assert again.trials[0].steps == whole.trials[0].steps
    assert [loss for _, loss in again.trials[0].dev_log] == pytest.approx([loss for _, loss in whole.trials[0].dev_log])
    assert again.trials[0].dev_loss == pytest.approx(whole.trials[0].dev_loss)


KILLED = """
import sys
from pathlib import Path
from core.settings import Settings
from graph.services import Services
from training.expert.examples import by_split
from training.expert.output import Output
from training.expert.recipe import Job, Recipe
from training.expert.tuning import plan, tune

base, experts, indexes, target = sys.argv[1:]
services = Services(Settings(home=Path(target).parent, experts_dir=Path(experts), indexes_dir=Path(indexes)))
recipe = Recipe(base, True, 500, 1e-2, 4, 1, 1)
job = Job("tea", by_split(services.expert("tea").questions(), "tea"), recipe, "x")
tune(services, job, Output(Path(target), plan(job)))
"""


def test_a_killed_training_goes_on(tiny: Services, job: Make, base: str, target: Path) -> None:
    tiny.index("tea")
    given = (base, str(tiny.settings.experts_dir), str(tiny.settings.indexes_dir), str(target))
    process = subprocess.Popen([sys.executable, "-c", KILLED, *given], env=os.environ | {"PYTHONPATH": str(ROOT)})
    partial = target.with_name("tea.partial")
    until = time.monotonic() + 300
    while not list(partial.glob("trial-1/checkpoints/checkpoint-*/trainer_state.json")) and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not target.exists()
    steps: list[int] = []

    def progress(what: str, total: int) -> Callable[[int], None]:
        def advance(done: int) -> None:
            if what == "Tuning":
                steps.append(done)
                if len(steps) > 2:
                    raise KeyboardInterrupt

        return advance

    with pytest.raises(KeyboardInterrupt):
        run(tiny, job(epochs=500, progress=progress), target, resume=True)
    assert steps[0] >= 1


def test_adapters_are_searched_merged_and_tabled(tiny: Services, job: Make, target: Path, base: str) -> None:
    done = run(tiny, job(full=False, trials=2), target)
    assert [t.dev_loss for t in done.trials] == sorted(t.dev_loss for t in done.trials)
    assert len({t.recipe.rate for t in done.trials}) == 2
    assert done.about["recipe"] == done.trials[0].recipe.as_dict()
    assert as_table(done.trials).row_count == 2
    assert not list(target.glob("adapter*"))
    config = json.loads((target / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    before, after = (small_weights(Path(folder)) for folder in (base, target))
    assert set(before) == set(after)
    assert any(not torch.equal(before[name], after[name]) for name in before if "q_proj.weight" in name)
    assert torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])


def small_weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


def test_it_stops_early_and_keeps_the_best(tiny: Services, job: Make, target: Path) -> None:
    (trial,) = run(tiny, job(rate=0.5, epochs=20, patience=2), target).trials
    assert trial.steps < 20 * 4
    assert trial.dev_loss == dict(trial.dev_log)[trial.best_step] == min(loss for _, loss in trial.dev_log)


def test_a_full_disk_is_told_before_and_while_it_happens(tiny: Services, job: Make, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target.parent.mkdir()
    monkeypatch.setattr(tuning, "space_needed", lambda model, recipe, trials: 1e18)
    with pytest.raises(SwitchyardError, match=r"^Expected about 1000000000\.0 GB free .*Free some, or choose another --output\.$"):
        run(tiny, job(), target)
    monkeypatch.undo()
    assert list(target.parent.iterdir()) == []

    def full(*args: Any, **rest: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tuning, "export", full)
    with pytest.raises(
        SwitchyardError, match=r"failed: the disk is full\. Free some, then go on with --resume, or choose another --output\.$"
    ):
        run(tiny, job(), target)
    assert not target.exists()
    monkeypatch.undo()
    assert run(tiny, job(), target, resume=True).folder == target


def test_a_full_gpu_is_told_with_the_way_on(tiny: Services, job: Make, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trl import SFTTrainer

    def full(*args: Any, **rest: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(SFTTrainer, "training_step", full)
    with pytest.raises(
        SwitchyardError, match=r"too small for this training\. Try --batch 2 with twice the --accumulate, or a smaller base"
    ):
        run(tiny, job(batch=4), target)
    with pytest.raises(SwitchyardError, match=r"Try LoRA instead of --full, or a smaller base model\.$"):
        run(tiny, job(batch=1), target)
    assert list(target.parent.iterdir()) == []


def test_examples_that_do_not_fit_are_left_out_or_refused(tiny: Services, job: Make, target: Path, tmp_path: Path) -> None:
    said: list[str] = []
    narrow = small.make(tmp_path / "narrow", window=64)
    with pytest.raises(
        InputError, match=r"^Expected train examples of at most 64 tokens, .* the shortest has [\d,]+\. Choose a base model"
    ):
        run(tiny, job(base=narrow, say=said.append), target)
    assert not target.with_name("tea.partial").exists()


def test_a_good_model_is_not_overwritten_by_a_bad_training(tiny: Services, job: Make, target: Path) -> None:
    run(tiny, job(), target)
    before = {p.name: p.read_bytes() for p in target.iterdir() if p.is_file()}
    with pytest.raises(KeyboardInterrupt):
        run(tiny, job(progress=stop_at(1)), target)
    assert {p.name: p.read_bytes() for p in target.iterdir() if p.is_file()} == before
    other = target.with_name("mine")
    other.mkdir()
    (other / "thesis.txt").write_text("x")
    with pytest.raises(
        InputError,
        match=r"^Expected a new folder, or one that an earlier training wrote; .*mine holds something else\. Choose another --output\.$",
    ):
        run(tiny, job(), other)
    assert (other / "thesis.txt").read_text() == "x"


def test_the_checks_of_an_epoch_are_spread_over_it() -> None:
    from training.expert.recipe import Recipe

    assert fit._steps_between_checks(480, Recipe("x", batch=4, accumulate=4)) == 7
    assert fit._steps_between_checks(3, Recipe("x")) == 1
