"""Fit what ships in artifacts/: the reader's ranking and the confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from core.types import Tier
from ui.console import OUT, progress

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, help="Fit what ships in artifacts/: the reader's ranking and the confidence."
)
DATA = "experts/*/questions.csv"


@app.command()
def reader() -> None:
    """Fit the local readers' ranking of sentences on the experts' `train` questions."""
    from graph.services import services
    from training import reader as recipe

    shared = services()
    splits = {split: [(e, item) for e in shared.experts.values() for item in e.questions(split)] for split in ("train", "dev", "test")}
    found: dict[str, list[recipe.Case]] = {split: [] for split in splits}
    with progress() as bar:
        task = bar.add_task("Reading", total=sum(map(len, splits.values())))
        for split, rows in splits.items():
            for expert, item in rows:
                found[split] += recipe.cases(expert, shared.index(expert.name), shared.encoder, [item])
                bar.advance(task)
    weights, numbers = recipe.fit(found["train"], found["dev"])
    numbers["test"] = recipe.hit_rate(weights, found["test"])
    path = shared.settings.artifacts_dir / "reader" / "weights.json"
    recipe.write(weights, numbers, f"{DATA}: fitted on train, penalty chosen on dev", path)
    _tell("A right sentence among the first four", numbers, str(path))


@app.command()
def confidence(
    check: Annotated[bool, typer.Option("--check", help="Write nothing: show what the shipped weights reach.")] = False,
) -> None:
    """Fit the confidence on the experts' `train` questions, and show what each threshold would do on `dev`."""
    from graph.services import services
    from training import confidence as recipe

    shared = services()
    found: dict[str, list[recipe.Case]] = {}
    with progress() as bar:
        task = bar.add_task("Answering", total=sum(len(e.questions("train", "dev")) for e in shared.experts.values()))
        for split in ("train", "dev"):
            found[split] = recipe.cases(shared, [split], lambda: bar.advance(task))
    fitted = shared.confidence if check else recipe.fit(found["train"])
    numbers = recipe.measure(fitted, found["dev"])
    OUT.print(recipe.threshold_table(fitted, found["dev"]))
    path = shared.settings.artifacts_dir / "confidence" / "weights.json"
    models = ", ".join(sorted({shared.tiers(name)[Tier.INFERIOR] for name in shared.experts}))
    if not check:
        recipe.write(fitted, numbers, f"{DATA}: fitted on train with {models}, measured on dev", path)
    _tell("Confidence on dev", numbers, str(path))


def _tell(what: str, numbers: Mapping[str, float], path: str) -> None:
    OUT.print(f"{what}: " + ", ".join(f"{k} {v:.3f}" for k, v in numbers.items()))
    OUT.print(f"Weights: {path}")
