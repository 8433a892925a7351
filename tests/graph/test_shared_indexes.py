"""A new index is picked up without a restart: by processes that share a folder, and by machines that share Qdrant and no folder."""

import os
import shutil
import subprocess
import sys
import threading

import pytest

from core.errors import StoreError
from core.settings import ROOT, Settings
from experts.indexes import build_index, index_state
from graph.services import Services
from retrieval import qdrant_indexes
from tests.conftest import close
from tests.retrieval.qdrant_server import serve

NEWS = "# News\nThe harbour master of Whitby keeps eleven teapots."
QUESTION = "How many teapots does the harbour master keep?"
READER = """
import sys
from graph.services import Services
from core.settings import Settings

services = Services(Settings(home=sys.argv[1], experts_dir=sys.argv[2], indexes_dir=sys.argv[3]))
print("ready", flush=True)
for line in sys.stdin:
    question = line.strip()
    hits = services.index("tea").search(question, services.encoder.encode([question])[0], 1)
    print(hits[0].passage.document, flush=True)
"""


def first(index, services, question=QUESTION):
    return index.search(question, services.encoder.encode([question])[0], 1)[0].passage.document


def rebuild(services):
    """Another document, and the index anew."""
    (services.expert("tea").corpus / "news.md").write_text(NEWS)
    build_index(services.expert("tea"), services.encoder, services.indexes)


@pytest.fixture
def server():
    with serve() as running:
        yield running


@pytest.fixture
def machine(tmp_path, own_experts, encoder_cache, server, monkeypatch):
    """`machine("a")`: the application on a machine with folders of its own. Only Qdrant is shared."""
    monkeypatch.setattr(qdrant_indexes, "LOOK_S", 0.0)
    made = []

    def make(name):
        folder = tmp_path / name
        shutil.copytree(own_experts.experts_dir, folder / "experts")
        (folder / "indexes").mkdir()
        (folder / "indexes" / ".encoder").symlink_to(encoder_cache, target_is_directory=True)
        places = {"home": folder / "home", "experts_dir": folder / "experts", "indexes_dir": folder / "indexes"}
        made.append(Services(Settings(**places, qdrant_url=server.url)))
        return made[-1]

    yield make
    for services in made:
        services.indexes._client.close()
        close(services)


def test_one_machine_builds_and_the_other_answers(machine, capsys):
    one, other = machine("one"), machine("other")
    expected = first(one.index("tea"), one, "How long does green tea steep?")
    assert capsys.readouterr().err == "Building the index of tea (missing) ...\n"
    assert first(other.index("tea"), other, "How long does green tea steep?") == expected == "brewing"
    assert capsys.readouterr().err == ""
    for services in (one, other):
        assert not (services.settings.indexes_dir / "tea").exists()


def test_a_rebuild_on_one_machine_reaches_both_and_is_not_undone(machine, capsys):
    one, other = machine("one"), machine("other")
    in_flight = other.index("tea")
    assert one.index("tea").manifest == in_flight.manifest
    rebuild(one)
    capsys.readouterr()
    assert first(one.index("tea"), one) == "news"
    assert first(other.index("tea"), other) == "news"
    assert first(in_flight, other) != "news"
    assert index_state(other.expert("tea"), other.encoder, other.indexes) == "stale"
    assert capsys.readouterr().err == ""


def test_a_worker_outlives_an_absence_of_qdrant(machine, server):
    services = machine("one")
    index = services.index("tea")
    server.answers = [500, 500]
    assert services.index("tea") is index
    with pytest.raises(StoreError, match=r"^Qdrant answered 500 Internal Server Error\."):
        first(index, services)
    assert first(services.index("tea"), services, "How long does green tea steep?") == "brewing"


def test_while_one_thread_opens_the_new_index_the_others_read_the_old_one(machine, monkeypatch):
    services = machine("one")
    old = services.index("tea")
    rebuild(services)
    opening, go_on, load = threading.Event(), threading.Event(), services.indexes.load

    def slow(name):
        opening.set()
        assert go_on.wait(60)
        return load(name)

    monkeypatch.setattr(services.indexes, "load", slow)
    opener = threading.Thread(target=services.index, args=("tea",))
    opener.start()
    assert opening.wait(60)
    assert services.index("tea") is old
    go_on.set()
    opener.join()
    assert first(services.index("tea"), services) == "news"


def test_processes_that_share_a_folder_pick_a_new_index_up(own_experts):
    services = Services(own_experts)
    in_flight = services.index("tea")
    command = [sys.executable, "-c", READER, *map(str, (own_experts.home, own_experts.experts_dir, own_experts.indexes_dir))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    reader = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, **pipes)

    def ask():
        reader.stdin.write(QUESTION + "\n")
        reader.stdin.flush()
        return reader.stdout.readline().strip()

    try:
        assert reader.stdout.readline() == "ready\n"
        before = ask()
        assert before == first(in_flight, services) != "news"
        rebuild(services)
        assert ask() == first(services.index("tea"), services) == "news"
        assert first(in_flight, services) == before
    finally:
        reader.communicate()
        close(services)
