"""The folder of a training: what may be replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError
from training.expert.output import Output

FILES = ("config.json", "model.safetensors", "report/report.html", "tensorboard/events.out.1")


def finished(folder: Path, name: str) -> Output:
    """A model whose config.json holds `name`, as a training leaves it."""
    output = Output(folder, {})
    output.open(resume=False)
    for file in (*FILES, "trial-1/result.json", "tiny/config.json"):
        (output.partial / file).parent.mkdir(parents=True, exist_ok=True)
        (output.partial / file).write_text(name)
    write(output.partial, {"expert": "tea", "files": output.files()})
    output.finish()
    return output


def write(folder: Path, about: dict[str, Any]) -> None:
    (folder / "about.json").write_text(json.dumps(about))


def test_a_model_lists_its_files_and_the_next_one_takes_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "tea"
    finished(folder, "first")
    assert json.loads((folder / "about.json").read_text())["files"] == ["about.json", *FILES]
    # As a kill leaves it between the last two steps.
    for left in ("trial-1/result.json", "tiny/config.json"):
        (folder / left).unlink()
    (folder / "plan.json").write_text("{}")
    finished(folder, "second")
    assert (folder / "config.json").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["tea"]


@pytest.mark.parametrize("name", ["notes.txt", "README.md", "report/notes.md", "data/questions.csv"])
def test_a_file_of_the_users_is_not_replaced_with_the_model(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "tea"
    finished(folder, "first")
    for left in ("trial-1/result.json", "tiny/config.json"):
        (folder / left).unlink()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    with pytest.raises(InputError, match=rf"tea holds something else: {name}\. Choose another --output\.$"):
        Output(folder, {}).open(resume=False)
    assert (folder / name).read_text() == "mine"
