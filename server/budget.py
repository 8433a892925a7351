"""What a key may spend: checked before a turn, held while it runs, counted after it."""

from __future__ import annotations

from types import TracebackType

from langgraph.errors import GraphDrained

from core.types import Tier
from graph.recommendation import choosable
from graph.services import Services
from llms.prices import cost_usd
from llms.registry import fallbacks
from server.access import Caller
from server.errors import Refused
from store import keys

TURN_TOKENS = 8_000, 1_000
"""Read and written: a turn that runs holds what so many cost of the dearest model."""
HOLD_S = 900.0
"""Longer than any turn: after so long, the process that held the money has died."""
_RETRY_AFTER_S = 2.0


def check_budget(services: Services, who: Caller) -> None:
    """Raises Refused when the key's money is spent or held (429), or when it could not be counted (403)."""
    if who.key is None or who.key.budget_usd is None:
        return
    if keys.left(services.engine, who.key) <= 0:
        raise _refused(who.key)
    if unknown := sorted(spec for spec in _models(services) if cost_usd(spec, 1, 1, services.settings.home) is None):
        message = f"This key has a budget, and the price of {', '.join(unknown)} is unknown. Add it to prices.toml in SWITCHYARD_HOME."
        raise Refused(403, message, code="unknown_price")


class Account:
    """Pays for one turn: `with Account(services, who) as account`, and `account.pay(cost)` once it is answered.

    Turns at the same time together spend no more than turns one after the other: at most the last one goes beyond the budget. A turn that
    fails costs nothing; one that its client leaves costs what was held for it, because the model goes on. Raises Refused (429).
    """

    def __init__(self, services: Services, who: Caller) -> None:
        self._services, self._key = services, who.key
        self._most, self._held, self._open = 0.0, None, True  # type: float, str | None, bool

    def __enter__(self) -> Account:
        """Hold the money."""
        if self._key and self._key.budget_usd is not None:
            home = self._services.settings.home
            self._most = max((cost_usd(spec, *TURN_TOKENS, home) or 0.0 for spec in _models(self._services)), default=0.0)
            self._held = keys.hold(self._services.engine, self._key, self._most, HOLD_S)
            if self._held is None:
                raise _refused(self._key)
        return self

    def pay(self, cost: float | None) -> None:
        """Count what the turn cost; where a price is unknown, as a chat model's that routes may be, what was held."""
        self._open = False
        counted = self._most if cost is None else cost
        if self._key and (counted or self._held):
            keys.charge(self._services.engine, self._key, counted, self._held)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give back what is still held."""
        if self._open:
            self.pay(self._most if kind and issubclass(kind, (GraphDrained, GeneratorExit)) else 0.0)


def _models(services: Services) -> set[str]:
    """Every model that a turn may ask: for an expert, for a picture, as it is recommended, and in the place of one that fails."""
    tiers = {services.tiers(name, pictures=seen)[tier] for name in (None, *services.experts) for tier in Tier for seen in (False, True)}
    named = {spec for spec in (*tiers, services.settings.general, *choosable(services)) if spec}
    return named.union(*(fallbacks(spec, services.settings) for spec in named))


def _refused(key: keys.Key) -> Refused:
    if key.money_left:
        message = f"What is left of this key's budget of ${key.budget_usd:g} is held by turns that run. Try again in a moment."
        return Refused(429, message, code="budget_held", retry_after_s=_RETRY_AFTER_S)
    return Refused(429, f"This key's budget of ${key.budget_usd:g} for this month is spent.", code="insufficient_quota")
