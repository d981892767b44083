"""A document made runnable: parameters put in, signals and levels as arrays, over a whole series or bar by bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import Timeframe
from pitboss.kernel import series
from pitboss.kernel.bars import BarArrays
from pitboss.kernel.simulate import LEVEL_DISTANCE, LEVEL_FRACTION, LEVEL_NONE
from pitboss.strategy.binding import bind, fold
from pitboss.strategy.document import Document
from pitboss.strategy.evaluate import ArrayCache, Scope
from pitboss.strategy.expression import Node, Number

U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Program:
    """A document with one set of parameter values; immutable, safe to share between threads."""

    entry: Mapping[str, Node]
    exit: Mapping[str, Node]
    levels: Mapping[str, Node]
    max_bars: int

    def signals(self, scope: Scope) -> U8:
        """Answer one byte a bar: bit 0 long entry, 1 short entry, 2 long exit, 3 short exit."""
        conditions = [side.get(which) for side in (self.entry, self.exit) for which in ("long", "short")]
        # one side's exit is often the other's entry
        computed: dict[Node | None, npt.NDArray[np.bool_]] = {
            node: np.ascontiguousarray(scope.evaluate(node), np.bool_) for node in set(conditions) if node
        }
        computed[None] = np.zeros(len(scope.bars.ts), dtype=np.bool_)
        return series.pack_signals(*(computed[node] for node in conditions))

    def level(self, name: str, scope: Scope) -> tuple[int, npt.NDArray[np.float64]]:
        """Answer a level's kind and its distances, one a bar; a per cent value has one element in all."""
        node = self.levels.get(name)
        if node is None:
            return LEVEL_NONE, np.zeros(1)
        if isinstance(node, Number) and node.is_percent:
            return LEVEL_FRACTION, np.array([node.value])
        return LEVEL_DISTANCE, np.ascontiguousarray(scope.evaluate(node), dtype=np.float64)


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


class Stepper:
    """Evaluates a program bar by bar, as a live session does: the same signals as over the whole series.

    Each step computes the whole history it has seen; a session of some thousand bars does that in
    microseconds a bar, and what is computed cannot differ from a backtest.
    """

    def __init__(self, program: Program, symbol: str, timeframe: Timeframe) -> None:
        self.program = program
        self.symbol = symbol
        self.timeframe = timeframe
        self._history: dict[str, BarArrays] = {}

    def push(self, symbol: str, bars: BarArrays) -> None:
        """Append one or more completed bars of `symbol`."""
        known = self._history.get(symbol)
        joined = bars if known is None else BarArrays(*map(np.concatenate, zip(known, bars, strict=True)))  # type: ignore[arg-type]
        self._history[symbol] = joined

    def signal(self) -> int:
        """Answer the signal byte of the last bar of the traded symbol."""
        scope = Scope(self._history, self.symbol, self.timeframe, ArrayCache())
        return int(self.program.signals(scope)[-1])
