"""The store's database, for commands that need nothing else of the application."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine


def database() -> Engine:
    """The one of the settings. Raises InputError, StoreError."""
    from core.settings import settings
    from store.engine import engine

    return engine(settings().database)
