"""What a screen says of a symbol at the close of each of its bars."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.kernel.bars import BarArrays
from pitboss.screening.document import DERIVED
from pitboss.screening.program import Graded, Screen
from pitboss.strategy.evaluate import NO_MODELS, ArrayCache, Forecaster, Scope

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
BOOL = npt.NDArray[np.bool_]
INSUFFICIENT = "insufficient"
CACHE_BYTES = 8 << 20  # of one symbol


def judge(
    screen: Screen, bars: Mapping[str, BarArrays], symbol: str, models: Mapping[str, Forecaster] = NO_MODELS
) -> Judged:  # fmt: skip
    """Answer what a screen says of a symbol at the close of each bar; `bars` hold those that it looks at too, `models`
    those that it asks."""
    cache = ArrayCache(CACHE_BYTES)
    scope = Scope(bars, symbol, screen.document.timeframe, cache, plans=screen.plans, models=models)
    return Judged(screen, scope)


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
        if criterion.when is not None:  # then they are a constant
            return np.where(self._scope.evaluate(criterion.when), criterion.most, 0.0)
        points = np.asarray(self._scope.evaluate(criterion.points), np.float64)
        return np.clip(np.nan_to_num(points, nan=0.0), criterion.least, criterion.most)

    @property
    def named(self) -> Mapping[str, npt.NDArray[Any]]:
        """The document's indicators that are computed once for each symbol, by name."""
        return {name: self._scope.named[name] for name in self.screen.named}

    @cached_property
    def measures(self) -> dict[str, F64]:
        """Each metric that is a number, and the stop: NaN where there is none."""
        found = {
            name: np.asarray(self._scope.evaluate(node), np.float64) for name, node in self.screen.measures.items()
        }
        if "stop" in found:  # one that is not below the close would be hit at once
            found["stop"] = np.where(found["stop"] < self._scope.bars.close, found["stop"], np.nan)
        return found

    def words(self, here: I64) -> dict[str, npt.NDArray[np.object_]]:
        """Answer the class, the risk and each metric that is a word, at some of the bars: that of the first condition
        that holds, else empty."""
        found = {}
        for name, labels in self._labels.items():
            words = np.full(len(here), "", dtype=object)
            for word, holds in reversed(labels):
                words[holds[here] if holds is not None else slice(None)] = word
            found[name] = words
        if "class" in found:
            found["class"][~self.is_known[here]] = INSUFFICIENT
        return found

    @cached_property
    def _labels(self) -> dict[str, list[tuple[str, BOOL | None]]]:
        return {
            name: [(word, self._scope.evaluate(when) if when is not None else None) for word, when in labels]
            for name, labels in self.screen.labels.items()
        }

    def row(self, at: int) -> dict[str, Any]:
        """Answer what is said at the close of a bar: score, base, passed, class, reasons and metrics."""
        words = {name: values[0] for name, values in self.words(np.array([at])).items()}
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
