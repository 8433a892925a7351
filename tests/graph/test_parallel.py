"""Two turns of one thread at once, from two processes."""

from __future__ import annotations

import os
import subprocess
import sys

from core.settings import ROOT
from graph.api import compiled
from graph.services import Services
from store.runs import thread_runs


def test_turns_of_one_thread_wait_for_each_other(tiny: Services) -> None:
    settings = tiny.settings
    folders = {"SWITCHYARD_HOME": settings.home, "SWITCHYARD_EXPERTS": settings.experts_dir, "SWITCHYARD_INDEXES": settings.indexes_dir}
    environment = os.environ | {name: str(folder) for name, folder in folders.items()} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ui.cli", "ask", "How long should green tea steep?", "--thread", "shared", "--json"]
    tiny.index("tea"), tiny.index("bees"), tiny.router(), tiny.safety
    turns = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(3)]
    assert [turn.communicate(timeout=90)[1] for turn in turns] == [b""] * 3
    assert len(thread_runs(tiny.engine, "shared")) == 3
    kept = compiled(tiny).get_state({"configurable": {"thread_id": "shared"}}).values["messages"]
    assert [message.type for message in kept] == ["human", "ai"] * 3
