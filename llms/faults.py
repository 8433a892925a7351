"""Whatever the providers' libraries raise, as one of core.errors: one readable line, and never a key in it.

Nothing of these libraries is imported: an error is known by its HTTP status or by the names of its classes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic import SecretStr

from core.errors import (
    AuthenticationFailedError,
    GarbledAnswerError,
    ModelError,
    ModelTimeoutError,
    ModelUnavailableError,
    RateLimitedError,
    RejectedRequestError,
    TruncatedAnswerError,
)
from core.settings import PROVIDER_KEYS

_LONGEST = 300
"""Characters of the provider's own words."""
_LOOKS_LIKE_KEY = re.compile(r"sk-[\w*.\-]{6,}|AIza[\w*.\-]{6,}|(?<=Bearer )[\w*.\-]{6,}|(?<=[?&]key=)[\w*.\-]+")
_OTHER_MODEL = "or choose another model"

_BY_NAME: dict[str, type[ModelError]] = {
    # httpx and httpx2
    "TimeoutException": ModelTimeoutError,
    "DecodingError": GarbledAnswerError,
    "TransportError": ModelUnavailableError,
    # openai (also behind DeepSeek)
    "APITimeoutError": ModelTimeoutError,
    "APIConnectionError": ModelUnavailableError,
    "APIResponseValidationError": GarbledAnswerError,
    # google.genai
    "UnknownApiResponseError": GarbledAnswerError,
    # langchain_core, where a provider's error carries no status
    "ContextOverflowError": RejectedRequestError,
    "ModelTimeoutError": ModelTimeoutError,
    "ModelConnectionError": ModelUnavailableError,
    # an error sent in the middle of a stream; below the more exact ones in every class's ancestry
    "APIError": ModelUnavailableError,
    # Python and torch
    "JSONDecodeError": GarbledAnswerError,
    "UnicodeDecodeError": GarbledAnswerError,
    "TimeoutError": ModelTimeoutError,
    "ConnectionError": ModelUnavailableError,
    "OutOfMemoryError": ModelUnavailableError,
    "MemoryError": ModelUnavailableError,
}
_BROKEN_OFF = {"RemoteProtocolError", "ReadError"}
"""httpx's names for a connection that ended too early; openai hides them behind its APIConnectionError."""
_NO_ANSWER_AT_ALL = (ValueError, TypeError, LookupError, AttributeError)
"""What the libraries raise when a hosted server's body has another shape than they expect (pydantic's error is a ValueError)."""

_WHAT: dict[type[ModelError], tuple[str, str]] = {
    AuthenticationFailedError: ("refused the key", "Check {key} in .env, " + _OTHER_MODEL),
    RateLimitedError: ("had too many requests", "Ask again later, " + _OTHER_MODEL),
    ModelTimeoutError: ("took too long", "Ask again, " + _OTHER_MODEL),
    ModelUnavailableError: ("is not available", "Check the connection and the base URL, ask again later, " + _OTHER_MODEL),
    RejectedRequestError: ("refused the request", "Check the model's name, the question's length and your credit, " + _OTHER_MODEL),
    TruncatedAnswerError: ("broke off its answer", "Ask again, " + _OTHER_MODEL),
    GarbledAnswerError: ("sent something that is no answer", "Check the base URL, ask again, " + _OTHER_MODEL),
}


def as_model_error(error: BaseException, spec: str, keys: Collection[SecretStr] = ()) -> ModelError:
    """The ModelError for what `spec`'s library raised; a ModelError of ours is returned as it is.

    The message is one line that names `spec`, says what to do and holds neither one of `keys` nor anything that looks like a key.
    retry_after_s is the Retry-After header's, in seconds, at least 0. Raises `error` itself when it is a bug and no model's fault.
    """
    if isinstance(error, ModelError):
        return error
    status, headers = _response(error)
    kind = _by_status(status, error) if status else _by_class(error, spec)
    if kind is None:
        raise error
    what, to_do = _WHAT[kind]
    said = _redact(_words(error), keys)
    where = f"{what} ({status})" if status else what
    advice = to_do.format(key=PROVIDER_KEYS.get(spec.partition(":")[0], "the key"))
    return kind(f"{spec} {where}: {said}. {advice}.", retry_after_s=_retry_after(headers.get("retry-after")))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what the libraries raised it from."""
    e: BaseException | None = error
    while e is not None:
        yield e
        e = e.__cause__


def _response(error: BaseException) -> tuple[int | None, Mapping[str, str]]:
    """HTTP status and headers. langchain-google-genai keeps them on the cause only."""
    for e in _chain(error):
        status = getattr(e, "status_code", None) or getattr(e, "code", None)
        if isinstance(status, int) and status >= 400:
            return status, getattr(getattr(e, "response", None), "headers", None) or {}
    return None, {}


def _by_status(status: int, error: BaseException) -> type[ModelError]:
    text = str(error)
    # Gemini refuses a wrong key with 400; OpenAI says 429 when the account is empty, which no waiting mends.
    if status in (401, 403) or "API_KEY_INVALID" in text or "API key not valid" in text:
        return AuthenticationFailedError
    if status in (408, 504):
        return ModelTimeoutError
    if status == 429 and getattr(error, "code", None) != "insufficient_quota":
        return RateLimitedError
    return ModelUnavailableError if status >= 500 or status in (409, 425) else RejectedRequestError


def _by_class(error: BaseException, spec: str) -> type[ModelError] | None:
    if any(type(e).__name__ in _BROKEN_OFF for e in _chain(error)):
        return TruncatedAnswerError
    for ancestor in type(error).__mro__:
        if ancestor.__name__ in _BY_NAME:
            return _BY_NAME[ancestor.__name__]
    if isinstance(error, _NO_ANSWER_AT_ALL) and spec.partition(":")[0] in PROVIDER_KEYS:
        return GarbledAnswerError
    return None


def _words(error: BaseException) -> str:
    """The provider's own message where there is one, since str() of these errors is a printed dictionary."""
    for e in _chain(error):
        body: Any = getattr(e, "body", None)
        if isinstance(body, dict) and isinstance(body.get("message"), str):
            return str(body["message"])
        if isinstance(message := getattr(e, "message", None), str) and message:
            return message
    return str(error) or type(error).__name__


def _redact(text: str, keys: Collection[SecretStr]) -> str:
    for key in keys:
        if secret := key.get_secret_value():
            text = text.replace(secret, "[key]")
    # Cut only now: a key that is cut in two would no longer be found.
    line = " ".join(_LOOKS_LIKE_KEY.sub("[key]", text).split()).rstrip(".")
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"


def _retry_after(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
