"""The database: made on first use, refused in one line when it cannot be used."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update

from core.errors import StoreError
from core.settings import ROOT, Settings
from store.engine import SCHEMA_VERSION, engine, schema

OPEN = "import sys; from store.engine import engine; [print(engine(line.strip()).name, flush=True) for line in sys.stdin]"


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'deep' / 'down' / 'switchyard.db'}"


def test_a_new_database_carries_its_version(url):
    with engine(url).connect() as connection:
        assert connection.execute(select(schema.c.version)).scalars().all() == [SCHEMA_VERSION]
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 10_000


@pytest.mark.parametrize("name", ["what?", "#1 %41 & Käse", "a:b@c"])
def test_a_home_may_have_any_name(tmp_path, name):
    made = engine(Settings(home=tmp_path / name).database)
    assert Path(made.url.database) == tmp_path / name / "switchyard.db"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_engine_is_made_once(url):
    assert engine(url) is engine(url)


def test_opening_again_changes_nothing(url):
    engine(url).dispose()
    engine.cache_clear()
    with engine(url).connect() as connection:
        assert connection.execute(select(schema.c.version)).scalars().all() == [SCHEMA_VERSION]


def test_a_newer_schema_is_refused(url):
    with engine(url).begin() as connection:
        connection.execute(update(schema).values(version=SCHEMA_VERSION + 1))
    engine(url).dispose()
    engine.cache_clear()
    with pytest.raises(StoreError, match=rf"schema {SCHEMA_VERSION + 1}; this Switchyard knows {SCHEMA_VERSION}\. Update Switchyard"):
        engine(url)


@pytest.mark.parametrize("bad", ["nonsense", "mongodb://h/x", "postgresql://user:secret-word@host:port/x"])
def test_a_bad_url_says_what_was_expected_and_not_what_came(bad):
    with pytest.raises(StoreError, match=r"^DATABASE_URL: expected something like sqlite:///path\.db") as caught:
        engine(bad)
    assert "secret-word" not in str(caught.value)


def test_a_driver_that_is_not_installed_is_named():
    with pytest.raises(StoreError, match=r"its driver is not installed: No module named 'cx_Oracle'") as caught:
        engine("oracle+cx_oracle://user:secret-word@host/x")
    assert "secret-word" not in str(caught.value)


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(StoreError, match=r"^The database cannot be used: .*Free some disk, or check DATABASE_URL and SWITCHYARD_HOME\.$"):
        engine(f"sqlite:///{tmp_path / 'home' / 'switchyard.db'}")


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "x.db").write_bytes(b"certainly no database" * 100)
    with pytest.raises(StoreError, match=r"^The database cannot be used: file is not a database\."):
        engine(f"sqlite:///{tmp_path / 'x.db'}")


def test_a_folder_in_the_place_of_the_database(tmp_path):
    with pytest.raises(StoreError, match=r"^The database cannot be used: unable to open database file\."):
        engine(f"sqlite:///{tmp_path}")


def test_processes_that_open_a_new_database_together(tmp_path):
    """All get it: nobody meets a half-made schema, or a file that SQLite will not share while it turns its log on."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = [subprocess.Popen([sys.executable, "-c", OPEN], cwd=ROOT, text=True, bufsize=1, **pipes) for _ in range(4)]
    urls = [f"sqlite:///{tmp_path / str(number) / 'switchyard.db'}" for number in range(20)]
    for url in urls:
        for process in started:
            process.stdin.write(f"{url}\n")
        assert [process.stdout.readline() for process in started] == ["sqlite\n"] * 4
    assert [process.communicate() for process in started] == [("", "")] * 4
    for url in urls:
        with engine(url).connect() as connection:
            assert connection.execute(select(schema.c.version)).scalars().all() == [SCHEMA_VERSION]


def test_a_reader_goes_on_while_a_writer_writes(url, tmp_path):
    with engine(url).begin() as writing:
        writing.execute(insert(schema).values(version=-1))
        other = sqlite3.connect(tmp_path / "deep" / "down" / "switchyard.db")
        assert other.execute("select version from switchyard_schema").fetchall() == [(SCHEMA_VERSION,)]
        other.close()
        writing.rollback()
