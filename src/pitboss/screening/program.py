"""A screen document with its parameters put in: light to make, as whoever checks a request needs it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pitboss.core.errors import InvalidInput
from pitboss.screening.document import Criterion, ScreenDocument
from pitboss.screening.reader import constant_of
from pitboss.strategy.binding import bind
from pitboss.strategy.document import remember
from pitboss.strategy.expression import Node, Number
from pitboss.strategy.valuetype import ValueType

if TYPE_CHECKING:
    from pitboss.strategy.evaluate import Plan


@dataclass(frozen=True, slots=True)
class Graded:
    """A criterion with its numbers put in."""

    name: str
    points: Node
    when: Node | None
    least: float
    most: float


@dataclass(frozen=True, kw_only=True)
class Screen:
    """A screen document with one set of parameter values; immutable, safe to share between threads."""

    document: ScreenDocument
    values: Mapping[str, Number]
    named: Mapping[str, Node]  # indicators that are computed once for each symbol, each after those that it names
    least_bars: int
    filters: Mapping[str, Node]
    criteria: tuple[Graded, ...]
    overlay: tuple[Graded, ...]
    pass_mark: float
    lowest: float
    highest: float
    labels: Mapping[str, tuple[tuple[str, Node | None], ...]]
    measures: Mapping[str, Node]
    plans: dict[int, Plan] = field(default_factory=dict, compare=False, repr=False)  # of its nodes, as it is evaluated


def compile_screen(document: ScreenDocument, parameters: Mapping[str, Any] | None = None) -> Screen:
    """Put `parameters` (numbers, or true and false as 1 and 0) into `document`. Raises InvalidInput for what does not
    fit."""
    given = {name: int(value) if isinstance(value, bool) else value for name, value in (parameters or {}).items()}
    values = document.check(given)
    kept = _kept(document, values)

    def bound(node: Node) -> Node:
        return bind(node, values, document.indicators, kept)

    def graded(criterion: Criterion) -> Graded:
        most = constant_of(criterion.most or criterion.points, values)
        least = constant_of(criterion.least, values) if criterion.least is not None else min(0.0, most)
        when = bound(criterion.when) if criterion.when is not None else None
        return Graded(criterion.name, bound(criterion.points), when, least, most)

    def number(node: Node | None, otherwise: float) -> float:
        return otherwise if node is None else constant_of(node, values)

    criteria = tuple(map(graded, document.criteria))
    mark = number(document.pass_mark, -math.inf)
    most = sum(each.most for each in criteria)
    if document.pass_mark is not None and mark > most:
        what = f"the pass mark is {mark:g}, and the criteria give {most:g} points at most"
        raise InvalidInput(what, "lower it, or give more points", "pass_mark")
    return Screen(
        document=document, values=values,
        named={name: bound(document.indicators[name]) for name in kept},
        least_bars=int(number(document.least_bars, 1)),
        filters={each.name: bound(each.keep) for each in document.filters},
        criteria=criteria, overlay=tuple(map(graded, document.overlay)),
        pass_mark=mark,
        lowest=number(document.lowest, -math.inf), highest=number(document.highest, math.inf),
        labels={
            name: tuple((label.word, None if label.when is None else bound(label.when)) for label in labels)
            for name, labels in document.labels.items()
        },
        measures={name: bound(node) for name, node in document.measures.items()},
    )  # fmt: skip


def _kept(document: ScreenDocument, values: Mapping[str, Number]) -> list[str]:
    """Answer the indicators that are series or conditions, in their order."""
    checker = document.checker(values)
    for where, node, _ in document.expressions():
        if where.startswith("indicators."):
            remember(checker, where, node, checker.kind(node))
    return [name for name in document.indicators if checker.kinds[name] in (ValueType.SERIES, ValueType.CONDITION)]
