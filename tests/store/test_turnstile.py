"""Whoever comes first goes first, and many writers at once all get their turn."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import func, insert, select

from store.engine import engine, runs, transaction
from store.turnstile import Turnstile


def test_in_the_order_of_arrival():
    gate, order = Turnstile(), list[int]()
    assert gate.acquire(1)

    def pass_through(n: int) -> None:
        assert gate.acquire(60)
        order.append(n)
        gate.release()

    waiting = [threading.Thread(target=pass_through, args=(n,)) for n in range(5)]
    for n, thread in enumerate(waiting, 1):
        thread.start()
        while len(gate._waiting) < n:
            time.sleep(0.001)
    gate.release()
    for thread in waiting:
        thread.join(60)
    assert order == [0, 1, 2, 3, 4]
    assert gate.acquire(0)


def test_who_waits_in_vain_leaves_no_trace():
    gate = Turnstile()
    assert gate.acquire(1)
    assert not gate.acquire(0.01)
    gate.release()
    assert gate.acquire(0)


def test_many_writers_at_once(tmp_path: Path):
    made = engine(f"sqlite:///{tmp_path / 'many.db'}")
    row = {"thread_id": "t", "created_at": 0.0, "question": "q", "answer": "a", "features": "f"}

    def write(n: int) -> None:
        with transaction(made) as connection:
            assert connection.execute(select(func.count()).select_from(runs)).scalar_one() >= 0
            connection.execute(insert(runs).values(row | {"run_id": str(n)}))

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(write, range(120)))
    with transaction(made) as connection:
        assert connection.execute(select(func.count()).select_from(runs)).scalar_one() == 120
    made.dispose()
