"""What pydantic finds wrong with a file or a setting, in words for whoever wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

TOLD = 3
LONGEST = 60


def faults(error: ValidationError, *, values: bool = True) -> str:
    """The first three: `flavour is not known here; name is missing; passages should be less than or equal to 50; got 99`.

    What is not known comes first, since it may be the missing one misspelt. `values`: whether what came may be told; what may hold a key
    may not.
    """
    found = sorted(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    more = [f"{len(found) - TOLD} more"] if len(found) > TOLD else []
    return "; ".join([*(_fault(one, values) for one in found[:TOLD]), *more])


def _fault(one: Any, values: bool) -> str:
    where = ".".join(str(part) for part in one["loc"]) or "an entry"
    if one["type"] == "missing":
        return f"{where} is missing"
    if one["type"] == "extra_forbidden":
        return f"{where} is not known here"
    said = one["msg"].removeprefix("Value error, ")
    told = f"{where} {said.removeprefix('Input ')}" if said.startswith("Input ") else f"{where}: {said}"
    came = repr(one["input"])
    return f"{told}; got {came}" if values and len(came) <= LONGEST else told
