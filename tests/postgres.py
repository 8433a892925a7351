"""A PostgreSQL of the tests' own, from the binaries of this machine: no port, no password, gone at the end.

Without binaries its tests are skipped, and fail under CI=true.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
"""For tests that must hold on both databases."""


@dataclass
class Postgres:
    """A server that runs. `database()` gives the URL of a new, empty database."""

    binaries: Path
    folder: Path
    numbers: Any = field(default_factory=itertools.count)

    def database(self) -> str:
        name = f"d{next(self.numbers)}"
        with psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def start(self) -> None:
        # Without fsync nothing is lost but in a power cut; with it a start after `stop` takes a minute once there are many databases.
        options = f"-k {self.folder} -c listen_addresses= -c shared_buffers=32MB -c fsync=off"
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", "-t", "120", "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def initialise(self) -> None:
        self._run("initdb", "-D", str(self.folder / "data"), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")

    def _run(self, *command: str) -> None:
        who: dict[str, Any] = {"user": owner(), "group": pwd.getpwnam(owner()).pw_gid} if os.geteuid() == 0 else {}
        name, *arguments = command
        # Not a pipe: the server would keep it open.
        with (self.folder / f"{name}.out").open("w") as out:
            done = subprocess.run([self.binaries / name, *arguments], stdout=out, stderr=out, cwd=self.folder, timeout=150, **who)
        assert done.returncode == 0, (self.folder / f"{name}.out").read_text()


def owner() -> str:
    """PostgreSQL refuses to run as root."""
    return "postgres" if "postgres" in {user.pw_name for user in pwd.getpwall()} else "nobody"


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl; the newest version's, where they are not on the path."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return next((path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)


@contextmanager
def running() -> Iterator[Postgres]:
    """Start one, and stop it at the end."""
    found = binaries()
    if found is None:
        why = "PostgreSQL is not installed: no initdb"
        pytest.fail(why) if os.environ.get("CI") == "true" else pytest.skip(why)
    # Not below pytest's folder, which only its own user may enter.
    folder = Path(tempfile.mkdtemp(prefix="switchyard-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, owner())
        server = Postgres(found, folder)
        server.initialise()
        server.start()
        yield server
        server.stop()
    finally:
        for _ in range(20):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.1)
