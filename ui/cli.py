"""The `switchyard` command. A verb is a file in `ui/commands`, found by its name, and imported only when it is called."""

from __future__ import annotations

import ast
import errno
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from core.errors import ModelError, ModelTimeoutError, SwitchyardError
from core.garbage import collect_seldom
from ui.console import left_at_once, say
from ui.entry import INTERRUPTED

COMMANDS = Path(__file__).with_name("commands")
NOWHERE = Path(os.devnull)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Verbs(TyperGroup):
    """Lists the verbs by name and docstring; imports the one that is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for path in sorted(COMMANDS.glob("[a-z]*.py")):
            self.add_command(TyperCommand(path.stem, help=_summary(path)))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The real command in the place of the listed one."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and get_command(import_module(f"ui.commands.{name}").app), rest


app = typer.Typer(cls=Verbs, add_completion=False, rich_markup_mode=None)


@app.callback()
def switchyard() -> None:
    """Route each question to the right expert, and answer it from that expert's own documents, with citations."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and give its exit status: 0 done, 2 bad usage or bad input, 130 interrupted, 1 anything else."""
    collect_seldom()
    arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if fault := _stand_in():
        return _fail(fault, 1)
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a pipe that cannot show a character shows "?" instead of stopping the command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        with left_at_once():
            command = get_command(app)
        status = command.main(arguments, prog_name="switchyard", standalone_mode=False)
        sys.stdout.flush()
    except SwitchyardError as error:
        return _fail(_with_options(error), error.exit_status)
    except BrokenPipeError:
        return 1  # the reader has left (`| head`): nobody is there to be told
    except OSError as error:
        if error.errno not in FULL:
            raise
        return _fail(f"Cannot write {error.filename or 'everything'}: {error.strerror}. Free some disk, or send the output elsewhere.", 1)
    except typer.TyperException as error:
        where = getattr(getattr(error, "ctx", None), "command_path", "switchyard")
        message = error.format_message()
        return _fail(f"{message}{'' if message.endswith(('.', '?')) else '.'} Try: {where} --help", 2)
    if status == INTERRUPTED:
        say("Interrupted.")
    return int(status or 0)


def _with_options(error: SwitchyardError) -> str:
    """The error with what can be done about it here: it is told in the chat and over HTTP, too."""
    if not isinstance(error, ModelError):
        return str(error)
    longer = " To wait longer, raise SWITCHYARD_MODEL_DEADLINE_S." if isinstance(error, ModelTimeoutError) else ""
    return str(error).replace("choose another model.", "choose another model with --model.") + longer


def _stand_in() -> str:
    """Have what is closed read as empty and swallow what is written; a fault where the results would be lost."""
    fault = "" if sys.stdout else "The output is closed: expected a terminal, a file or a pipe. Leave >&- out, or send it to /dev/null."
    # In this order: each takes the lowest number that is free, its own, which else the next file would get.
    sys.stdin = sys.stdin or NOWHERE.open()
    sys.stdout = sys.stdout or NOWHERE.open("w")
    sys.stderr = sys.stderr or NOWHERE.open("w")
    return fault


def _fail(message: str, status: int) -> int:
    say(f"Error: {message}", style="red")
    return status


def _summary(path: Path) -> str:
    """First line of the module's docstring, read without importing the module."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


if __name__ == "__main__":
    from ui.entry import entry

    entry()
