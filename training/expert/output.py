"""Where a training writes: into DIR.partial while it runs, which takes the place of DIR only when all of it is there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from core.errors import InputError, SwitchyardError
from core.files import check_replaceable, files_in, write_json
from training.expert.base import TINY

ABOUT, PLAN = "about.json", "plan.json"
_PROGRESS = ("trainer_state.json", "result.json", ABOUT)
"""A folder with any of these holds work that would be missed."""
_ASIDE = ("trial-", f"{TINY}/", PLAN)
"""What begins so is no part of the model."""
_FULL = ("No space left", "os error 28", "Disk quota", "os error 122", "File too large", "os error 27", "PytorchStreamWriter failed")
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


class Output:
    """The folder of one training. `plan`: what makes it this training and no other, JSON."""

    def __init__(self, folder: Path, plan: Mapping[str, Any]) -> None:
        self.folder = folder
        self.partial = folder.with_name(f"{folder.name}.partial")
        self._plan = json.loads(json.dumps(plan))

    def open(self, *, resume: bool) -> None:
        """Make the partial folder, or go on with the one of an interrupted training.

        Raises InputError where there is one and `resume` was not asked for, where it belongs to other settings, or where DIR holds
        something that is no model of ours.
        """
        check_replaceable(self.folder, "expert", ours=[PLAN])
        self.tidy()
        if self.partial.exists():
            self._check_interrupted(resume)
        else:
            try:
                self.partial.mkdir(parents=True)
            except OSError as error:
                raise InputError(
                    f"Expected a folder that can be written; {self.partial}: {error.strerror}. Choose another --output."
                ) from None
            write_json(self.partial / PLAN, self._plan)

    def files(self) -> list[str]:
        """The files of the finished model, by which the next training knows what it may replace."""
        return sorted({ABOUT, *(name for name in files_in(self.partial) if not name.startswith(_ASIDE))})

    def finish(self) -> None:
        """Put the whole new folder in the place of the old one."""
        with TemporaryDirectory(prefix=".old-", dir=self.folder.parent, ignore_cleanup_errors=True) as away:
            if self.folder.exists():
                self.folder.replace(Path(away) / "model")
            self.partial.replace(self.folder)
        (self.folder / PLAN).unlink()

    def tidy(self) -> None:
        """Remove the partial folder where it holds nothing that would be missed."""
        if (self.partial / PLAN).exists() and not any(any(self.partial.rglob(name)) for name in _PROGRESS):
            shutil.rmtree(self.partial, ignore_errors=True)

    def _check_interrupted(self, resume: bool) -> None:
        if not resume:
            raise InputError(
                f"An interrupted training lies in {self.partial}. Go on with it: the same command and --resume. Or remove that folder."
            )
        kept = read_json(self.partial / PLAN)
        changed = [name for name in self._plan if kept.get(name) != self._plan[name]]
        if changed:
            raise InputError(
                f"Expected the settings of the interrupted training in {self.partial}; these have changed: {', '.join(changed)}. "
                "Give the same ones, or remove that folder."
            )


@contextmanager
def readable_faults(folder: Path, batch: int) -> Iterator[None]:
    """A full disk or a full memory as one line with the way on. Raises SwitchyardError; anything else passes."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, MemoryError, RuntimeError, SafetensorError) as error:
        said = str(error)
        if any(words in said for words in _FULL):
            raise SwitchyardError(
                f"Writing to {folder.parent} failed: the disk is full. Free some, then go on with --resume, or choose another --output."
            ) from None
        if isinstance(error, MemoryError) or any(words in said for words in _NO_MEMORY):
            raise SwitchyardError(f"The memory of the machine or of its GPU is too small for this training. {_smaller(batch)}") from None
        raise


def check_space(folder: Path, needed: float) -> None:
    """Raises SwitchyardError where less than `needed` bytes are free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SwitchyardError(
            f"Expected about {needed / 1e9:.1f} GB free for checkpoints and weights in {folder.parent}; there are {free / 1e9:.1f} GB. "
            "Free some, or choose another --output."
        )


def read_json(path: Path) -> dict[str, Any]:
    """An object that `core.files.write_json` wrote; an empty one where there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _smaller(batch: int) -> str:
    halved = f"Try --batch {batch // 2} with twice the --accumulate" if batch > 1 else "Try LoRA instead of --full"
    return f"{halved}, or a smaller base model."
