"""A document made runnable: its parameters put in, and every expression bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pitboss.core.errors import InvalidInput
from pitboss.strategy.binding import bind, fold
from pitboss.strategy.document import Document
from pitboss.strategy.expression import Node, Number


@dataclass(frozen=True, slots=True)
class Program:
    """A document with one set of parameter values; immutable, safe to share between threads."""

    entry: Mapping[str, Node]
    exit: Mapping[str, Node]
    levels: Mapping[str, Node]
    max_bars: int


def compile_document(document: Document, parameters: Mapping[str, Any] | None = None) -> Program:
    """Put `parameters` into `document`. Raises InvalidInput for what does not fit."""
    values = document.check(parameters)

    def bound(expressions: Mapping[str, Node]) -> dict[str, Node]:
        return {key: bind(node, values, document.indicators) for key, node in expressions.items()}

    levels = bound(document.levels)
    for name, node in levels.items():
        if isinstance(node, Number) and not node.value > 0:
            raise InvalidInput(f"risk.{name} is {node.value:g}", "a distance is greater than 0", f"risk.{name}")
    max_bars = 0
    if document.max_bars is not None:
        folded = fold(document.max_bars, values)
        max_bars = int(folded.value) if isinstance(folded, Number) else 0
        if max_bars < 1:
            raise InvalidInput("risk.max_bars is less than 1", "write 1 or more, or leave it out", "risk.max_bars")
    return Program(bound(document.entry), bound(document.exit), levels, max_bars)
