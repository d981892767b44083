"""Recursive indicators, `trend: {start: …, next: …}`: what `next` may make of its own past."""

from __future__ import annotations

from collections.abc import Iterator

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

OF_PAST = ("where", "greater", "lesser", "abs")  # the functions that may look at it


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
    if isinstance(node, Call) and node.name not in OF_PAST and has_past(node):
        yield ExpressionError(f"{node.name} cannot look at an indicator that is in the making", remedy, node.at)
        return
    for child in node.children():
        yield from _faults_of(child, name)


def has_past(node: Node) -> bool:
    """Answer whether an expression looks at the past that is in the making; another indicator's is its own."""
    if isinstance(node, Recursive):
        return False
    return isinstance(node, Past) or any(has_past(child) for child in node.children())
