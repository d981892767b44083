"""How the functions of the language are computed: by TA-Lib, or by the kernels for what TA-Lib lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.core.timeframe import DAY_MICROS
from pitboss.kernel import series
from pitboss.kernel.bars import BarArrays
from pitboss.strategy.functions import Function
from pitboss.strategy.talibrary import plain, talib

F64 = npt.NDArray[np.float64]
Arrays = tuple[Any, ...]
Constants = tuple[float, ...]
Days = Callable[[], npt.NDArray[np.int64]]
Own = Callable[[BarArrays, Days, Arrays, Constants], Any]


def apply(function: Function, bars: BarArrays, days: Days, inputs: Arrays, constants: Constants) -> Arrays:
    """Answer one array, as long as the bars, for each of the function's lines; `days` answers the day of each bar."""
    if function.is_talib:
        return _by_talib(function, bars, inputs, constants)
    return (_OWN[function.name](bars, days, inputs, constants),)


def _by_talib(function: Function, bars: BarArrays, inputs: Arrays, constants: Constants) -> Arrays:
    """Compute each stretch of bars on which all inputs are numbers as if it stood alone.

    TA-Lib itself carries a NaN in the middle of a series on to its end, or on to a false 0.
    """
    exact = [int(c) if p.is_whole else c for p, c in zip(function.parameters, constants, strict=True)]
    stretches = _stretches(inputs) if inputs else [slice(0, len(bars.ts))]
    made = [_of_stretch(function, [x[stretch] for x in inputs], exact) for stretch in stretches]
    if len(stretches) == 1 and len(made[0][0]) == len(bars.ts):
        return made[0]
    answer = tuple(np.full(len(bars.ts), np.nan) for _ in function.lines)
    for stretch, lines in zip(stretches, made, strict=True):
        for whole, line in zip(answer, lines, strict=True):
            whole[stretch] = line
    return answer


def _of_stretch(function: Function, inputs: list[F64], constants: list[float]) -> Arrays:
    answer = plain(function.name.upper())(*inputs, *constants)
    lines = answer if isinstance(answer, tuple) else (answer,)
    return tuple(np.asarray(line, dtype=np.float64) for line in lines)


def _stretches(inputs: Arrays) -> list[slice]:
    """Answer where all inputs are numbers."""
    if not len(inputs[0]):
        return []
    if not any(np.isnan(x.min()) for x in inputs):  # the least of numbers and a NaN is NaN
        return [slice(0, len(inputs[0]))]
    defined = np.logical_and.reduce([~np.isnan(x) for x in inputs])
    edges = np.flatnonzero(np.diff(defined, prepend=False, append=False))
    return [slice(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def _plain(function: Callable[..., Any]) -> Own:
    return lambda _bars, _days, inputs, _constants: function(*inputs)


def _rolling(function: Callable[..., Any], *more: Any) -> Own:
    return lambda _bars, _days, inputs, constants: function(inputs[0], int(constants[0]), *more)


def _at_extreme(direction: int) -> Own:
    return lambda _bars, _days, inputs, constants: series.at_extreme(inputs[0], inputs[1], int(constants[0]), direction)


def _crosses(a: F64, b: F64) -> npt.NDArray[np.bool_]:
    return series.crossed(a, b, 1) | series.crossed(a, b, -1)


def _change(a: F64, length: int) -> F64:
    return np.asarray(a - series.shifted(a, length))


def trapezoid(x: F64, a: float, b: float, c: float, d: float) -> F64:
    """Answer the membership of each value in a fuzzy set: 0 up to `a`, 1 from `b` to `c`, 0 from `d` on, straight
    between; a side without width is a step, at which the membership is 1 (Zadeh 1965)."""
    rises = (x - a) / (b - a) if b > a else np.where(x < b, 0.0, 1.0)
    falls = (d - x) / (d - c) if d > c else np.where(x > c, 0.0, 1.0)
    return np.asarray(np.where(np.isnan(x), np.nan, np.clip(np.minimum(rises, falls), 0.0, 1.0)))


def _volatility_ratio(bars: BarArrays, _days: Days, _inputs: Arrays, constants: Constants) -> F64:
    if not len(bars.ts) or np.isnan(bars.close).all():
        return np.full(len(bars.ts), np.nan)
    fast, slow = (talib.ATR(bars.high, bars.low, bars.close, int(length)) for length in constants)
    return np.asarray(np.divide(fast, slow, out=np.full(len(fast), np.nan), where=slow != 0))


def _vwap_of_days(bars: BarArrays, days: Days, _inputs: Arrays, constants: Constants) -> F64:
    typical = (bars.high + bars.low + bars.close) / 3
    return series.anchored_vwap(days(), typical, bars.volume, int(constants[0] * DAY_MICROS), 4 * DAY_MICROS)


_OWN: dict[str, Own] = {
    "crosses_above": _plain(lambda a, b: series.crossed(a, b, 1)),
    "crosses_below": _plain(lambda a, b: series.crossed(a, b, -1)),
    "crosses": _plain(_crosses),
    "rising": _rolling(series.monotone, 1),
    "falling": _rolling(series.monotone, -1),
    "bars_since": _plain(series.bars_since),
    "sum_since": _plain(series.sum_since),
    "at_highest": _at_extreme(1),
    "at_lowest": _at_extreme(-1),
    "change": _rolling(_change),
    "zscore": _rolling(series.zscore),
    "greater": _plain(np.maximum),
    "lesser": _plain(np.minimum),
    "abs": _plain(np.abs),
    "where": _plain(np.where),
    "triangle": lambda _bars, _days, inputs, c: trapezoid(inputs[0], c[0], c[1], c[1], c[2]),
    "trapezoid": lambda _bars, _days, inputs, c: trapezoid(inputs[0], *c),
    "gaussian": lambda _bars, _days, inputs, c: np.exp(-0.5 * ((inputs[0] - c[0]) / c[1]) ** 2),
    "volatility_ratio": _volatility_ratio,
    "anchored_vwap": _vwap_of_days,
}
