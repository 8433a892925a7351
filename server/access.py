"""Who is asking, and whether they may: API keys, their limits and budgets; without any key, this machine alone."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from core.types import Tier
from graph.recommendation import choosable
from graph.services import Services
from llms.prices import cost_usd
from server.errors import Refused
from server.state import App
from store.keys import Key, any_key, charge, find, take

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request. Without keys there is no owner: they share the conversations of this machine's command and chat."""

    key: Key | None = None

    @property
    def owner(self) -> str | None:
        """Whose conversations these are."""
        return self.key.owner if self.key else None


def caller(request: Request, services: App) -> Caller:
    """Who sent a request to one of these routes."""
    headers, client = request.headers, request.client
    return admit(services, headers.get("authorization", ""), client.host if client else "", headers.get("host", ""))


def admit(services: Services, authorization: str, address: str, host: str) -> Caller:
    """As `identify`, and count the request. Raises Refused, too (429), beyond the key's limit."""
    found = identify(services, authorization, address, host)
    if found.key and (wait_s := take(services.engine, found.key)):
        message = f"This key may send {found.key.per_minute} requests a minute. Wait a moment."
        raise Refused(429, message, code="rate_limit_exceeded", retry_after_s=wait_s)
    return found


def identify(services: Services, authorization: str, address: str, host: str) -> Caller:
    """Who holds the key of an Authorization header. address: the client's; host: the Host header. Raises Refused (401)."""
    scheme, _, secret = authorization.partition(" ")
    key = find(services.engine, secret.strip()) if scheme.lower() == "bearer" else None
    if key:
        return Caller(key)
    if any_key(services.engine):
        what = "Expected a valid API key" if secret else "Expected an API key"
        raise Refused(401, f"{what}, as the header Authorization: Bearer KEY.", code="invalid_api_key")
    # The name, too: a page of another site, whose name was made to mean this machine, must not get in.
    if not (_loopback(address) and _name(host) in _LOCAL_NAMES):
        raise Refused(401, "Without keys only this machine may ask. Make one: switchyard key create OWNER", code="invalid_api_key")
    return Caller()


def check_budget(services: Services, who: Caller) -> None:
    """Raises Refused when the key's money is spent (429), or when it could not be counted (403)."""
    if who.key is None or who.key.budget_usd is None:
        return
    if not who.key.money_left:
        raise Refused(429, f"This key's budget of ${who.key.budget_usd:g} for this month is spent.", code="insufficient_quota")
    specs = {services.tiers(name)[tier] for name in services.experts for tier in Tier} | {services.settings.general, *choosable(services)}
    if unknown := sorted(s for s in specs if s and cost_usd(s, 1, 1, services.settings.home) is None):
        message = f"This key has a budget, and the price of {', '.join(unknown)} is unknown. Add it to prices.toml in SWITCHYARD_HOME."
        raise Refused(403, message, code="unknown_price")


def pay(services: Services, who: Caller, cost: float | None) -> None:
    """Count what a turn cost. One of unknown price counts nothing: `check_budget` lets no key with a budget come so far."""
    if who.key and cost:
        charge(services.engine, who.key, cost)


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


Who = Annotated[Caller, Depends(caller)]
