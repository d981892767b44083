"""Bars as arrays, and their resampling to longer periods."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pitboss.kernel.compiling import compiled
from pitboss.kernel.dates import DAY, MINUTE, SECOND, month_start

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

    def where(self, kept: npt.NDArray[np.bool_]) -> BarArrays:
        """Answer the bars that are `kept`, as copies."""
        ts, *prices = (column[kept] for column in self)
        return BarArrays(ts.astype(np.int64, copy=False), *prices)  # type: ignore[arg-type]

    def head(self, count: int) -> BarArrays:
        """Answer the first `count` bars, as views."""
        return self.slice(0, count)


@compiled
def calendar_starts(ts: I64, period: int, anchor: int, months: int) -> I64:
    """Answer the start of each moment's period: of `period` microseconds since `anchor`, or of so many months."""
    out = np.empty(len(ts), dtype=np.int64)
    for i in range(len(ts)):
        if months == 0:
            out[i] = (ts[i] - anchor) // period * period + anchor
        elif i > 0 and out[i - 1] <= ts[i] < out[i - 1] + 28 * DAY:
            out[i] = out[i - 1]
        else:
            days = month_start(ts[i] // DAY)
            for _ in range(_months_since_1970(days) % months):
                days = month_start(days - 1)
            out[i] = days * DAY
    return out


@compiled
def calendar_ends(starts: I64, period: int, months: int) -> I64:
    """Answer when periods end that start at `starts`: after `period` microseconds, or after so many months."""
    out = np.empty(len(starts), dtype=np.int64)
    for i in range(len(starts)):
        if months == 0:
            out[i] = starts[i] + period
        else:
            days = starts[i] // DAY
            for _ in range(months):
                days = month_start(days + 31)
            out[i] = days * DAY
    return out


@compiled
def _months_since_1970(days: int) -> int:
    """Answer how many months after January 1970 the month that begins on `days` is."""
    return int(np.rint(days / 30.436875))


@compiled
def resample(bars: BarArrays, starts: I64) -> BarArrays:
    """Answer `bars` joined into periods; `starts` is the ascending start of each bar's period.

    A period without a bar has none in the answer. The last period may be incomplete. Its volume is what is known of
    it, NaN where nothing is.
    """
    n = len(bars.ts)
    ts = np.empty(n, dtype=np.int64)
    first, high, low = np.empty(n), np.empty(n), np.empty(n)
    last, volume = np.empty(n), np.empty(n)
    count = 0
    for i in range(n):
        start = starts[i]
        if count == 0 or ts[count - 1] != start:
            ts[count] = start
            first[count] = bars.open[i]
            high[count] = bars.high[i]
            low[count] = bars.low[i]
            volume[count] = np.nan
            count += 1
        k = count - 1
        high[k] = max(high[k], bars.high[i])
        low[k] = min(low[k], bars.low[i])
        last[k] = bars.close[i]
        traded = bars.volume[i]
        if not np.isnan(traded):
            volume[k] = traded if np.isnan(volume[k]) else volume[k] + traded
    return BarArrays(
        ts[:count].copy(),
        first[:count].copy(),
        high[:count].copy(),
        low[:count].copy(),
        last[:count].copy(),
        volume[:count].copy(),
    )


@compiled
def steps_of(moments: I64, least: float, most: float) -> tuple[int, int, int, int]:
    """Answer how many steps from one moment to the next go forward, back, nowhere, and how many of either direction are
    from `least` to `most` long. The lowest integer is no moment."""
    forward, back, still, fitting = 0, 0, 0, 0
    never = np.iinfo(np.int64).min
    for i in range(1, len(moments)):
        if moments[i] == never or moments[i - 1] == never:
            continue
        step = moments[i] - moments[i - 1]
        if step > 0:
            forward += 1
        elif step < 0:
            back += 1
        else:
            still += 1
        if step != 0 and least <= abs(step) <= most:
            fitting += 1
    return forward, back, still, fitting


@compiled
def odd_seconds(moments: I64) -> tuple[int, int]:
    """Answer how many moments are not at a whole minute, and how many of them in its last second."""
    odd, ends = 0, 0
    for moment in moments:
        since = moment % MINUTE
        odd += since != 0
        ends += since >= MINUTE - SECOND
    return odd, ends


CLEAN, OUT_OF_ORDER, NO_PRICE, NOT_CONTAINED = range(4)


@compiled
def fault_of(bars: BarArrays, is_signed: bool) -> int:
    """Answer the first kind of fault in one pass: times that do not ascend, prices that are NaN, infinite or, unless
    `is_signed`, not above 0, a high or low that does not contain open and close; CLEAN when there is none."""
    ts, first, high, low, close = bars.ts, bars.open, bars.high, bars.low, bars.close
    least = -np.inf if is_signed else 0.0
    for i in range(len(ts)):
        if i > 0 and ts[i] <= ts[i - 1]:
            return OUT_OF_ORDER
        if not (first[i] > least and high[i] > least and low[i] > least and close[i] > least):
            return NO_PRICE
        if not (first[i] < np.inf and high[i] < np.inf and low[i] < np.inf and close[i] < np.inf):
            return NO_PRICE
        if high[i] < first[i] or high[i] < close[i] or low[i] > first[i] or low[i] > close[i]:
            return NOT_CONTAINED
    return CLEAN
