"""The functions of the language: TA-Lib's by its names and argument order, and what TA-Lib lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import talib
from talib import abstract

from pitboss.kernel import series
from pitboss.kernel.bars import BarArrays
from pitboss.strategy.types import Kind

F64 = npt.NDArray[np.float64]

PRICES = ("open", "high", "low", "close", "volume")
CALENDAR = ("hour", "minute", "weekday")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A constant argument: its name, its default (None where it must be given) and whether it is whole."""

    name: str
    default: float | None
    is_whole: bool
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True, slots=True)
class Function:
    """One function: the series it takes, then its constants, then the lines it answers.

    `implicit` are the prices taken when no series is given (`atr(14)`); `inputs` are the kinds of the
    series arguments. `apply(bars, inputs, constants)` answers one array for each of `lines`.
    """

    name: str
    inputs: tuple[Kind, ...]
    implicit: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    lines: tuple[str, ...]
    result: Kind
    apply: Callable[[BarArrays, tuple[Any, ...], tuple[float, ...]], tuple[Any, ...]]
    summary: str = ""

    @property
    def signature(self) -> str:
        prices = self.implicit or tuple("xyz"[: len(self.inputs)])
        constants = [p.name if p.default is None else f"{p.name}={p.default:g}" for p in self.parameters]
        return f"{self.name}({', '.join([*prices, *constants])})"


def _talib_inputs(names: Mapping[str, Any]) -> tuple[int, tuple[str, ...]]:
    """Answer how many series a TA-Lib function takes, and their prices where TA-Lib fixes them."""
    flat: list[str] = []
    for value in names.values():
        flat.extend([value] if isinstance(value, str) else value)
    return len(flat), tuple(flat) if "prices" in names else ()


def _from_talib(name: str) -> Function:
    info = abstract.Function(name).info  # type: ignore[attr-defined]
    count, implicit = _talib_inputs(info["input_names"])
    parameters = tuple(
        Parameter(key, float(value), isinstance(value, int)) for key, value in info["parameters"].items()
    )
    function = getattr(talib, name)

    def apply(bars: BarArrays, inputs: tuple[F64, ...], constants: tuple[float, ...]) -> tuple[F64, ...]:
        if not len(bars.ts) or any(np.isnan(x).all() for x in inputs):
            return tuple(np.full(len(bars.ts), np.nan) for _ in info["output_names"])
        exact = [int(c) if p.is_whole else c for p, c in zip(parameters, constants, strict=True)]
        answer = function(*inputs, *exact)
        lines = answer if isinstance(answer, tuple) else (answer,)
        return tuple(np.asarray(line, dtype=np.float64) for line in lines)

    return Function(
        name.lower(),
        (Kind.SERIES,) * count,
        implicit,
        parameters,
        tuple(info["output_names"]),
        Kind.SERIES,
        apply,
        info["display_name"],
    )


def check_talib(function: Function, constants: tuple[float, ...]) -> bool:
    """Answer whether TA-Lib accepts these constants: it checks them before it looks at the data."""
    try:
        probe = np.ones(8)
        bars = BarArrays(np.arange(8), probe, probe, probe, probe, probe)
        function.apply(bars, (probe,) * len(function.inputs), constants)
    except Exception:  # TA-Lib raises bare Exceptions
        return False
    return True


_LENGTH = Parameter("length", None, True, 1, 100_000)


