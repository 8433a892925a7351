"""Imports point one way, and importing costs nothing: no network, no torch."""

import ast
import os
import subprocess
import sys
import tomllib

import pytest

from core.settings import ROOT

CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
LAYERS = ["ui", "server", "training", "evaluation", "graph", "experts", "llms", "retrieval", "store", "core"]
HEAVY = ("torch", "transformers", "sentence_transformers", "sklearn", "streamlit", "matplotlib", "openai", "google.genai", "pandas")
IMPORT_ALL = f"""
import importlib, pkgutil, socket, sys

def refuse(*args, **keywords):
    raise AssertionError("a module opens a socket when it is imported")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
# The browser's pages are for Streamlit to run, the modules of torch for training and for a GPU.
pages = ("ui.app", "ui.chat", "ui.lab", "ui.reports")
trainers = ("retrieval.reader_network", "training.reader.network", "training.reader.trainer")
for package in sys.argv[1:]:
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not found.name.startswith((*pages, *trainers)):
            importlib.import_module(found.name)
print([name for name in {HEAVY} if name in sys.modules])
"""


def packages():
    return [name for name in reversed(LAYERS) if (ROOT / name / "__init__.py").exists()]


def python(*arguments, home):
    """Run Python on the project with no keys and a home of its own."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SWITCHYARD_HOME": str(home / "home"), "HOME": str(home)}
    return subprocess.run([sys.executable, *arguments], cwd=home, env=env, capture_output=True, text=True)


def test_every_package_is_in_the_contract():
    assert set(CONFIG["root_packages"]) == set(packages())
    assert CONFIG["contracts"][0]["layers"] == [name for name in LAYERS if name in packages()]


def test_imports_point_one_way(monkeypatch, capsys):
    from importlinter.cli import lint_imports

    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0, capsys.readouterr().out
    assert f"Contracts: {len(CONFIG['contracts'])} kept, 0 broken." in capsys.readouterr().out


def test_importing_everything_opens_no_socket_and_loads_nothing_heavy(tmp_path):
    done = python("-c", IMPORT_ALL, *packages(), home=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
    assert list(tmp_path.iterdir()) == []


def test_building_the_graph_loads_nothing_heavy(tmp_path):
    code = f"import sys; from graph import build_graph; build_graph(); print([n for n in {(*HEAVY, 'onnxruntime')} if n in sys.modules])"
    done = python("-c", code, home=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


@pytest.mark.skipif(not (ROOT / "ui" / "cli.py").exists(), reason="there is no command yet")
def test_help_loads_nothing_but_the_command_line(tmp_path):
    check = "print([n for n in ('numpy', 'langgraph', 'langchain_core', 'torch') if n in sys.modules])"
    code = f"import sys; from ui.cli import main; main(['--help']); {check}"
    done = python("-c", code, home=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Usage: switchyard" in done.stdout


@pytest.mark.parametrize("package", packages())
def test_nothing_pickles_or_evaluates(package):
    found = []
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                if names & {"pickle", "dill", "joblib", "marshal", "shelve"}:
                    found.append(f"{path}:{node.lineno}")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}:
                found.append(f"{path}:{node.lineno}")
    assert found == []


def test_only_the_settings_read_the_environment():
    readers = []
    for package in packages():
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"} and isinstance(node.ctx, ast.Load):
                    readers.append(path.relative_to(ROOT).as_posix())
    assert sorted(set(readers) - {"retrieval/__init__.py", "retrieval/export.py"}) == ["core/settings.py"]
