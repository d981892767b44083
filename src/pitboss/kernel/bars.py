"""Bars as arrays, and their resampling to longer periods."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pitboss.kernel.compiling import compiled

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class BarArrays(NamedTuple):
    """One instrument's bars, ascending: `ts` is each bar's opening time in microseconds since 1970, UTC."""

    ts: I64
    open: F64
    high: F64
    low: F64
    close: F64
    volume: F64

    def slice(self, first: int, last: int) -> BarArrays:
        """Answer the bars from `first` up to but not including `last`, as views."""
        ts, *prices = (column[first:last] for column in self)
        return BarArrays(ts.astype(np.int64, copy=False), *prices)  # type: ignore[arg-type]

    def head(self, count: int) -> BarArrays:
        """Answer the first `count` bars, as views."""
        return self.slice(0, count)


@compiled
def resample(bars: BarArrays, period: int, anchor: int) -> BarArrays:
    """Answer `bars` joined into periods of `period` microseconds that start at multiples since `anchor`.

    A period without a bar has none in the answer. The last period may be incomplete.
    """
    n = len(bars.ts)
    ts = np.empty(n, dtype=np.int64)
    first, high, low = np.empty(n), np.empty(n), np.empty(n)
    last, volume = np.empty(n), np.empty(n)
    count = 0
    for i in range(n):
        start = (bars.ts[i] - anchor) // period * period + anchor
        if count == 0 or ts[count - 1] != start:
            ts[count] = start
            first[count] = bars.open[i]
            high[count] = bars.high[i]
            low[count] = bars.low[i]
            volume[count] = 0.0
            count += 1
        k = count - 1
        high[k] = max(high[k], bars.high[i])
        low[k] = min(low[k], bars.low[i])
        last[k] = bars.close[i]
        volume[k] += bars.volume[i]
    return BarArrays(
        ts[:count].copy(),
        first[:count].copy(),
        high[:count].copy(),
        low[:count].copy(),
        last[:count].copy(),
        volume[:count].copy(),
    )


CLEAN, OUT_OF_ORDER, NO_PRICE, NOT_CONTAINED = range(4)


@compiled
def fault_of(bars: BarArrays) -> int:
    """Answer the first kind of fault in one pass: times that do not ascend, prices that are NaN, infinite or
    not above 0, a high or low that does not contain open and close; CLEAN when there is none."""
    ts, first, high, low, close = bars.ts, bars.open, bars.high, bars.low, bars.close
    for i in range(len(ts)):
        if i > 0 and ts[i] <= ts[i - 1]:
            return OUT_OF_ORDER
        if not (first[i] > 0.0 and high[i] > 0.0 and low[i] > 0.0 and close[i] > 0.0):
            return NO_PRICE
        if not (first[i] < np.inf and high[i] < np.inf and low[i] < np.inf and close[i] < np.inf):
            return NO_PRICE
        if high[i] < first[i] or high[i] < close[i] or low[i] > first[i] or low[i] > close[i]:
            return NOT_CONTAINED
    return CLEAN
