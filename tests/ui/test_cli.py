import ast
import os
import subprocess
import sys

import pytest

from core.errors import ModelTimeoutError
from core.settings import ROOT
from ui.cli import COMMANDS, main

VERBS = sorted(path.stem for path in COMMANDS.glob("[a-z]*.py"))
HEAVY = ("numpy", "pydantic", "langgraph", "langchain_core", "torch", "graph", "core.settings")


def in_a_process(*arguments, **settings):
    command = [sys.executable, "-m", "ui.cli", *arguments]
    environ = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | settings
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60)


def in_a_shell(arguments, **settings):
    environ = os.environ | {"PYTHONPATH": str(ROOT)} | settings
    command = ["bash", "-c", f"{sys.executable} -m ui.cli {arguments}"]
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60)


def test_help_lists_every_verb_with_the_first_line_of_its_docstring(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = run("--help")
    assert result.status == 0
    for verb in VERBS:
        first = ast.get_docstring(ast.parse((COMMANDS / f"{verb}.py").read_text())).splitlines()[0]
        listed = next(line for line in result.out.splitlines() if line.startswith(f"  {verb} "))
        assert listed.split(maxsplit=1)[1] == first  # a longer one would be cut


def test_no_arguments_print_the_help(run):
    assert run().out == run("--help").out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(run, verb):
    result = run(verb, "--help")
    assert (result.status, result.err) == (0, "")
    assert f"Usage: switchyard {verb}" in result.out


def test_help_imports_nothing_heavy():
    code = f"import sys; from ui.cli import main; main(['--help']); print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["aks"], "Error: No such command 'aks'. Did you mean 'ask'? Try: switchyard --help"),
        (["ask", "--zzz"], "Error: No such option: --zzz. Try: switchyard ask --help"),
        (["ui", "--port", "many"], "Error: Invalid value for '--port'"),
        (["expert"], "Error: Missing command. Try: switchyard expert --help"),
        (["expert", "new", "tea"], "Error: Missing option '--docs'. Try: switchyard expert new --help"),
    ],
)
def test_wrong_usage_is_one_line(run, arguments, line):
    result = run(*arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(line)
    assert result.err.count("\n") == 1


def test_a_known_error_is_one_line_of_a_real_process(tmp_path):
    done = in_a_process("ask", "Hi", SWITCHYARD_EXPERTS=str(tmp_path), SWITCHYARD_HOME=str(tmp_path / "home"))
    expected = f"Error: Expected at least one expert in {tmp_path}; found none. Make one: switchyard expert new NAME --docs PATH\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_a_wrong_setting_is_one_line(switchyard, monkeypatch):
    monkeypatch.setenv("SWITCHYARD_MODEL_RETRIES", "many")
    result = switchyard("ask", "How is honey made?")
    assert result.status == 2
    assert result.err.startswith("Error: Setting model_retries")
    assert result.err.count("\n") == 1


def test_a_reader_that_leaves_is_no_error(tiny_settings):
    command = f"{sys.executable} -m ui.cli --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stderr == ""


@pytest.mark.parametrize("verb", ["--help", "expert list"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_one_line(tiny_settings, verb, unbuffered):
    done = in_a_shell(f"{verb} > /dev/full", SWITCHYARD_EXPERTS=str(tiny_settings.experts_dir), PYTHONUNBUFFERED=unbuffered)
    line = "Error: Cannot write everything: No space left on device. Free some disk, or send the output elsewhere.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


def test_a_closed_output_is_one_line_before_anything_is_done(tmp_path):
    done = in_a_shell("ask Hi >&-", SWITCHYARD_HOME=str(tmp_path / "home"))
    line = "Error: The output is closed: expected a terminal, a file or a pipe. Leave >&- out, or send it to /dev/null.\n"
    assert (done.returncode, done.stderr) == (1, line)
    assert not (tmp_path / "home").exists()


def test_a_closed_input_is_an_empty_one(switchyard):
    done = in_a_shell("ask --review 'How is honey made?' <&-")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("Error: Expected an answer to the route; the input ended.")
    assert in_a_shell("chat <&-").returncode == 0


def test_errors_that_nobody_hears_are_no_error():
    done = in_a_shell("--help 2>&-")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: switchyard" in done.stdout


def test_an_unknown_error_is_not_hidden(monkeypatch, tiny_settings):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("ui.commands.ask.one_or_many", broken)
    with pytest.raises(ZeroDivisionError):
        main(["ask", "Hi"])


def test_a_models_fault_names_what_the_command_has(monkeypatch, tiny_settings, capsys):
    def slow(*_):
        raise ModelTimeoutError("openai:any took too long. Ask again, or choose another model.")

    monkeypatch.setattr("ui.commands.ask.one_or_many", slow)
    assert main(["ask", "Hi"]) == 1
    said = "openai:any took too long. Ask again, or choose another model with --model. To wait longer, raise SWITCHYARD_MODEL_DEADLINE_S."
    assert capsys.readouterr().err == f"Error: {said}\n"
