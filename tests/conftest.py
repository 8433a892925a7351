"""Fixtures for all tests: a clean environment, encoders, two tiny experts and the application over them.

Use `encoder` where meaning does not matter (no model, microseconds), `minilm` where it does. `tiny` is the application over two small
experts, tea and bees (tests/data/experts), with local readers; `scripted` the same with models that say what they are told. Their folders
are shared by the session: change them only in the copy that `own_experts` gives.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest

from core.settings import BASE_URLS, PROVIDER_KEYS, ROOT, Settings, settings
from retrieval.encoder import Encoder, Vectors, load_encoder
from retrieval.text import terms
from store.engine import engine

if TYPE_CHECKING:
    from graph.services import Services
    from llms.fake import ScriptedModel
    from tests.postgres import Postgres

os.environ.pop("COLUMNS", None)  # a console keeps the width that it finds there when it is made
hypothesis.settings.register_profile("quick", max_examples=50, deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("quick")

TINY = Path(__file__).parent / "data" / "experts"
CLEANED = {*PROVIDER_KEYS.values(), *BASE_URLS.values(), "DATABASE_URL", "GEMINI_API_KEY", "QDRANT_API_KEY"}


class WordEncoder:
    """A bag of stemmed words, hashed into 64 dimensions: deterministic, fast, and blind to meaning."""

    dimensions = 64
    fingerprint = "words-64"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        rows = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for term in terms(text) or ["no words"]:
                digest = hashlib.sha256(term.encode()).digest()
                row[digest[0] % self.dimensions] += 1.0 + digest[1] / 1000
        unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No keys, no settings, no `.env` of the developer's; the process's own settings, services and engines are made afresh."""
    for name in list(os.environ):
        if name.startswith(("SWITCHYARD_", "LANGSMITH_", "LANGCHAIN_", "OTEL_")) or name in CLEANED:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    yield
    api, shared = sys.modules.get("graph.api"), sys.modules.get("graph.services")
    if shared is not None and shared.services.cache_info().currsize:
        close(shared.services())
    if api is not None:
        api.compiled.cache_clear()
    if shared is not None:
        shared.services.cache_clear()
    settings.cache_clear()
    engine.cache_clear()


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """No model: for tests in which meaning does not matter."""
    return WordEncoder()


@pytest.fixture(scope="session")
def encoder_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where exported encoders are kept: the repository's own cache, so that the export of some ten seconds is made once a machine."""
    folder = ROOT / "indexes" / ".encoder"
    if not os.access(folder.parent, os.W_OK):
        return tmp_path_factory.mktemp("encoder")
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def tiny_experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the experts `tea` and `bees` and their out_of_scope.csv. Not to be changed: see `own_experts`."""
    folder = tmp_path_factory.mktemp("tiny") / "experts"
    shutil.copytree(TINY, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_indexes(tmp_path_factory: pytest.TempPathFactory, encoder_cache: Path) -> Path:
    """Folder of the tiny experts' indexes, built by the first test that asks them; its encoder cache is the shared one."""
    folder = tmp_path_factory.mktemp("indexes").resolve()
    (folder / ".encoder").symlink_to(encoder_cache, target_is_directory=True)
    return folder


@pytest.fixture(scope="session")
def minilm(tiny_indexes: Path) -> Encoder:
    """The default encoder, the very object that `tiny` uses."""
    return load_encoder("minilm-int8", tiny_indexes / ".encoder")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, started by the first test that asks for it."""
    from tests.postgres import running

    with running() as server:
        yield server


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str | None:
    """None, which is SQLite in the home. A test that is marked as `tests.postgres.BOTH` also gets a new database in PostgreSQL."""
    return request.getfixturevalue("postgres").database() if getattr(request, "param", None) == "postgresql" else None


@pytest.fixture
def tiny_settings(tmp_path: Path, tiny_experts: Path, tiny_indexes: Path, database_url: str | None) -> Settings:
    """Settings over the tiny experts, with a home of the test's own."""
    return Settings.model_validate(
        {"home": tmp_path / "home", "experts_dir": tiny_experts, "indexes_dir": tiny_indexes, "database_url": database_url}
    )


@pytest.fixture
def own_experts(tmp_path: Path, encoder_cache: Path) -> Settings:
    """Settings over a copy of the tiny experts that the test may change, with indexes of its own."""
    shutil.copytree(TINY, tmp_path / "own" / "experts")
    (tmp_path / "own" / "indexes").mkdir()
    (tmp_path / "own" / "indexes" / ".encoder").symlink_to(encoder_cache, target_is_directory=True)
    return Settings(home=tmp_path / "home", experts_dir=tmp_path / "own" / "experts", indexes_dir=tmp_path / "own" / "indexes")


@pytest.fixture
def tiny(tiny_settings: Settings) -> Iterator[Services]:
    """The application over the tiny experts: real encoder, local readers."""
    from graph.services import Services

    made = Services(tiny_settings)
    yield made
    close(made)


@pytest.fixture
def scripted(tiny_settings: Settings) -> Iterator[Callable[..., Services]]:
    """`scripted({"fake:weak": ScriptedModel(replies=["..."])}, inferior="fake:weak")`: the tiny application with these models.

    Keywords change settings; a spec that is not in the mapping is loaded as usual.
    """
    from graph.services import Services
    from llms.registry import load_model

    made: list[Services] = []

    def make(models: Mapping[str, ScriptedModel], **changes: Any) -> Services:
        chosen = Settings.model_validate(tiny_settings.model_dump() | changes)
        made.append(Services(chosen, load=lambda spec, s, e: models[spec] if spec in models else load_model(spec, s, e)))
        return made[-1]

    yield make
    for services in made:
        close(services)


def close(services: Services) -> None:
    """Close the connections of services that go out of use."""
    from graph.memory import close as close_memory

    home = services.settings.home
    close_memory(services)
    if services.settings.database_url or (home / "switchyard.db").exists():
        services.engine.dispose()
