"""The process of the command: Ctrl-C is minded before anything is imported, and the end waits for no thread."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import suppress

INTERRUPTED = 130
"""The exit status after Ctrl-C."""


def entry() -> None:
    """Run the command line, and end the process with its status; 1 where an unknown error ends it."""
    # Not where it is ignored, as in a shell's background.
    if minded := signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
    status = 1

    def leave() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)

    # The first to be registered is called last, when all else is closed. What the interpreter would do then is of no use: it looks for
    # garbage, and ends threads in the midst of native code, such as a model that still opens, which aborts the process.
    atexit.register(leave)
    from ui.cli import main

    if minded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    status = main()


def _interrupted(*_: object) -> None:
    with suppress(OSError):
        os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)
