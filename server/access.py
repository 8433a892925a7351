"""Who is asking, and whether they may: API keys and their limits; without any key, this machine alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool

from graph.services import Services
from server.errors import Refused
from server.state import services
from store.keys import Key, any_key, find, take

_FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request. Without keys there is no owner: they share the conversations of this machine's command and chat."""

    key: Key | None = None

    @property
    def owner(self) -> str | None:
        """Whose conversations these are."""
        return self.key.owner if self.key else None

    @property
    def key_id(self) -> str | None:
        """Names the key, in the log."""
        return self.key.key_id if self.key else None


_BEARER = HTTPBearer(auto_error=False, description="A key that `switchyard key create` has made; none is needed as long as there is none.")


class KeyFirst(APIRoute):
    """A route that asks for the key before it reads the body, where it asks `Who` sent a request at all.

    FastAPI resolves dependencies only when the body is read and parsed, which is much to do for strangers.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute.get_route_handler`."""
        handle = super().get_route_handler()
        if all(dependency.call is not caller for dependency in self.dependant.dependencies):
            return handle

        async def handle_admitted(request: Request) -> Response:
            request.state.caller = await run_in_threadpool(_admitted, request)
            return await handle(request)

        return handle_admitted


def _admitted(request: Request) -> Caller:
    return admit(services(request), request.headers, request.client.host if request.client else "")


async def caller(request: Request, _described: Annotated[object, Security(_BEARER)]) -> Caller:
    """Who sent a request to one of these routes, as `KeyFirst` has found."""
    found: Caller = request.state.caller
    return found


def admit(services: Services, headers: Mapping[str, str], address: str) -> Caller:
    """As `identify`, and count the request. Raises Refused, too (429), beyond the key's limit."""
    found = identify(services, headers, address)
    if found.key and (wait_s := take(services.engine, found.key)):
        message = f"This key may send {found.key.per_minute} requests a minute. Wait a moment."
        raise Refused(429, message, code="rate_limit_exceeded", retry_after_s=wait_s)
    return found


def identify(services: Services, headers: Mapping[str, str], address: str) -> Caller:
    """Who holds the key of an Authorization header. headers: by their names in lower case; address: the client's. Raises Refused (401)."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    key = find(services.engine, secret.strip()) if scheme.lower() == "bearer" else None
    if key:
        return Caller(key)
    if any_key(services.engine):
        what = "Expected a valid API key" if secret else "Expected an API key"
        raise Refused(401, f"{what}, as the header Authorization: Bearer KEY.", code="invalid_api_key")
    # The name, too: a page of another site, whose name was made to mean this machine, must not get in. Nor whoever a proxy here speaks for.
    name = _name(headers.get("host", ""))
    if not (_loopback(address) and (name == "localhost" or _loopback(name))) or any(each in headers for each in _FORWARDED):
        raise Refused(401, "Without keys only this machine may ask. Make one: switchyard key create OWNER", code="invalid_api_key")
    return Caller()


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
