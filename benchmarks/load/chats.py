"""Chats over HTTP: each asks, waits for the answer, pauses, and asks again. One process and one connection a chat."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 120.0
Asking = Callable[[str, str], tuple[str, dict[str, Any]]]
"""(thread, question) -> path and body of the request."""


@dataclass
class Talk:
    """What became of the chats. measured: (seconds, body) of the turns answered within the time; replies: (thread, body) of all."""

    seconds: float
    measured: list[tuple[float, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    replies: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Turns answered a second."""
        return len(self.measured) / self.seconds


async def hold(
    url: str, asking: Asking, threads: Sequence[str], questions: Sequence[str], seconds: float, pause_s: float, ramp_s: float
) -> Talk:
    """A chat for each thread, all at once, for so long; questions in turn. A turn that has begun is waited for.

    pause_s: seconds from an answer to the next question, half as much or half as much again by chance; with 0 a chat never rests.
    ramp_s: seconds before the others, until the chats are spread out.
    """
    talk, began = Talk(seconds), time.monotonic() + ramp_s

    async def chat(n: int, thread: str) -> None:
        dice = random.Random(n)  # noqa: S311 - spreads load
        await asyncio.sleep(dice.uniform(0, pause_s or ramp_s))
        connection = Connection(url)
        turn = 0
        while time.monotonic() < began + seconds:
            start = time.perf_counter()
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    status, body = await connection.post(*asking(thread, questions[(n + turn) % len(questions)]))
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                status, body = 0, repr(error).encode()
            end = time.perf_counter()
            if status != 200:
                talk.errors.append(f"{status} {body[:200].decode(errors='replace')}")
                connection.close()
            else:
                said = json.loads(body)
                if began <= time.monotonic() < began + seconds:
                    talk.measured.append((end - start, said))
                talk.replies.append((thread, said))
            turn += 1
            await asyncio.sleep(dice.uniform(0.5, 1.5) * pause_s)
        connection.close()

    await asyncio.gather(*(chat(n, thread) for n, thread in enumerate(threads)))
    return talk


class Connection:
    """HTTP/1.1, kept alive. Ten times cheaper than a library's client, which would take the CPU from the server that it measures."""

    def __init__(self, url: str) -> None:
        self._host, self._port = urlsplit(url).hostname or "", urlsplit(url).port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body. Raises OSError or IncompleteReadError when the connection breaks."""
        if self._streams is None or self._streams[0].at_eof():  # or the server has closed a connection that rested
            self.close()
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        data = json.dumps(body).encode()
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {self._host}:{self._port}",
            "Content-Type: application/json",
            f"Content-Length: {len(data)}",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode() + data)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        status = int(lines[0].split()[1])
        if "content-length" in headers:
            return status, await reader.readexactly(int(headers["content-length"]))
        pieces = []
        while size := int(await reader.readuntil(b"\r\n"), 16):
            pieces.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
        return status, b"".join(pieces)

    def close(self) -> None:
        """Let go; the next request connects anew."""
        if self._streams:
            self._streams[1].close()
        self._streams = None
