"""Checkpoints of a training, as safetensors: weights, the optimiser's moments, and how far it is. Written whole or not at all; no pickle.

What a training draws at random must follow from its seed, epoch and batch: then one that goes on draws what it would have drawn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError, SwitchyardError

if TYPE_CHECKING:
    import torch

_MODEL, _OPTIMISER = "model.", "optimiser."


def save(path: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer, of: str, progress: Mapping[str, Any]) -> None:
    """Write `path`. `of`: what the training is of, its data and settings; `progress`: JSON values. Raises SwitchyardError."""
    import torch
    from safetensors.torch import save_file

    tensors = {f"{_MODEL}{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    for n, state in optimiser.state_dict()["state"].items():
        tensors |= {f"{_OPTIMISER}{n}.{name}": torch.as_tensor(value).contiguous() for name, value in state.items()}
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, fresh, {"of": of, "progress": json.dumps(progress)})
        fresh.replace(path)
    except Exception as error:  # safetensors has its own class for a full disk
        fresh.unlink(missing_ok=True)
        raise SwitchyardError(f"Cannot write {path}: {str(error).splitlines()[0]}. Free some disk; --resume goes on.") from None


def load(path: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer, of: str) -> dict[str, Any]:
    """Restore both, and give the progress. Raises InputError for a checkpoint of another training, or one that is broken."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0]}. Run without --resume to begin anew.") from None
    if about["of"] != of:
        raise InputError(f"{path}: a training of other data or settings. Run without --resume to begin anew, or with the old settings.")
    model.load_state_dict({name.removeprefix(_MODEL): t for name, t in tensors.items() if name.startswith(_MODEL)})
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMISER):
            n, key = name.removeprefix(_OPTIMISER).split(".", 1)
            state.setdefault(int(n), {})[key] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    progress: dict[str, Any] = json.loads(about["progress"])
    return progress
