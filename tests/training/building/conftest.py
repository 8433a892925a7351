from __future__ import annotations

import pytest
from pydantic import SecretStr

from core.settings import Settings
from graph.services import Services
from store.ledger import exclusive
from tests.conftest import close
from training.building.asking import Asker, run
from training.building.budget import Budget
from training.building.pace import Limits


@pytest.fixture
def served(tmp_path, encoder):
    """`served(provider)`: services whose OpenAI models are the provider's; no encoder is loaded."""
    made = []

    def make(provider, **changes) -> Services:
        settings = Settings(home=tmp_path / "home", keys={"openai": SecretStr("k")}, base_urls={"openai": provider.url}, **changes)
        services = Services(settings)
        services.encoder = encoder
        made.append(services)
        return services

    yield make
    for services in made:
        close(services)


@pytest.fixture
def asked():
    """`asked(services, work, cap=..., ...)`: the result of `work(asker)` and the asker, the ledger held meanwhile."""

    def ask(services, work, *, cap=None, spent=0.0, concurrency=8, rate=60_000, **settings):
        with exclusive(services.engine):
            asker = Asker(services, "job", Budget(cap, spent), Limits(concurrency, rate), **settings)
            return run(asker, work(asker), lambda: None), asker

    return ask
