"""Open the chat in the browser."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from core.errors import InputError
from ui.console import OUT

app = typer.Typer(add_completion=False, rich_markup_mode=None)
HOST = "127.0.0.1"
PAGE = Path(__file__).resolve().parents[1] / "app.py"


@app.command()
def ui(port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="The port on this machine.")] = 8501) -> None:
    """Open the chat in the browser."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(f"Port {port} cannot be used: {error.strerror}. Try: switchyard ui --port {port % 65535 + 1}") from None
    OUT.print(f"Switchyard is at http://localhost:{port} (Ctrl-C stops it)", style="bold")
    sys.stdout.flush()
    options = {
        "server.address": HOST,
        "server.port": port,
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
        "logger.hideWelcomeMessage": "true",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    # Streamlit takes the place of this process, so that signals reach it and nothing is left behind.
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(PAGE), *flags])  # noqa: S606
