"""The notebooks run from their first cell to the last, over the tiny experts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.settings import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
SHELL = '__import__("subprocess").run(f{command!r}, shell=True, check=True)'


def script(path: Path) -> str:
    """The code cells as one script; `!command {name}` is IPython's for a command of the shell, and the tiny experts know no sleep."""
    lines = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs"), "outputs of another machine"
        if cell["cell_type"] == "code":
            lines += "".join(cell["source"]).replace('EXPERT = "sleep"', 'EXPERT = "tea"').splitlines()
    return "\n".join(SHELL.format(command=line[1:]) if line.startswith("!") else line for line in lines)


def test_there_is_one_for_each_thing_to_learn():
    assert [path.stem for path in NOTEBOOKS] == ["data", "expert", "inference", "router"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tiny_experts, tiny_indexes, tmp_path):
    (tmp_path / "run.py").write_text(script(path), encoding="utf-8")
    chosen = {"SWITCHYARD_EXPERTS": tiny_experts, "SWITCHYARD_INDEXES": tiny_indexes, "SWITCHYARD_HOME": tmp_path / "home"}
    binaries = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment = os.environ | binaries | {name: str(folder) for name, folder in chosen.items()}
    done = subprocess.run([sys.executable, "run.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    if path.stem == "inference":
        assert done.stdout.splitlines()[-1] != ""
        assert "[1]" in done.stdout and "route passages" in done.stdout
    if path.stem == "expert":
        assert done.stdout.splitlines()[-1].startswith("tea · answered ·"), "the tuned model was not asked"
    if path.stem == "data":
        assert "60 grams" in done.stdout
