"""The calculations of a text: every "a op b = c" in it, read tolerantly and worked out again."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

MOST_TOKENS = 60
"""A longer expression is no step of a calculation; it also bounds how deeply one can nest."""
MOST = 200
"""Numbers, and calculations, that are read of a text: whoever compares them all with each other must come to an end."""
_TOLERANCE = 5e-3
_ASIDE = re.compile(r"\([^()\d]*\)")
_TOKEN = re.compile(
    r"(?P<number>\d[\d,]*(?:\.\d+)?|\.\d+)(?P<percent>\s?%)?|(?P<word>[^\W\d_]+)|(?P<sign>[-+*/×÷−–()=≈])|(?P<stop>[.;:!?\n])"
)
_SIGNS = {"×": "*", "x": "*", "of": "*", "÷": "/", "−": "-", "–": "-", "≈": "="}
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Calculation:
    """`operands`: the numbers on the left; `value`: what they come to; `stated`: what the text says they come to."""

    operands: tuple[float, ...]
    value: float
    stated: float

    @property
    def holds(self) -> bool:
        """Whether the text is right, within half a percent and the rounding of halves."""
        return math.isclose(self.value, self.stated, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def numbers(text: str) -> list[float]:
    """The numbers that are written in digits, in order, finite; a percentage as its share."""
    found = (_number(m) for m in _TOKEN.finditer(text) if m["number"])
    return list(islice(filter(math.isfinite, found), MOST))


def calculations(text: str) -> list[Calculation]:
    """Every statement that an expression has a value; words between the numbers are units and ignored. Chains (a = b = c) give several."""
    return list(islice(_stated(_ASIDE.sub(" ", text.replace("<<", " ").replace(">>", "\n").replace("\\", ""))), MOST))


def _stated(text: str) -> Iterator[Calculation]:
    for run in _runs(text):
        sides = [list(_pieces(side)) for side in _split(run, "=")]
        for left, right in pairwise(sides):
            if left and right and len(left[-1]) > 1:
                value, stated = _value(left[-1]), _value(right[0])
                if value is not None and stated is not None:
                    yield Calculation(tuple(float(t) for t in left[-1] if t[0].isdigit()), value, stated)


def _runs(text: str) -> Iterator[list[str]]:
    """Tokens of each sentence: numbers, operators, brackets and equals signs."""
    run: list[str] = []
    tokens = list(_TOKEN.finditer(text))
    for n, token in enumerate(tokens):
        if token["stop"]:
            yield run
            run = []
        elif token["number"]:
            run.append(repr(_number(token)))
        elif sign := _sign(token, tokens[n + 1] if n + 1 < len(tokens) else None, run):
            run.append(sign)
    yield run


def _sign(token: re.Match[str], following: re.Match[str] | None, run: Sequence[str]) -> str:
    """The operator that a token is; none for a word, or for the stroke in "miles/hour"."""
    sign = _SIGNS.get(token[0].lower(), token["sign"] or "")
    between = bool(following and (following["number"] or following[0] in "(-−"))
    return sign if sign in ("=", "(", ")") or (between and run) else ""


def _split(tokens: Sequence[str], at: str) -> Iterator[list[str]]:
    part: list[str] = []
    for token in tokens:
        if token == at:
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _pieces(tokens: Sequence[str]) -> Iterator[list[str]]:
    """A side falls apart where two numbers follow each other: "2 of 3 eggs, 5 * 2" ends in "5 * 2"."""
    piece: list[str] = []
    for part in tokens:
        if piece and (part[0].isdigit() or part == "(") and (piece[-1][0].isdigit() or piece[-1] == ")"):
            yield piece
            piece = []
        piece.append(part)
    if piece:
        yield piece


def _value(tokens: Sequence[str]) -> float | None:
    """What an expression comes to; None when it is none."""
    if len(tokens) > MOST_TOKENS:
        return None
    try:
        value = _work_out(ast.parse(" ".join(tokens), mode="eval").body)
    except (SyntaxError, ArithmeticError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _work_out(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=float() | int() as value):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_work_out(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_work_out(left), _work_out(right))
    raise ValueError("no arithmetic")


def _number(token: re.Match[str]) -> float:
    return float(token["number"].replace(",", "")) / (100 if token["percent"] else 1)
