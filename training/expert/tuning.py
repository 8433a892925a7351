"""Tune a model on this machine: examples, one fine-tuning or a search of several, export, and the comparison with the base."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError
from core.files import write_json
from evaluation.report import write as write_report
from evaluation.results import Report, silent
from graph.services import Services
from training.expert import base as models
from training.expert.compare import LONGEST as ANSWER
from training.expert.compare import Held, Texts, answers, compare
from training.expert.examples import Example, Maker, data_hash
from training.expert.fit import BEST, Trial, draw_curves, export, fit, space_needed
from training.expert.output import ABOUT, Output, check_space, readable_faults
from training.expert.recipe import Job, Recipe, drawn

if TYPE_CHECKING:
    from rich.table import Table

LONGEST = 4096
"""Tokens of an example, less where the model's own window is smaller; a longer one is left out."""
VERSIONS = ("accelerate", "peft", "torch", "transformers", "trl")


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of it, best trial first. `about`: all of it as JSON, as it stands in the folder's about.json."""

    folder: Path
    trials: list[Trial]
    report: Report
    about: dict[str, Any]


def plan(job: Job) -> dict[str, Any]:
    """What an interrupted training must have in common with the one that goes on with it."""
    questions = hashlib.sha256(repr(job.questions).encode()).hexdigest()[:16]
    return {"expert": job.expert, "questions": questions, "search": job.trials, **job.recipe.as_dict()}


def tune(services: Services, job: Job, output: Output, *, resume: bool = False) -> Tuned | None:
    """Tune, compare, and put the result into the output's folder; None on all but the first of several processes.

    Raises InputError for questions, a base model or a folder that cannot be used, SwitchyardError where disk or memory run out.
    """
    from accelerate import PartialState

    models.quiet()
    processes = PartialState()
    try:
        with readable_faults(output.partial, job.recipe.batch):
            return _tune(services, job if processes.is_main_process else replace(job, progress=silent), output, processes, resume)
    finally:
        if processes.is_main_process:
            output.tidy()


def _tune(services: Services, job: Job, output: Output, processes: Any, resume: bool) -> Tuned | None:
    if processes.is_main_process:
        output.open(resume=resume)
    processes.wait_for_everyone()
    with processes.main_process_first():
        base = _base(services, job.recipe, output.partial)
    tokenizer = models.load_tokenizer(base)
    train, dev, held = _examples(services, job, tokenizer, base, output.partial)
    trials = []
    for n, recipe in enumerate(drawn(job.recipe, job.trials), 1):
        what = f"Tuning {n}/{job.trials}" if job.trials > 1 else "Tuning"
        trials.append(fit(base, tokenizer, train, dev, recipe, _trial_folder(output.partial, n), what, job.progress))
        processes.wait_for_everyone()
    if not processes.is_main_process:
        return None
    return _finish(services, job, output, base, tokenizer, held, trials, data_hash([*train, *dev]))


def as_table(trials: Sequence[Trial]) -> Table:
    """The settings that were tried, best first."""
    from rich.table import Table

    table = Table("rate", "rank", "dev loss", "best step", "steps", title="Settings tried, best first")
    for t in trials:
        rank = "all weights" if t.recipe.full else str(t.recipe.rank)
        table.add_row(f"{t.recipe.rate:.2g}", rank, f"{t.dev_loss:.4f}", str(t.best_step), str(t.steps))
    return table


def _base(services: Services, recipe: Recipe, partial: Path) -> str:
    """The name or folder of the base model, which is made where it is the tiny one."""
    if recipe.base != models.TINY:
        return recipe.base
    folder = partial / models.TINY
    if not (folder / "tokenizer_config.json").exists():
        models.make_tiny(folder, (f"{p.title}\n{p.text}" for name in services.experts for p in services.index(name).passages))
    return str(folder)


