"""Errors as OpenAI's clients expect them: {"error": {message, type, param, code}} and the right status."""

from __future__ import annotations

import logging
import math
import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from core.errors import ConversationBusyError, InputError, ModelError, ModelTimeoutError, RateLimitedError, StoreError, SwitchyardError
from server.schema import Error

logger = logging.getLogger("switchyard")
_KINDS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
_BUSY_S = 2.0
_AWAY = "The database cannot be used right now. Try again in a moment."
DESCRIBED: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Error, "description": "The request cannot be answered as it is."},
    "5XX": {"model": Error, "description": "The server, its database or a model failed."},
}
"""For the description of every route."""


class Refused(Exception):  # noqa: N818  # a word for what happened, like the standard library's StopIteration
    """A request that is not answered. status: of HTTP; code: OpenAI's word for the reason; retry_after_s: when to come back."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.retry_after_s = status, code, param, retry_after_s


def refusal(error: Exception) -> Refused:
    """What the client is told about an error. An unknown one is logged, and its text stays here."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, InputError):
        return Refused(400, str(error))
    if isinstance(error, ModelTimeoutError):
        return Refused(504, str(error), code="model_timeout")
    if isinstance(error, ModelError):
        status = 503 if isinstance(error, RateLimitedError) else 502
        return Refused(status, str(error), code="model_failed", retry_after_s=error.retry_after_s)
    if isinstance(error, StoreError):
        # The database's own words name its host, its files and its role, and strangers may see them: the key is looked up there, too.
        logger.error("The database failed a request: %s", error)
        said = str(error) if isinstance(error, ConversationBusyError) else _AWAY
        return Refused(503, said, code="store_failed", retry_after_s=_BUSY_S)
    if isinstance(error, SwitchyardError):
        return Refused(503, str(error))
    logger.error("A request failed.", exc_info=error)
    return Refused(500, "Something went wrong on the server. It is in the server's log.", code="internal_error")


def body(refused: Refused) -> dict[str, Any]:
    """The JSON of an error."""
    kind = _KINDS.get(refused.status, "server_error" if refused.status >= 500 else "invalid_request_error")
    kind = "rate_limit_error" if refused.status == 429 else kind
    # A lone surrogate, which JSON may hold and UTF-8 may not, must not break the answer.
    message = str(refused).encode("utf-8", "replace").decode()
    return {"error": {"message": message, "type": kind, "param": refused.param, "code": refused.code}}


def answer(refused: Refused) -> Response:
    """The whole response."""
    headers = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else {}
    if refused.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(refused.retry_after_s)))
    return JSONResponse(body(refused), refused.status, headers)


def install(app: FastAPI) -> None:
    """Have the application answer every error in this form."""

    async def known(_request: Request, error: Exception) -> Response:
        return answer(refusal(error))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return answer(Refused(400, f"body: not JSON, at character {first['loc'][1] + 1}", param="body"))
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if first["loc"] == ("body",) and not re.fullmatch(r"application/(.*\+)?json", kind):
            return answer(Refused(400, "body: expected Content-Type: application/json", param="body"))
        where = ".".join(str(part) for part in first["loc"][1:])
        name = where.encode("utf-8", "replace").decode() or "body"
        return answer(Refused(400, f"{name}: {first['msg'].removeprefix('Value error, ')}", param=name))

    async def http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        refused = answer(Refused(error.status_code, str(error.detail)))
        refused.headers.update(error.headers or {})
        return refused

    for kind, handler in ((Refused, known), (SwitchyardError, known), (Exception, known), (RequestValidationError, invalid)):
        app.add_exception_handler(kind, handler)
    app.add_exception_handler(HTTPException, http)
