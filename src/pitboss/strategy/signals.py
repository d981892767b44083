"""Signals and levels of a program as arrays, over a whole series or bar by bar."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pitboss.core.timeframe import DAY_MICROS, Timeframe
from pitboss.kernel import series
from pitboss.kernel.account import LEAVE, NO_ENTRY
from pitboss.kernel.bars import BarArrays
from pitboss.kernel.dates import MINUTE
from pitboss.strategy.evaluate import ArrayCache, Scope
from pitboss.strategy.expression import Node
from pitboss.strategy.program import Program
from pitboss.strategy.times import UTC_DAYS, Times

U8 = npt.NDArray[np.uint8]
BOOL = npt.NDArray[np.bool_]
I64 = npt.NDArray[np.int64]


def signals_of(program: Program, scope: Scope) -> U8:
    """Answer one byte a bar: bit 0 long entry, 1 short entry, 2 long exit, 3 short exit; 4 where no entry may fill,
    5 at the first bar after the time at which positions are left."""
    conditions = [side.get(which) for side in (program.entry, program.exit) for which in ("long", "short")]
    # one side's exit is often the other's entry
    computed: dict[Node | None, npt.NDArray[np.bool_]] = {
        node: np.ascontiguousarray(scope.evaluate(node), np.bool_) for node in set(conditions) if node
    }
    computed[None] = np.zeros(len(scope.bars.ts), dtype=np.bool_)
    signals = series.pack_signals(*(computed[node] for node in conditions))
    if program.windows:
        signals |= np.where(_is_outside(scope.wall, program.windows), np.uint8(NO_ENTRY), np.uint8(0))
    if program.exit_at is not None:
        is_after, leaves = _after(scope.wall, scope.days, program.exit_at)
        signals |= np.where(is_after, np.uint8(NO_ENTRY), np.uint8(0)) | np.where(leaves, np.uint8(LEAVE), np.uint8(0))
    return signals


def _is_outside(wall: I64, windows: tuple[tuple[int, int], ...]) -> npt.NDArray[np.bool_]:
    minute = wall % DAY_MICROS // MINUTE
    inside = np.zeros(len(wall), np.bool_)
    for first, last in windows:
        after, before = minute >= first, minute < last
        inside |= after & before if first < last else after | before
    return ~inside


def _after(wall: I64, days: I64, minute: int) -> tuple[BOOL, BOOL]:
    """Answer which bars begin at or after a time of their day, and at which positions are left: the first of those, or
    where a day has none the next day's first bar."""
    is_after = wall >= days + minute * MINUTE
    is_first = np.diff(days, prepend=days[:1]) != 0
    was_after = np.concatenate((is_after[:1], is_after[:-1]))
    return is_after, (is_after & (is_first | ~was_after)) | (is_first & ~was_after)


class Stepper:
    """Evaluates a program bar by bar, as a live session does: the same signals as over the whole series.

    Each step computes the whole history it has seen; a session of some thousand bars does that in
    microseconds a bar, and what is computed cannot differ from a backtest.
    """

    def __init__(self, program: Program, symbol: str, timeframe: Timeframe, times: Times = UTC_DAYS) -> None:
        self.program = program
        self.symbol = symbol
        self.timeframe = timeframe
        self.times = times
        self._history: dict[str, BarArrays] = {}

    def push(self, symbol: str, bars: BarArrays) -> None:
        """Append one or more completed bars of `symbol`."""
        known = self._history.get(symbol)
        joined = bars if known is None else BarArrays(*map(np.concatenate, zip(known, bars, strict=True)))  # type: ignore[arg-type]
        self._history[symbol] = joined

    def signal(self) -> int:
        """Answer the signal byte of the last bar of the traded symbol."""
        scope = Scope(self._history, self.symbol, self.timeframe, ArrayCache(), self.times)
        return int(signals_of(self.program, scope)[-1])
