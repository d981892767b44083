"""Compiled passes that look forward: what became of the price after each bar. For labels of trainings alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pitboss.kernel.compiling import compiled

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@compiled
def barriers(high: F64, low: F64, close: F64, up: F64, down: F64, horizon: int) -> tuple[F64, I64]:
    """Answer for each bar which barrier its price reaches first, and at which bar that is known.

    high, low, close: (N,) prices; up, down: (N,) distances of the barriers from the close, in price; horizon: bars.
    1 is the upper, 0 the lower; where both lie within one bar the lower, since nobody knows better. At the horizon it
    is the sign of the return, 0 where there is none. NaN where a distance is not above 0, or the bars end before it is
    decided. After López de Prado, Advances in Financial Machine Learning (2018), 3.4.
    """
    count = len(close)
    label, known = np.full(count, np.nan), np.full(count, -1)
    for i in range(count):
        if not (up[i] > 0.0 and down[i] > 0.0):
            continue
        top, bottom = close[i] + up[i], close[i] - down[i]
        last = i + horizon
        for j in range(i + 1, min(last, count - 1) + 1):
            if low[j] <= bottom:
                label[i], known[i] = 0.0, j
                break
            if high[j] >= top:
                label[i], known[i] = 1.0, j
                break
        if known[i] < 0 and last < count:
            label[i], known[i] = (1.0 if close[last] > close[i] else 0.0), last
    return label, known


@compiled
def legs(close: F64, threshold: float, horizon: int) -> tuple[F64, I64]:
    """Answer for each bar whether the leg that it lies in rises (1) or falls (0), and at which bar that is known.

    A leg ends at its extreme; that it has ended is known once the price has turned from there by `threshold`, a
    fraction. What is not known within `horizon` bars is NaN.
    """
    count = len(close)
    label, known = np.full(count, np.nan), np.full(count, -1)
    if count == 0:
        return label, known
    start, extreme, direction = 0, 0, 0
    highest, lowest = 0, 0
    for i in range(1, count):
        if direction == 0:
            highest = i if close[i] > close[highest] else highest
            lowest = i if close[i] < close[lowest] else lowest
            if close[i] >= close[lowest] * (1.0 + threshold):
                start, extreme, direction = lowest, i, 1
            elif close[i] <= close[highest] * (1.0 - threshold):
                start, extreme, direction = highest, i, -1
            continue
        if direction * (close[i] - close[extreme]) > 0.0:
            extreme = i
        elif direction * (close[i] / close[extreme] - 1.0) <= -threshold:
            for j in range(start, extreme):
                if i - j <= horizon:
                    label[j], known[j] = (1.0 if direction > 0 else 0.0), i
            start, extreme, direction = extreme, i, -direction
    return label, known


@compiled
def uniqueness(first: I64, last: I64, count: int) -> F64:
    """Answer how unique each label is: the mean, over the bars that it spans, of 1 / how many labels span them.

    first, last: (N,) the bars from after `first` to `last` that each looks at, of `count`. After López de Prado (2018),
    4.4.
    """
    spans = np.zeros(count + 1)
    for i in range(len(first)):
        spans[first[i] + 1] += 1.0
        spans[last[i] + 1] -= 1.0
    shares = np.zeros(count + 1)
    running = 0.0
    for bar in range(count):
        running += spans[bar]
        shares[bar + 1] = shares[bar] + (1.0 / running if running > 0.0 else 0.0)
    out = np.ones(len(first))
    for i in range(len(first)):
        if last[i] > first[i]:
            out[i] = (shares[last[i] + 1] - shares[first[i] + 1]) / (last[i] - first[i])
    return out
