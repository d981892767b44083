"""Compiled passes over one series: the indicators TA-Lib lacks, crossings, calendars and drawdowns.

Every function looks backwards only: element `i` of an answer depends on elements 0 to `i` of its inputs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pitboss.core.timeframe import DAY_MICROS
from pitboss.kernel.compiling import compiled

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
BOOL = npt.NDArray[np.bool_]
BLOCK = 64  # bars that are compared at once


@compiled
def crossed(a: F64, b: F64, direction: int) -> BOOL:
    """Answer where `a` goes from not above `b` to above (`direction` 1), or below (-1). NaN is no cross."""
    out = np.zeros(len(a), dtype=np.bool_)
    for i in range(1, len(a)):
        before = (a[i - 1] - b[i - 1]) * direction
        now = (a[i] - b[i]) * direction
        out[i] = before <= 0.0 and now > 0.0
    return out


@compiled
def shifted(a: F64, offset: int) -> F64:
    """Answer `a` as it was `offset` bars before, NaN where there was none."""
    out = np.empty(len(a))
    edge = min(offset, len(a))
    out[:edge] = np.nan
    out[edge:] = a[: len(a) - edge]
    return out


@compiled
def monotone(a: F64, length: int, direction: int) -> BOOL:
    """Answer where each of the last `length` steps of `a` went up (`direction` 1) or down (-1)."""
    out = np.zeros(len(a), dtype=np.bool_)
    streak = 0
    for i in range(1, len(a)):
        streak = streak + 1 if (a[i] - a[i - 1]) * direction > 0.0 else 0
        out[i] = streak >= length
    return out


@compiled
def bars_since(condition: BOOL) -> F64:
    """Answer how many bars ago `condition` last held, NaN before it first did."""
    out = np.empty(len(condition))
    count = np.nan
    for i in range(len(condition)):
        count = 0.0 if condition[i] else count + 1.0
        out[i] = count
    return out


@compiled
def at_extreme(a: F64, b: F64, length: int, direction: int) -> F64:
    """Answer `b` at the bar where `a` was highest (`direction` 1) or lowest (-1) of the last `length`, the earliest of
    equals; NaN where one of those values of `a` is."""
    out = np.full(len(a), np.nan)
    at, first = -1, 0  # where the extreme lies, and where the numbers began
    for i in range(len(a)):
        if np.isnan(a[i]):
            at, first = -1, i + 1
            continue
        if at < 0 or direction * a[i] > direction * a[at]:
            at = i
        elif at <= i - length:
            at = i - length + 1
            for j in range(at + 1, i + 1):
                if direction * a[j] > direction * a[at]:
                    at = j
        if i - first + 1 >= length:
            out[i] = b[at]
    return out


@compiled
def sum_since(condition: BOOL, a: F64) -> F64:
    """Answer the sum of `a` from the bar at which `condition` last held on, NaN before it first did."""
    out = np.empty(len(a))
    total = np.nan
    for i in range(len(a)):
        total = a[i] if condition[i] else total + a[i]
        out[i] = total
    return out


@compiled
def zscore(a: F64, length: int) -> F64:
    """Answer (a - mean) / standard deviation over the last `length` values (population; NaN when flat)."""
    out = np.full(len(a), np.nan)
    for i in range(length - 1, len(a)):
        mean = 0.0
        for j in range(i - length + 1, i + 1):
            mean += a[j]
        mean /= length
        square = 0.0
        for j in range(i - length + 1, i + 1):
            square += (a[j] - mean) ** 2
        if square > 0.0:
            out[i] = (a[i] - mean) / np.sqrt(square / length)
    return out


@compiled
def anchored_vwap(ts: I64, typical: F64, volume: F64, period_micros: int, anchor_micros: int) -> F64:
    """Answer the volume-weighted average price since the start of each period (Berkowitz et al. 1988).

    A bar without a price or with an unknown volume has no weight. A period without volume so far has the plain mean of
    its typical prices, NaN before the first.
    """
    out = np.empty(len(ts))
    period = np.int64(-1)
    weighted = 0.0
    traded = 0.0
    total = 0.0
    count = 0
    for i in range(len(ts)):
        now = (ts[i] - anchor_micros) // period_micros
        if i == 0 or now != period:
            period = now
            weighted = 0.0
            traded = 0.0
            total = 0.0
            count = 0
        if not np.isnan(typical[i]):
            total += typical[i]
            count += 1
            if not np.isnan(volume[i]):
                weighted += typical[i] * volume[i]
                traded += volume[i]
        out[i] = weighted / traded if traded > 0.0 else (total / count if count else np.nan)
    return out


@compiled
def last_completed(ends: I64, closes: I64) -> I64:
    """Answer for each moment in `closes` the index of the last of `ends` not after it, -1 where none is."""
    out = np.empty(len(closes), dtype=np.int64)
    j = -1
    for i in range(len(closes)):
        while j + 1 < len(ends) and ends[j + 1] <= closes[i]:
            j += 1
        out[i] = j
    return out


@compiled
def day_ends(ts: I64) -> I64:
    """Answer the index of the last bar of each UTC day in `ts` (microseconds, ascending)."""
    out = np.empty(len(ts), dtype=np.int64)
    count = 0
    boundary = np.int64(0)
    for i in range(len(ts)):
        if i == 0 or ts[i] >= boundary:
            if i > 0:
                out[count] = i - 1
                count += 1
            boundary = (ts[i] // DAY_MICROS + 1) * DAY_MICROS
    if len(ts) > 0:
        out[count] = len(ts) - 1
        count += 1
    return out[:count].copy()


@compiled
def drawdown_of(equity: F64, start: float) -> F64:
    """Answer how far `equity` is below its highest value so far (`start` included), a fraction <= 0."""
    out = np.empty(len(equity))
    peak = start
    for i in range(len(equity)):
        peak = max(peak, equity[i])
        out[i] = equity[i] / peak - 1.0
    return out


@compiled
def worst_drawdown(ts: I64, equity: F64, start: float) -> tuple[float, int, int, int, int]:
    """Answer the deepest fall from a peak, and the longest time below one.

    (depth as a fraction <= 0, index of its peak, index of its trough, index of its recovery or -1,
    longest time under water in microseconds). The peak before the first bar counts as bar 0.
    """
    peak = start
    peak_at = 0
    depth = 0.0
    top = 0
    trough = 0
    recovery = -1
    water = np.int64(0)
    for begin in range(0, len(equity), BLOCK):
        end = min(begin + BLOCK, len(equity))
        floor = peak * (1.0 + depth)
        is_news = False  # most bars bring neither a peak nor a deeper fall: they are compared at once
        for i in range(begin, end):
            is_news |= (equity[i] >= peak) | (equity[i] < floor)
        if not is_news:
            water = max(water, ts[end - 1] - ts[peak_at])
            continue
        for i in range(begin, end):
            if equity[i] >= peak:
                if top == peak_at and depth < 0.0 and recovery == -1 and trough > peak_at:
                    recovery = i
                peak = equity[i]
                peak_at = i
            else:
                water = max(water, ts[i] - ts[peak_at])
                # compared as a product: the division is done once, for the answer
                if equity[i] < peak * (1.0 + depth):
                    depth = equity[i] / peak - 1.0
                    top = peak_at
                    trough = i
                    recovery = -1
    return depth, top, trough, recovery, int(water)


@compiled
def pack_signals(long_entry: BOOL, short_entry: BOOL, long_exit: BOOL, short_exit: BOOL) -> npt.NDArray[np.uint8]:
    """Answer one byte a bar: bit 0 long entry, 1 short entry, 2 long exit, 3 short exit."""
    out = np.empty(len(long_entry), dtype=np.uint8)
    for i in range(len(out)):
        out[i] = long_entry[i] | short_entry[i] << 1 | long_exit[i] << 2 | short_exit[i] << 3
    return out
