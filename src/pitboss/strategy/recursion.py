"""Recursive indicators, `trend: {start: …, next: …}`: what `next` may hold, and how it becomes a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.core.errors import InvalidInput
from pitboss.kernel import recursion as codes
from pitboss.strategy.document import LARGEST
from pitboss.strategy.expression import (
    Binary,
    Call,
    ExpressionError,
    Name,
    Node,
    Number,
    Offset,
    Past,
    Recursive,
    Unary,
)

F64 = npt.NDArray[np.float64]
_BINARY = {
    "+": codes.ADD, "-": codes.SUBTRACT, "*": codes.MULTIPLY, "/": codes.DIVIDE, "<": codes.LESS,
    "<=": codes.LESS_EQUAL, ">": codes.GREATER, ">=": codes.GREATER_EQUAL, "==": codes.EQUAL, "!=": codes.NOT_EQUAL,
    "and": codes.AND, "or": codes.OR,
}  # fmt: skip
_UNARY = {"not": codes.NOT, "-": codes.NEGATIVE}
_CALLS = {"where": codes.WHERE, "greater": codes.MAXIMUM, "lesser": codes.MINIMUM, "abs": codes.ABSOLUTE}


def recursive(name: str, start: Node, following: Node) -> Recursive:
    """Answer a recursive indicator. Raises ExpressionError where `following` makes something else of its past than
    numbers of the same bar."""
    made = _with_past(following, name)
    for fault in _faults_of(made, name):
        raise fault
    return Recursive(start.at, name, start, made)


def _with_past(node: Node, name: str) -> Node:
    """Answer `node` with the indicator's own `name[1]` told from all else."""
    match node:
        case Offset(base=Name(name=found), bars=Number(value=1.0)) if found == name:
            return Past(node.at, name)
        case Unary():
            return Unary(node.at, node.op, _with_past(node.operand, name))
        case Binary():
            return Binary(node.at, node.op, _with_past(node.left, name), _with_past(node.right, name))
        case Call():
            return Call(node.at, node.name, tuple(_with_past(each, name) for each in node.arguments), node.keywords)
    return node


def _faults_of(node: Node, name: str) -> Iterator[ExpressionError]:
    remedy = f"write {name}[1], and make of it sums, comparisons, where, greater, lesser and abs"
    if isinstance(node, Name) and node.name == name:
        yield ExpressionError(f"'{name}' knows its value a bar ago and no other", remedy, node.at, len(name))
    if isinstance(node, Call) and node.name not in _CALLS and _has_past(node):
        yield ExpressionError(f"{node.name} cannot look at an indicator that is in the making", remedy, node.at)
        return
    for child in node.children():
        yield from _faults_of(child, name)


def _has_past(node: Node) -> bool:
    """Answer whether an expression looks at the past that is in the making; another indicator's is its own."""
    if isinstance(node, Recursive):
        return False
    return isinstance(node, Past) or any(_has_past(child) for child in node.children())


def computed(node: Recursive, evaluate: Callable[[Node], npt.NDArray[Any]]) -> F64:
    """Answer a bound recursive indicator bar by bar; `evaluate` answers what of it does not depend on its past.

    Raises InvalidInput where it grows without bound.
    """
    inputs: list[F64] = []
    program = list(_postfix(node.following, lambda part: _input(inputs, evaluate(part))))
    start = np.ascontiguousarray(evaluate(node.start), dtype=np.float64)
    rows = np.ascontiguousarray(inputs) if inputs else np.empty((0, len(start)))
    kinds, operands = np.array([code for code, _ in program]), np.array([operand for _, operand in program])
    values, beyond = codes.recurred(start, rows, kinds, operands, LARGEST)
    if beyond >= 0:
        what = f"indicator '{node.name}' grows without bound: {values[beyond]:g} after {beyond + 1:,} bars"
        raise InvalidInput(what, "write 'next' so that it stays near what it starts from", f"indicators.{node.name}")
    return values


def _input(inputs: list[F64], values: npt.NDArray[Any]) -> float:
    inputs.append(np.ascontiguousarray(values, dtype=np.float64))
    return float(len(inputs) - 1)


def _postfix(node: Node, place_of: Callable[[Node], float]) -> Iterator[tuple[int, float]]:
    """Yield the program of an expression: a code and its operand each."""
    match node:
        case Past():
            yield codes.PAST, 0.0
            return
        case Number():
            yield codes.CONSTANT, node.value
            return
    if not _has_past(node):
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
