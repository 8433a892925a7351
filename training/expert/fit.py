"""One fine-tuning with TRL's SFTTrainer: checkpoints to go on from, early stopping on the dev loss, curves, and the export of the best."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.files import write_json
from evaluation.results import Progress
from training.expert.base import has_bf16, load_model
from training.expert.examples import Example
from training.expert.output import read_json
from training.expert.recipe import Recipe

if TYPE_CHECKING:
    from transformers import TrainerCallback

CHECKS = 4
"""Times an epoch that the dev loss is measured and a checkpoint written."""
WARM_UP = 0.05
DROPOUT = 0.05
RESULT, BEST, CHECKPOINTS = "result.json", "best", "checkpoints"
STATE = "trainer_state.json"


@dataclass(frozen=True, slots=True)
class Trial:
    """A finished fine-tuning. Losses: mean cross-entropy of the answer's tokens, in nats, lower is better; `log` holds (step, loss)."""

    recipe: Recipe
    dev_loss: float
    best_step: int
    steps: int
    train_log: list[tuple[int, float]]
    dev_log: list[tuple[int, float]]


def fit(
    base: str, tokenizer: Any, train: Sequence[Example], dev: Sequence[Example], recipe: Recipe, folder: Path, what: str, progress: Progress
) -> Trial:
    """Tune `base` in `folder`; one that was interrupted goes on, one that was finished is read. The best weights: folder/best."""
    if found := read_json(folder / RESULT):
        return Trial(**{**found, "recipe": Recipe(**found["recipe"])})
    with _curves(folder) as curves:  # left open, it would go on writing where a failed training was cleared away
        trainer = _trainer(base, tokenizer, train, dev, recipe, folder, curves)
        trainer.add_callback(_bar(what, progress))
        trainer.train(resume_from_checkpoint=_last_checkpoint(folder / CHECKPOINTS))
    trainer.save_model(str(folder / BEST))
    history, best = trainer.state.log_history, trainer.state.best_global_step or trainer.state.global_step
    trial = Trial(
        recipe,
        dev_loss=float(trainer.state.best_metric),
        best_step=int(best),
        steps=int(trainer.state.global_step),
        train_log=[(row["step"], row["loss"]) for row in history if "loss" in row],
        dev_log=[(row["step"], row["eval_loss"]) for row in history if "eval_loss" in row],
    )
    if trainer.is_world_process_zero():
        write_json(folder / RESULT, {**asdict(trial), "recipe": recipe.as_dict()})
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    del trainer
    gc.collect()
    return trial


def export(base: str, tokenizer: Any, best: Path, *, full: bool, folder: Path) -> None:
    """Write the tuned model to `folder` as a plain Hugging Face model, adapters merged into the weights."""
    if full:
        model = load_model(str(best))
    else:
        from peft import PeftModel

        model = PeftModel.from_pretrained(load_model(base), str(best)).merge_and_unload()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def space_needed(base: Any, recipe: Recipe, trials: int) -> float:
    """Bytes that a training writes at most. `base`: the loaded model; Adam keeps two numbers a weight beside the weight itself."""
    weights: float = 4.0 * sum(p.numel() for p in base.parameters())
    checkpoints = 3 * 3 * weights if recipe.full else 0.1 * weights
    return checkpoints + weights * (1 + (trials if recipe.full else 0.1 * trials))


def draw_curves(trial: Trial, path: Path) -> None:
    """Training and dev loss by step, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*trial.train_log, strict=True), color="#0072B2", label="train")
    axes.plot(*zip(*trial.dev_log, strict=True), color="#D55E00", marker="o", label="dev")
    axes.axvline(trial.best_step, color="#8c8c8c", linestyle=":", label=f"kept: step {trial.best_step}")
    axes.set(xlabel="update", ylabel="loss of the answer's tokens (nats)", title="Fine-tuning")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})


def _curves(folder: Path) -> AbstractContextManager[Any]:
    """TensorBoard's writer; one process of several has it."""
    from accelerate import PartialState
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard")) if PartialState().is_main_process else nullcontext()


def _trainer(base: str, tokenizer: Any, train: Sequence[Example], dev: Sequence[Example], recipe: Recipe, folder: Path, curves: Any) -> Any:
    import torch
    import transformers
    from transformers.integrations import TensorBoardCallback
    from trl import SFTConfig, SFTTrainer

    gpu = torch.cuda.is_available()
    config = SFTConfig(
        output_dir=str(folder / CHECKPOINTS),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch,
        per_device_eval_batch_size=recipe.batch,
        gradient_accumulation_steps=recipe.accumulate,
        learning_rate=recipe.rate,
        lr_scheduler_type="cosine",
        warmup_steps=WARM_UP,
        bf16=has_bf16(),
        # Saves memory where it is short; on a CPU it would only cost time.
        activation_checkpointing=gpu,
        gradient_checkpointing=None,
        dataloader_pin_memory=gpu,
        eval_strategy="steps",
        eval_steps=(every := _steps_between_checks(len(train), recipe)),
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=max(1, every // 2),
        seed=recipe.seed,
        # Examples that are too long were left out: a prompt that is cut has lost its question.
        max_length=None,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
    )
    trainer = SFTTrainer(
        load_model(base, training=recipe.full),
        config,
        train_dataset=_dataset(train),
        eval_dataset=_dataset(dev),
        processing_class=tokenizer,
        peft_config=None if recipe.full else _adapters(recipe),
        callbacks=[
            transformers.EarlyStoppingCallback(early_stopping_patience=recipe.patience),
            *([TensorBoardCallback(curves)] if curves else []),
        ],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def _steps_between_checks(examples: int, recipe: Recipe) -> int:
    from accelerate import PartialState

    updates = examples / (recipe.batch * recipe.accumulate * PartialState().num_processes)
    return max(1, int(updates / CHECKS))


def _dataset(examples: Sequence[Example]) -> Any:
    """Prompts and completions: TRL counts the loss of a completion only."""
    from datasets import Dataset

    return Dataset.from_list([{"prompt": e.prompt, "completion": e.whole[-1:]} for e in examples])


def _adapters(recipe: Recipe) -> Any:
    from peft import LoraConfig

    return LoraConfig(r=recipe.rank, lora_alpha=2 * recipe.rank, lora_dropout=DROPOUT, target_modules="all-linear", task_type="CAUSAL_LM")


def _bar(what: str, progress: Progress) -> TrainerCallback:
    from transformers import TrainerCallback

    class Bar(TrainerCallback):  # type: ignore[misc]  # transformers has no types
        """Moves a progress bar by the updates that were made, those before an interruption included."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            self.advance = progress(what, state.max_steps) if state.is_world_process_zero else lambda done: None
            self.advance(state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            self.advance(1)

    return Bar()


def _last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint; one that was being written when the process died is removed."""
    whole: dict[int, Path] = {}
    for path in folder.glob("checkpoint-*"):
        # Written last, so the rest is there when it can be read.
        if "global_step" in read_json(path / STATE):
            whole[int(path.name.rpartition("-")[2])] = path
        else:
            shutil.rmtree(path)
    return str(whole[max(whole)]) if whole else None
