"""How recursive indicators are computed: `next` becomes a small program that is run once a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.core.errors import InvalidInput
from pitboss.kernel import recursion as codes
from pitboss.strategy.document import LARGEST
from pitboss.strategy.expression import Binary, Call, Node, Number, Past, Recursive, Unary
from pitboss.strategy.past import OF_PAST, has_past

F64 = npt.NDArray[np.float64]
_BINARY = {
    "+": codes.ADD, "-": codes.SUBTRACT, "*": codes.MULTIPLY, "/": codes.DIVIDE, "<": codes.LESS,
    "<=": codes.LESS_EQUAL, ">": codes.GREATER, ">=": codes.GREATER_EQUAL, "==": codes.EQUAL, "!=": codes.NOT_EQUAL,
    "and": codes.AND, "or": codes.OR,
}  # fmt: skip
_UNARY = {"not": codes.NOT, "-": codes.NEGATIVE}
_CALLS = dict(zip(OF_PAST, (codes.WHERE, codes.MAXIMUM, codes.MINIMUM, codes.ABSOLUTE), strict=True))


def computed(node: Recursive, evaluate: Callable[[Node], npt.NDArray[Any]]) -> F64:
    """Answer a bound recursive indicator bar by bar; `evaluate` answers what of it does not depend on its past.

    Where anything that it reads is NaN, so is it, and after that it starts again as if nothing had been before.
    Raises InvalidInput where it grows without bound.
    """
    inputs: list[F64] = []
    program = list(_postfix(node.following, lambda part: _input(inputs, evaluate(part))))
    start = np.ascontiguousarray(evaluate(node.start), dtype=np.float64)
    rows = np.ascontiguousarray(inputs) if inputs else np.empty((0, len(start)))
    kinds, operands = np.array([code for code, _ in program]), np.array([operand for _, operand in program])
    is_known = np.ones(len(start), np.bool_)
    for part in set(_read(node.following)):
        is_known &= ~np.isnan(evaluate(part))
    values, beyond = codes.recurred(start, is_known, rows, kinds, operands, LARGEST)
    if beyond >= 0:
        what = f"indicator '{node.name}' grows without bound: {values[beyond]:g} after {beyond + 1:,} bars"
        raise InvalidInput(what, "write 'next' so that it stays near what it starts from", f"indicators.{node.name}")
    return values


def _input(inputs: list[F64], values: npt.NDArray[Any]) -> float:
    inputs.append(np.ascontiguousarray(values, dtype=np.float64))
    return float(len(inputs) - 1)


def _read(node: Node) -> Iterator[Node]:
    """Yield the series that an expression reads, those that it only compares too."""
    match node:
        case Past() | Number():
            return
        case Call() if node.name not in OF_PAST:
            yield node
        case Unary() | Binary() | Call():
            for child in node.children():
                yield from _read(child)
        case _:
            yield node


def _postfix(node: Node, place_of: Callable[[Node], float]) -> Iterator[tuple[int, float]]:
    """Yield the program of an expression: a code and its operand each."""
    match node:
        case Past():
            yield codes.PAST, 0.0
            return
        case Number():
            yield codes.CONSTANT, node.value
            return
    if not has_past(node):
        yield codes.INPUT, place_of(node)
        return
    for child in node.children():
        yield from _postfix(child, place_of)
    match node:
        case Unary():
            yield _UNARY[node.op], 0.0
        case Binary():
            yield _BINARY[node.op], 0.0
        case Call():
            yield _CALLS[node.name], 0.0
        case _:
            raise AssertionError(node)