def _examples(services: Services, job: Job, tokenizer: Any, base: str, partial: Path) -> tuple[list[Example], list[Example], Held]:
    maker, recipe = Maker(services, job.expert), job.recipe
    advance = job.progress("Finding passages", sum(map(len, job.questions.values())))
    train = maker.learning(job.questions["train"], recipe.without, recipe.seed, advance)
    dev = maker.learning(job.questions["dev"], recipe.without, recipe.seed, advance)
    own, withheld = maker.served(job.questions["test"], advance)
    outline = models.outline(base)
    check_space(partial, space_needed(outline, recipe, job.trials))
    window = min(LONGEST, int(getattr(outline.config, "max_position_embeddings", LONGEST)))
    learnt = [_short_enough([(e,) for e in rows], split, window, tokenizer, job.say) for split, rows in (("train", train), ("dev", dev))]
    # Here the model writes the answer, however long it becomes.
    pairs = _short_enough(list(zip(own, withheld, strict=True)), "test", window - ANSWER, tokenizer, job.say)
    return [e for (e,) in learnt[0]], [e for (e,) in learnt[1]], Held([o for o, _ in pairs], [w for _, w in pairs])


def _short_enough(
    groups: Sequence[tuple[Example, ...]], split: str, room: int, tokenizer: Any, say: Callable[[str], None]
) -> list[tuple[Example, ...]]:
    """The groups whose examples all have at most `room` tokens. Raises InputError when there are none."""
    lengths = [max(models.count_tokens(tokenizer, (e.whole for e in group))) for group in groups]
    kept = [group for group, length in zip(groups, lengths, strict=True) if length <= room]
    if not kept:
        raise InputError(
            f"Expected {split} examples of at most {room:,} tokens, so that they fit the base model's window; the shortest has "
            f"{min(lengths):,}. Choose a base model that reads more, or fewer `passages` in the expert's expert.toml."
        )
    if len(kept) < len(groups):
        say(f"{len(groups) - len(kept)} of {len(groups)} {split} questions were left out: longer than {room:,} tokens.")
    return kept


def _finish(services: Services, job: Job, output: Output, base: str, tokenizer: Any, held: Held, trials: list[Trial], data: str) -> Tuned:
    order = sorted(range(len(trials)), key=lambda n: trials[n].dev_loss)
    best, work = trials[order[0]], _trial_folder(output.partial, order[0] + 1)
    export(base, tokenizer, work / BEST, full=best.recipe.full, folder=output.partial)
    texts = {what: _asked(folder, what, tokenizer, held, job) for what, folder in (("base", base), ("tuned", str(output.partial)))}
    report = compare(services, job.expert, held, texts["tuned"], texts["base"], job.command)
    draw_curves(best, output.partial / "curves.png")
    shutil.copytree(work / "tensorboard", output.partial / "tensorboard", dirs_exist_ok=True)
    write_report([report], output.partial / "report")
    ranked = [trials[n] for n in order]
    about = {
        "expert": job.expert,
        "command": job.command,
        "recipe": best.recipe.as_dict(),
        "data": {"hash": data, **{split: len(rows) for split, rows in job.questions.items()}},
        "trials": [{k: v for k, v in asdict(t).items() if not k.endswith("_log")} for t in ranked],
        "results": [r.as_dict() for r in report.best_first],
        "notes": report.notes,
        "versions": {name: version(name) for name in VERSIONS},
        "files": output.files(),
    }
    write_json(output.partial / ABOUT, about)
    for left in (*output.partial.glob("trial-*"), output.partial / models.TINY):
        shutil.rmtree(left, ignore_errors=True)
    output.finish()
    return Tuned(output.folder, ranked, report, about)


def _asked(folder: str, what: str, tokenizer: Any, held: Held, job: Job) -> Texts:
    """A model's answers; it leaves the memory afterwards."""
    return answers(models.load_model(folder), tokenizer, held, f"Asking the {what} model", job.progress)


def _trial_folder(partial: Path, n: int) -> Path:
    return partial / f"trial-{n}"
