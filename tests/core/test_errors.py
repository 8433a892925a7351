"""The exception tree is what its drawing says, and every error is one that can be shown."""

import re

import pytest

from core import errors
from core.errors import InputError, RateLimitedError, SwitchyardError, UnknownNameError


def drawn() -> dict[str, str | None]:
    """Class -> its parent in the drawing."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([│├└─ ]*)([A-Z]\w+(?:Error|Fault))\b\s{2,}\S", line)
        if match:
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            parents[match[2]] = path[depth - 1] if depth else None
    return parents


def real() -> dict[str, str | None]:
    found = {c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, SwitchyardError)}
    return {c.__name__: None if c is SwitchyardError else c.__mro__[1].__name__ for c in found}


def test_the_drawing_is_the_tree():
    assert drawn() == real()
    assert real()["UnknownNameError"] == "InputError"


@pytest.mark.parametrize("name", sorted(real()))
def test_every_error_says_what_it_is_for(name):
    own = vars(errors)[name].__dict__["__doc__"]
    assert own and own.strip().endswith("."), f"{name} has no docstring of its own"


@pytest.mark.parametrize("name", sorted(real()))
def test_only_bad_input_exits_with_two(name):
    assert getattr(errors, name).exit_status == (2 if issubclass(getattr(errors, name), InputError) else 1)


def test_retryable_are_those_that_may_succeed_later():
    retryable = {name for name in real() if getattr(getattr(errors, name), "retryable", False)}
    assert retryable == {"ModelTimeoutError", "ModelUnavailableError", "RateLimitedError", "TruncatedAnswerError", "GarbledAnswerError"}


def test_an_unknown_name_lists_the_known_ones():
    assert str(UnknownNameError("expert", "tee", ["bees", "tea"])) == "No expert is called 'tee'. Known: bees, tea."
    assert str(UnknownNameError("router", "x", [])) == "No router is called 'x'. Known: none yet."


def test_the_wait_of_a_rate_limit_is_kept():
    assert RateLimitedError("Too many requests.", retry_after_s=2.5).retry_after_s == 2.5
