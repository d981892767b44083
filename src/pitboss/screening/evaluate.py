"""A screen made runnable, and what it says of a symbol at the close of each of its bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.kernel.bars import BarArrays
from pitboss.screening.document import DERIVED, Criterion, ScreenDocument
from pitboss.screening.reader import constant_of
from pitboss.strategy.binding import bind
from pitboss.strategy.document import remember
from pitboss.strategy.evaluate import ArrayCache, Scope
from pitboss.strategy.expression import Node, Number
from pitboss.strategy.valuetype import ValueType

F64 = npt.NDArray[np.float64]
BOOL = npt.NDArray[np.bool_]
INSUFFICIENT = "insufficient"
CACHE_BYTES = 8 << 20  # of one symbol


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

    def judge(self, bars: Mapping[str, BarArrays], symbol: str) -> Judged:
        """Answer what the screen says of a symbol at the close of each bar; `bars` hold those that it looks at too."""
        scope = Scope(bars, symbol, self.document.timeframe, ArrayCache(CACHE_BYTES))
        return Judged(self, scope)


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

    return Screen(
        document=document, values=values,
        named={name: bound(document.indicators[name]) for name in kept},
        least_bars=int(number(document.least_bars, 1)),
        filters={each.name: bound(each.keep) for each in document.filters},
        criteria=tuple(map(graded, document.criteria)), overlay=tuple(map(graded, document.overlay)),
        pass_mark=number(document.pass_mark, -np.inf),
        lowest=number(document.lowest, -np.inf), highest=number(document.highest, np.inf),
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


class Judged:
    """What a screen says of one symbol: arrays with an element for each bar, computed when they are asked for."""

    def __init__(self, screen: Screen, scope: Scope) -> None:
        self.screen = screen
        self.ts = scope.bars.ts
        self._scope = scope
        for name, node in screen.named.items():
            scope.named[name] = scope.evaluate(node)
        self.points = {each.name: self._points(each) for each in screen.criteria}
        self.extra = {each.name: self._points(each) for each in screen.overlay}
        self.kept = {name: scope.evaluate(node) for name, node in screen.filters.items()}
        nothing = np.zeros(len(self.ts))
        self.base: F64 = sum(self.points.values(), nothing)
        self.score: F64 = np.clip(sum(self.extra.values(), self.base), screen.lowest, screen.highest)
        self.is_known: BOOL = np.arange(1, len(self.ts) + 1) >= screen.least_bars
        passed = self.is_known & (self.base >= screen.pass_mark)
        self.passed: BOOL = np.logical_and.reduce([passed, *self.kept.values()])
        scope.named |= {name: getattr(self, name) for name in DERIVED}

    def _points(self, criterion: Graded) -> F64:
        """Answer the points of a criterion; none where something that it compares is not a number."""
        points = np.asarray(self._scope.evaluate(criterion.points), np.float64)
        if criterion.when is not None:
            return np.where(self._scope.evaluate(criterion.when), points, 0.0)
        return np.clip(np.nan_to_num(points, nan=0.0), criterion.least, criterion.most)

    @cached_property
    def measures(self) -> dict[str, F64]:
        """Each metric that is a number, and the stop: NaN where there is none."""
        found = {
            name: np.asarray(self._scope.evaluate(node), np.float64) for name, node in self.screen.measures.items()
        }
        if "stop" in found:  # one that is not below the close would be hit at once
            found["stop"] = np.where(found["stop"] < self._scope.bars.close, found["stop"], np.nan)
        return found

    @cached_property
    def labels(self) -> dict[str, npt.NDArray[np.object_]]:
        """The class, the risk and each metric that is a word: that of the first condition that holds, else empty."""
        found = {}
        for name, labels in self.screen.labels.items():
            words = np.full(len(self.ts), "", dtype=object)
            for word, when in reversed(labels):
                words[self._scope.evaluate(when) if when is not None else slice(None)] = word
            found[name] = words
        if "class" in found:
            found["class"][~self.is_known] = INSUFFICIENT
        return found

    def row(self, at: int) -> dict[str, Any]:
        """Answer what is said at the close of a bar: score, base, passed, class, reasons and metrics."""
        words = {name: values[at] for name, values in self.labels.items()}
        numbers = {name: float(values[at]) for name, values in self.measures.items()}
        metrics: dict[str, Any] = {name: value for name, value in numbers.items() if np.isfinite(value)}
        return {
            "score": float(self.score[at]), "base": float(self.base[at]), "passed": bool(self.passed[at]),
            "class": words.pop("class", ""), "reasons": self.reasons(at), "metrics": metrics | words,
        }  # fmt: skip

    def reasons(self, at: int) -> list[str]:
        """Answer why a symbol passed or did not: too few bars, filters that reject it, then each criterion's points."""
        if not self.is_known[at]:
            return [f"{at + 1} bars: {self.screen.least_bars} are needed"]
        rejected = [each.reason for each in self.screen.document.filters if not self.kept[each.name][at]]
        given = [(name, values[at]) for name, values in (*self.points.items(), *self.extra.items())]
        return rejected + [f"{name} {points:+g}" for name, points in given if points]
