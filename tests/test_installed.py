"""What belongs to the package when it is installed and not run from its checkout."""

from __future__ import annotations

import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from core import settings
from core.settings import ROOT

SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def test_no_file_of_a_package_is_left_out() -> None:
    packages = [name.rstrip("*") for name in SETUPTOOLS["packages"]["find"]["include"]]
    listed = subprocess.run(["git", "ls-files", "-z", *packages], cwd=ROOT, capture_output=True, text=True)
    files = [Path(name) for name in listed.stdout.split("\0") if name and not name.endswith(".py")]
    if not files:
        pytest.skip("needs git's list of files")
    patterns = SETUPTOOLS["package-data"]

    def packed(file: Path) -> bool:
        own = [str(Path(package, pattern)) for package, found in patterns.items() if package != "*" for pattern in found]
        # A folder with a dot in its name is no package, so that the patterns of all packages do not reach it.
        general = [] if any("." in part for part in file.parts[:-1]) else patterns["*"]
        return any(fnmatch(str(file), pattern) for pattern in own) or any(fnmatch(file.name, pattern) for pattern in general)

    assert [str(file) for file in files if not packed(file)] == []
    assert {Path("artifacts/policy.toml"), Path("experts/sleep/expert.toml"), Path("llms/prices.toml")} <= set(files)


def test_nothing_is_built_among_installed_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    assert settings.load_settings({}, tmp_path).indexes_dir == Path(".switchyard/indexes")
    assert settings.load_settings({"SWITCHYARD_INDEXES": "there"}, tmp_path).indexes_dir == Path("there")