def _own() -> list[Function]:
    real, condition = Kind.SERIES, Kind.CONDITION

    def pair(function: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
        return lambda _bars, inputs, _constants: (function(*inputs),)

    def rolling(function: Callable[..., Any], *more: Any) -> Callable[..., tuple[Any, ...]]:
        return lambda _bars, inputs, constants: (function(inputs[0], int(constants[0]), *more),)

    def crosses(a: F64, b: F64) -> npt.NDArray[np.bool_]:
        return series.crossed(a, b, 1) | series.crossed(a, b, -1)

    def change(a: F64, length: int) -> F64:
        return np.asarray(a - series.shifted(a, length))

    def volatility_ratio(bars: BarArrays, _inputs: Any, constants: tuple[float, ...]) -> tuple[F64]:
        prices = (bars.high, bars.low, bars.close)
        fast, slow = (lookup("atr").apply(bars, prices, (length,))[0] for length in constants)  # type: ignore[union-attr]
        return (np.divide(fast, slow, out=np.full(len(fast), np.nan), where=slow != 0),)

    def vwap_of_day(bars: BarArrays, _inputs: Any, constants: tuple[float, ...]) -> tuple[F64]:
        typical = (bars.high + bars.low + bars.close) / 3
        micros = int(constants[0] * series.DAY_MICROS)
        return (series.anchored_vwap(bars.ts, typical, bars.volume, micros, 4 * series.DAY_MICROS),)

    one, two = (real,), (real, real)
    return [
        Function("crosses_above", two, (), (), ("real",), condition, pair(lambda a, b: series.crossed(a, b, 1)),
                 "x was not above y a bar ago and is now"),
        Function("crosses_below", two, (), (), ("real",), condition, pair(lambda a, b: series.crossed(a, b, -1)),
                 "x was not below y a bar ago and is now"),
        Function("crosses", two, (), (), ("real",), condition, pair(crosses), "x crosses y either way"),
        Function("rising", one, (), (_LENGTH,), ("real",), condition, rolling(series.monotone, 1),
                 "each of the last steps went up"),
        Function("falling", one, (), (_LENGTH,), ("real",), condition, rolling(series.monotone, -1),
                 "each of the last steps went down"),
        Function("bars_since", (condition,), (), (), ("real",), real, pair(series.bars_since),
                 "bars since the condition last held"),
        Function("change", one, (), (Parameter("length", 1, True, 1, 100_000),), ("real",), real, rolling(change),
                 "x less x so many bars ago"),
        Function("zscore", one, (), (Parameter("length", None, True, 2, 100_000),), ("real",), real,
                 rolling(series.zscore), "standard deviations from the rolling mean"),
        Function("greater", two, (), (), ("real",), real, pair(np.maximum), "the greater of the two, bar by bar"),
        Function("lesser", two, (), (), ("real",), real, pair(np.minimum), "the lesser of the two, bar by bar"),
        Function("abs", one, (), (), ("real",), real, pair(np.abs), "absolute value"),
        Function("where", (condition, real, real), (), (), ("real",), real, pair(np.where),
                 "y where the condition holds, else z"),
        Function("volatility_ratio", (), (), (Parameter("fast", 5, True, 1, 100_000),
                 Parameter("slow", 20, True, 1, 100_000)), ("real",), real, volatility_ratio,
                 "average true range over fast bars against slow bars"),
        Function("anchored_vwap", (), (), (Parameter("days", 1, True, 1, 366),), ("real",), real, vwap_of_day,
                 "volume-weighted average price since the start of the UTC day (7: of the week)"),
    ]  # fmt: skip


_OWN = {function.name: function for function in _own()}


@cache
def lookup(name: str) -> Function | None:
    """Answer the function of that name (lower case), None when there is none."""
    if name in _OWN:
        return _OWN[name]
    return _from_talib(name.upper()) if name.upper() in _talib_names() else None


@cache
def _talib_names() -> frozenset[str]:
    # TA-Lib's two-argument arithmetic is what the operators are for, and its maximum of a window stays
    names = frozenset(talib.get_functions())  # type: ignore[no-untyped-call]
    return names - {"ADD", "SUB", "MULT", "DIV"}


def function_names() -> list[str]:
    """Answer the names of all functions, `on` and `symbol` included, sorted."""
    return sorted([*_OWN, *(name.lower() for name in _talib_names()), "on", "symbol"])


def calendar(name: str, ts: npt.NDArray[np.int64]) -> F64:
    """Answer the UTC hour, minute or weekday (Monday 0) of each bar's opening."""
    seconds = ts // 1_000_000
    if name == "hour":
        return np.asarray(seconds // 3600 % 24, dtype=np.float64)
    if name == "minute":
        return np.asarray(seconds // 60 % 60, dtype=np.float64)
    return np.asarray((seconds // 86_400 + 3) % 7, dtype=np.float64)
