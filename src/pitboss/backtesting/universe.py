"""The bars of a backtest: each symbol's own, and all of them on one timeline for the fill loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.backtesting.membership import Members, held_to
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import DAY_MICROS, Timeframe, parse_timeframe
from pitboss.kernel.account import Bars
from pitboss.kernel.bars import BarArrays
from pitboss.kernel.series import day_ends
from pitboss.strategy.evaluate import ArrayCache, Forecaster, Scope
from pitboss.strategy.program import Program
from pitboss.strategy.signals import signals_of
from pitboss.strategy.times import UTC_DAYS, Times


@dataclass(frozen=True)
class Universe:
    """`symbols` are traded, in that order; `bars` may hold further symbols that the strategy looks at. `times` says
    whose days and clocks it follows. Where there are `members` a symbol is entered while it is one, and left after.
    `models` are those that expressions ask."""

    symbols: tuple[str, ...]
    bars: Mapping[str, BarArrays]
    timeframe: Timeframe
    times: Times = UTC_DAYS
    members: Members | None = None
    models: Mapping[str, Forecaster] = field(default_factory=dict)

    def __post_init__(self) -> None:
        empty = [symbol for symbol in self.symbols if not len(self.bars[symbol].ts)]
        if empty or not self.symbols:
            raise InvalidInput(f"there are no bars for {', '.join(empty) or 'any symbol'}", "widen the dates", "bars")

    @cached_property
    def timeline(self) -> npt.NDArray[np.int64]:
        """The opening times at which any traded symbol has a bar."""
        return reduce(np.union1d, (self.bars[symbol].ts for symbol in self.symbols))

    @cached_property
    def day_ends(self) -> npt.NDArray[np.int64]:
        return day_ends(self.timeline)

    @cached_property
    def places(self) -> list[npt.NDArray[np.int64] | None]:
        """For each symbol where its bars stand on the timeline; None when it has every one."""
        columns = []
        for symbol in self.symbols:
            ts = self.bars[symbol].ts
            columns.append(None if len(ts) == len(self.timeline) else np.searchsorted(self.timeline, ts))
        return columns

    @cached_property
    def prices(self) -> Bars:
        """All traded symbols as (symbols, bars) arrays, NaN where a symbol has no bar."""
        fields = ("open", "high", "low", "close")
        own = [[getattr(self.bars[symbol], name) for symbol in self.symbols] for name in fields]
        first, high, low, close = (np.asarray(self.spread(columns, np.nan), np.float64) for columns in own)
        last = np.array([np.searchsorted(self.timeline, self.bars[symbol].ts[-1]) for symbol in self.symbols])
        return Bars(self.timeline, first, high, low, close, last, len(self.symbols) == 1)

    def spread(self, columns: Sequence[npt.NDArray[np.generic]], missing: float) -> npt.NDArray[np.generic]:
        """Answer one array a symbol as (symbols, bars) on the timeline, `missing` where there is no bar."""
        if len(columns) == 1 and self.places[0] is None:
            return columns[0].reshape(1, -1)
        out = np.full((len(columns), len(self.timeline)), missing, dtype=columns[0].dtype)
        self.fill(out, columns)
        return out

    def fill(self, out: npt.NDArray[Any], columns: Sequence[Any]) -> None:
        """Put one array or number a symbol into `out`, (symbols, bars), where it has bars; NaN elsewhere."""
        for row, (column, places) in enumerate(zip(columns, self.places, strict=True)):
            if places is None:
                out[row] = column
            else:
                if out.dtype.kind == "f":
                    out[row] = np.nan
                out[row, places] = column

    def signals(self, program: Program, symbol: str, cache: ArrayCache) -> npt.NDArray[np.uint8]:
        """Answer the signals of a traded symbol, as far as it is a member."""
        found = signals_of(program, self.scope(symbol, cache))
        return found if self.members is None else held_to(found, self.bars[symbol].ts, self.members.get(symbol, ()))

    def scope(self, symbol: str, cache: ArrayCache) -> Scope:
        """Answer where a traded symbol's expressions are computed."""
        return Scope(self.bars, symbol, self.timeframe, cache, self.times, models=self.models)

    @cached_property
    def benchmark(self) -> npt.NDArray[np.float64]:
        """Growth of 1 held in equal parts of the traded symbols from their first opens, at each day's end."""
        growth = np.zeros(len(self.day_ends))
        for symbol in self.symbols:
            bars = self.bars[symbol]
            at = np.searchsorted(bars.ts, self.timeline[self.day_ends], "right") - 1
            growth += np.where(at >= 0, bars.close[np.maximum(at, 0)] / bars.open[0], 1.0)
        return np.asarray(growth / len(self.symbols))


def infer_timeframe(bars: BarArrays) -> Timeframe:
    """Answer the commonest distance between two bars. Raises InvalidInput when no timeframe has it."""
    if len(bars.ts) < 2:
        raise InvalidInput("the timeframe of a single bar cannot be told", "name it in the document", "timeframe")
    distances, counts = np.unique(np.diff(bars.ts[:100_001]), return_counts=True)
    return _named(int(distances[counts.argmax()]))


def _named(micros: int) -> Timeframe:
    if 28 * DAY_MICROS <= micros <= 31 * DAY_MICROS and micros % (7 * DAY_MICROS):
        return parse_timeframe("1mo")
    for unit, seconds in (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60)):
        count, rest = divmod(micros, seconds * 1_000_000)
        if count and not rest:
            return Timeframe(micros, f"{count}{unit}")
    raise InvalidInput(f"bars {micros / 1e6:g} s apart have no timeframe", "use bars of whole minutes", "bars")
