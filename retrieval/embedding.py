"""Encode a corpus: by one encoder in this process, or by several in processes of their own, which give the same vectors bit by bit."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.resource_tracker import ensure_running

from core.errors import IndexFault
from retrieval.encoder import Encoder, SentenceTransformerEncoder, Vectors

Texts = Sequence[str]
Encode = Callable[[Sequence[Texts]], Iterable[Vectors]]
"""Encodes each group of texts in one call of the encoder, and gives the groups' vectors in the same order."""
PER_WORKER = 250
"""With fewer passages, a second process takes longer to start than it saves."""
_AT_ONCE = 8


def default_workers(encoder: Encoder, passages: int) -> int:
    """How many processes are worth starting for so many passages on this machine's cores; one with torch, which uses them all itself."""
    if isinstance(encoder, SentenceTransformerEncoder):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, passages // PER_WORKER))


@contextmanager
def encoding(opener: Callable[[], Encoder], workers: int) -> Iterator[Encode]:
    """What encodes in `workers` processes, which end with the block, or with this process however it ends; 1: in this one.

    `opener` opens the encoder in each of them, and is sent there: a function of a module, or a `functools.partial` of one. What encodes
    raises IndexFault when a process was killed.
    """
    if workers == 1:
        yield partial(map, opener().encode)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)
    try:
        yield partial(_encode_in, pool, opener)
    finally:
        pool.shutdown(cancel_futures=True)


def _encode_in(pool: ProcessPoolExecutor, opener: Callable[[], Encoder], groups: Sequence[Texts]) -> Iterator[Vectors]:
    # Ctrl-C goes to every process of the terminal. The workers inherit the mask and leave it to this process to stop them. The standard
    # library's tracker of resources would take the mask off again, were it started with the first of them.
    ensure_running()
    with _masked():
        found = pool.map(partial(_encode, opener), groups, chunksize=_AT_ONCE)
    try:
        yield from found
    except BrokenProcessPool:
        raise IndexFault(
            "A process that encodes passages was killed; nothing was written. Is there enough memory? Run it again with fewer --workers."
        ) from None


@contextmanager
def _masked() -> Iterator[None]:
    """Ctrl-C is masked in the block, and heard at its end.

    A mask is one thread's: another of this process takes the signal instead, and Python raises it in the main one all the same. A worker
    that is half started by then would complain.
    """
    came: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    holds = callable(handler) and threading.current_thread() is threading.main_thread()
    if holds:
        signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if holds:
            signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def _encode(opener: Callable[[], Encoder], texts: Texts) -> Vectors:
    return opener().encode(texts)


def _end_with_parent() -> None:
    """A worker waits for work for ever, also for that of a process that was killed."""
    parent = multiprocessing.parent_process()
    assert parent

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
