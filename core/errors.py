"""Every error that a user may see.

SwitchyardError                    anything known; exit status 1
├── InputError                     bad usage or bad input; exit status 2
│   └── UnknownNameError           an expert, router or model that does not exist
├── DocumentError                  a document or data file that cannot be read
├── IndexFault                     an index that is missing, foreign or cannot be written
├── StoreError                     the database cannot be used
│   └── ConversationBusyError      another question of the conversation is still being answered
└── ModelError                     a chat model did not answer
    ├── MissingKeyError            the provider's key is not set
    ├── ModelTimeoutError          the total deadline passed, or the provider timed out
    ├── ModelUnavailableError      refused connection, 5xx, overload
    ├── RateLimitedError           429; carries the wait that the provider asked for
    ├── AuthenticationFailedError  401, 403
    ├── RejectedRequestError       4xx: wrong model name, prompt too long, bad arguments
    ├── TruncatedAnswerError       the stream broke or ended without a finish reason
    ├── BlockedAnswerError         the provider's safety filter withheld the answer
    └── GarbledAnswerError         the provider answered something that is no answer

A message says in one line what was expected, what came, and what to do next. It never holds a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.types import ModelUse


class SwitchyardError(Exception):
    """Base of every known error. `str(error)` is one readable line."""

    exit_status = 1


class InputError(SwitchyardError):
    """The question, a file or an argument cannot be used."""

    exit_status = 2


class UnknownNameError(InputError):
    """A name that nothing answers to."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        known_names = ", ".join(known) if known else "none yet"
        super().__init__(f"No {kind} is called {name!r}. Known: {known_names}.")


class DocumentError(SwitchyardError):
    """A document or data file that cannot be read."""


class IndexFault(SwitchyardError):  # noqa: N818  # IndexError is a word of Python's
    """An index that is missing, foreign or cannot be written."""


class StoreError(SwitchyardError):
    """The database cannot be used."""


class ConversationBusyError(StoreError):
    """Another question of the same conversation is still being answered."""


class ModelError(SwitchyardError):
    """A chat model did not answer. `retryable` says whether the same call may succeed later.

    spent: what the call took, where the model had begun to answer.
    """

    retryable = False
    spent: ModelUse | None = None

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class MissingKeyError(ModelError):
    """The provider's key is not set."""


class ModelTimeoutError(ModelError):
    """The total deadline passed, or the provider timed out."""

    retryable = True


class ModelUnavailableError(ModelError):
    """The provider could not be reached or is overloaded."""

    retryable = True


class RateLimitedError(ModelError):
    """Too many requests."""

    retryable = True


class AuthenticationFailedError(ModelError):
    """The key was refused."""


class RejectedRequestError(ModelError):
    """The provider refused this request for good."""


class TruncatedAnswerError(ModelError):
    """The answer broke off."""

    retryable = True


class BlockedAnswerError(ModelError):
    """A safety filter withheld the answer."""


class GarbledAnswerError(ModelError):
    """What came back is no answer."""

    retryable = True
