import os
import signal
import socket
import subprocess
import sys

from core.settings import ROOT

# Some libraries make an error of their own of whatever is raised while they are imported.
IMPORTED = """
import os, signal, sys, time
from ui.entry import entry

class Slow:
    def find_spec(self, name, *_):
        if name == "server.app":
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(600)
            except KeyboardInterrupt:
                raise ValueError("no schema") from None

sys.meta_path.insert(0, Slow())
entry()
"""


def test_ctrl_c_while_the_server_is_imported(switchyard):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, "serve", "--port", str(port)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (done.returncode, done.stdout, done.stderr.splitlines()[-1]) == (130, "", "Interrupted.")
    assert "Traceback" not in done.stderr
