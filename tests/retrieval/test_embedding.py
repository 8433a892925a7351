"""A corpus encoded by several processes: the same bits, and nobody left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from core.errors import IndexFault
from core.settings import ROOT
from retrieval.embedding import default_workers, encoding
from retrieval.encoder import SentenceTransformerEncoder, load_encoder
from tests.conftest import WordEncoder

TEXTS = [
    "Green tea steeps for two minutes.",
    "Honey keeps for years.",
    "",
    "Bees dance when they have found a meadow, and the others follow.",
]
GROUPS = [[TEXTS[n % 4], *TEXTS[: n % 3]] for n in range(30)]
BUSY = """
import os, sys, time
from retrieval.embedding import encoding

class Slow:
    def encode(self, texts):
        os.write(1, f"{os.getpid()}\\n".encode())  # at once: two processes write side by side
        time.sleep(0.2)
        return texts

if __name__ == "__main__":
    with encoding(Slow, 2) as encode:
        for _ in encode([["x"]] * 1000):
            pass
"""


class Masked(WordEncoder):
    def encode(self, texts):
        return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


class Fatal(WordEncoder):
    def encode(self, texts):
        os.kill(os.getpid(), signal.SIGKILL)


class Faulty(WordEncoder):
    def encode(self, texts):
        raise IndexFault("The model is corrupt.")


def test_two_processes_give_the_bits_of_one(encoder_cache):
    opener = partial(load_encoder, "minilm-int8", encoder_cache)
    found = []
    for workers in (1, 2):
        with encoding(opener, workers) as encode:
            found.append(list(encode(GROUPS)))
    assert [len(v) for v in found[1]] == [len(g) for g in GROUPS]
    assert np.concatenate(found[0]).tobytes() == np.concatenate(found[1]).tobytes()


@pytest.mark.parametrize(
    ("opener", "said"),
    [
        (
            Fatal,
            "A process that encodes passages was killed; nothing was written. Is there enough memory? Run it again with fewer --workers.",
        ),
        (Faulty, "The model is corrupt."),
    ],
)
def test_a_worker_that_fails_is_one_line(opener, said):
    with encoding(opener, 2) as encode, pytest.raises(IndexFault) as caught:
        list(encode(GROUPS))
    assert str(caught.value) == said


def test_ctrl_c_is_for_the_first_process_alone():
    with encoding(Masked, 2) as encode:
        assert set(encode(GROUPS)) == {True}
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_ctrl_c_while_the_processes_start_is_heard_when_they_have(monkeypatch):
    """Another thread of this process takes the signal that this one masks, and Python raises it here."""
    started, over, start = [], threading.Event(), ProcessPoolExecutor._spawn_process
    other = threading.Thread(target=over.wait, args=(60,))

    def interrupted(pool):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        start(pool)
        started.append(1)

    monkeypatch.setattr(ProcessPoolExecutor, "_spawn_process", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    other.start()
    try:
        with pytest.raises(KeyboardInterrupt), encoding(WordEncoder, 2) as encode:
            list(encode(GROUPS))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
        over.set()
        other.join()
    assert started == [1, 1]


def alive(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 1), (signal.SIGKILL, -signal.SIGKILL)], ids=["interrupted", "killed"])
def test_no_process_is_left_behind(sent, status, tmp_path):
    (tmp_path / "busy.py").write_text(BUSY)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "busy.py"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
        # A suite that runs in a shell's background inherits an ignored Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **pipes,
    )
    workers = set()
    try:
        while len(workers) < 2:
            workers.add(int(parent.stdout.readline()))
    finally:
        # As a terminal does it: Ctrl-C goes to every process. A kill hits one.
        os.killpg(parent.pid, sent) if sent == signal.SIGINT else parent.kill()
        _, said = parent.communicate(timeout=60)
    assert parent.returncode in (status, -sent)
    assert said.count("Traceback") == (1 if sent == signal.SIGINT else 0), said  # the parent's own
    until = time.monotonic() + 60
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, workers))


@pytest.mark.parametrize(("passages", "cores", "workers"), [(0, 8, 1), (499, 8, 1), (500, 8, 2), (10_000, 8, 8), (10_000, 1, 1)])
def test_small_corpora_are_encoded_here(monkeypatch, passages, cores, workers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores))
    assert default_workers(WordEncoder(), passages) == workers
    assert default_workers(SentenceTransformerEncoder("any"), passages) == 1
