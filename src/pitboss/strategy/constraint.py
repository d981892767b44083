"""Expressions over named numbers alone, without bars: a constraint on parameters, `where: fast < slow`, and a score."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.core.errors import suggest
from pitboss.strategy.expression import Binary, ExpressionError, Name, Node, Number, Unary

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "and": np.logical_and, "or": np.logical_or, "<": np.less, "<=": np.less_equal, ">": np.greater,
    ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal, "+": np.add, "-": np.subtract, "*": np.multiply,
    "/": np.divide,
}  # fmt: skip
_CONDITIONS = ("and", "or", "not")
_ARITHMETIC = ("+", "-", "*", "/")


def faults_of(node: Node, parameters: Mapping[str, Any]) -> Iterator[ExpressionError]:
    """Yield what keeps an expression from being a constraint on `parameters`."""
    if not _is_condition(node):
        yield ExpressionError("a constraint is a condition", "write fast < slow", node.at)
    yield from _faults_within(node, parameters)


def number_faults_of(node: Node, names: Collection[str]) -> Iterator[ExpressionError]:
    """Yield what keeps an expression from being a number made of those that are named."""
    if _is_condition(node):
        yield ExpressionError("a condition is no number", "write sharpe * trade_count", node.at)
    yield from _faults_within(node, names)


def _faults_within(node: Node, names: Collection[str]) -> Iterator[ExpressionError]:
    match node:
        case Number():
            return
        case Name():
            if node.name not in names:
                what = f"'{node.name}' is not known here"
                yield ExpressionError(what, suggest(node.name, names), node.at, len(node.name))
        case Unary() | Binary():
            wants_conditions = node.op in _CONDITIONS
            for child in node.children():
                if _is_condition(child) != wants_conditions:
                    kind = "conditions" if wants_conditions else "numbers"
                    yield ExpressionError(f"'{node.op}' needs {kind}", "write fast < slow and slow < 100", child.at)
                yield from _faults_within(child, names)
        case _:
            yield ExpressionError("only names and numbers can stand here", "write fast < slow", node.at)


def _is_condition(node: Node) -> bool:
    return isinstance(node, Unary | Binary) and node.op not in _ARITHMETIC


def holds(node: Node, values: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """Answer where a constraint without faults holds; `values` are numbers or arrays that fit together."""
    with np.errstate(all="ignore"):
        return np.asarray(value_of(node, values), dtype=np.bool_)


def value_of(node: Node, values: Mapping[str, Any]) -> Any:
    """Answer what an expression without faults comes to."""
    match node:
        case Number():
            return node.value
        case Name():
            return values[node.name]
        case Unary():
            operand = value_of(node.operand, values)
            return np.logical_not(operand) if node.op == "not" else np.negative(operand)
        case Binary():
            return _OPERATORS[node.op](value_of(node.left, values), value_of(node.right, values))
    raise AssertionError(node)
