"""Let an expert use a tuned model from now on: its table in switchyard.toml of the home folder."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from core.errors import InputError
from core.files import write_whole


def lines(expert: str, spec: str) -> str:
    """What stands in switchyard.toml for `expert` to be answered by the model `spec`."""
    return f"[expert.{expert}]\ninferior = {json.dumps(spec, ensure_ascii=False)}\n"


def adopt(home: Path, expert: str, spec: str) -> Path:
    """Add those lines to switchyard.toml, the rest of which stays as it is; the file's path.

    Raises InputError where it sets models for `expert` already: that is for its author to change.
    """
    path = home / "switchyard.toml"
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if expert in tomllib.loads(text).get("expert", {}):
            raise InputError(f"{path} sets the models of {expert} already. Put there: inferior = {json.dumps(spec, ensure_ascii=False)}")
        whole = f"{text.rstrip()}\n\n{lines(expert, spec)}".lstrip()
        tomllib.loads(whole)
        write_whole(path, whole)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be changed: {error}. Put there by hand: inferior = {json.dumps(spec)}") from None
    return path
