"""The process of the command: how it begins and ends. Each test is a process of its own."""

import os
import signal
import subprocess
import sys

from core.settings import ROOT

MAIN = """
import atexit, ui.cli, ui.entry

class Late:
    def __del__(self):
        print("the interpreter took everything down")

def main():
    atexit.register(print, "closed")
    return 3

late, ui.cli.main = Late(), main
ui.entry.entry()
"""
CTRL_C = """
import os, signal, sys
from ui.entry import entry

class Pressed:
    def find_spec(self, name, *_):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Pressed())
entry()
"""


def in_a_process(code, *arguments, sigint=signal.SIG_DFL):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, sigint),
    )


def test_the_process_ends_with_its_status_once_all_is_closed_and_takes_nothing_down():
    done = in_a_process(MAIN)
    assert (done.returncode, done.stdout, done.stderr) == (3, "closed\n", "")


def test_an_unknown_error_is_shown():
    done = in_a_process(MAIN.replace("return 3", "raise ZeroDivisionError"))
    assert (done.returncode, done.stdout, done.stderr.splitlines()[-1]) == (1, "closed\n", "ZeroDivisionError")


def test_ctrl_c_while_the_command_is_imported():
    done = in_a_process(CTRL_C, "--help")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_an_ignored_ctrl_c_stays_ignored():
    done = in_a_process(CTRL_C, "--help", sigint=signal.SIG_IGN)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: switchyard" in done.stdout
