"""What is asked here is nobody else's business: no library reports it."""

import os
import subprocess
import sys

from core.settings import ROOT

OPENED = "from pathlib import Path; from retrieval.onnx_text import open_session; open_session(Path('artifacts/reader/model.onnx'))"


def test_a_model_that_is_opened_leaves_nothing_in_the_users_home(tmp_path):
    env = {name: value for name, value in os.environ.items() if name not in {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}}
    subprocess.run([sys.executable, "-c", OPENED], cwd=ROOT, env=env | {"HOME": str(tmp_path)}, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
