"""The functions of the language as data: what each takes, which constants it accepts, and what it answers.

TA-Lib's stand by its names and argument order in `talib.json` (made by script/describe-talib), so that a document is
checked without loading it; what TA-Lib lacks is written here. How they are computed: `strategy.compute`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pitboss.strategy.valuetype import ValueType

PRICES = ("open", "high", "low", "close", "volume")
CALENDAR = ("hour", "minute", "weekday", "session_open", "bars_into_session", "minutes_to_close")
LONGEST = 100_000
MODEL_LINES = ("probability", "prediction", "uncertainty")  # of `model("name")`


@dataclass(frozen=True, slots=True)
class Parameter:
    """A constant argument: its name, its default (None where it must be given), whether it is whole, its range."""

    name: str
    default: float | None
    is_whole: bool = True
    low: float = 1
    high: float = LONGEST

    def accepts(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function: the series it takes, then its constants, then the lines it answers.

    `implicit` are the prices taken when no series is given (`atr(14)`); `inputs` are the types of the series
    arguments; `ascending` are pairs of constants of which the first must not exceed the second.
    """

    name: str
    summary: str
    inputs: tuple[ValueType, ...] = ()
    implicit: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    ascending: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ("real",)
    result: ValueType = ValueType.SERIES
    is_talib: bool = False

    @property
    def signature(self) -> str:
        prices = self.implicit or tuple("xyz"[: len(self.inputs)])
        constants = [p.name if p.default is None else f"{p.name}={p.default:g}" for p in self.parameters]
        return f"{self.name}({', '.join([*prices, *constants])})"

    def reversed_pair(self, constants: tuple[float, ...]) -> tuple[str, str] | None:
        """Answer the first pair of `constants` that should ascend and does not."""
        values = dict(zip((parameter.name for parameter in self.parameters), constants, strict=True))
        return next((pair for pair in self.ascending if values[pair[0]] > values[pair[1]]), None)


_LENGTH = Parameter("length", None)
_REAL, _CONDITION = ValueType.SERIES, ValueType.CONDITION


def _edges(names: Iterable[str]) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, None, False, -1e15, 1e15) for name in names)


def _memberships() -> list[Function]:
    """Answer how far a value belongs to a fuzzy set, from 0 to 1."""
    one = (_REAL,)
    return [
        Function(
            name="triangle", summary="membership: 0 up to a, 1 at b, 0 from c on, straight between",
            inputs=one, parameters=_edges("abc"), ascending=(("a", "b"), ("b", "c")),
        ),
        Function(
            name="trapezoid", summary="membership: 0 up to a, 1 from b to c, 0 from d on, straight between",
            inputs=one, parameters=_edges("abcd"), ascending=(("a", "b"), ("b", "c"), ("c", "d")),
        ),
        Function(
            name="gaussian", summary="membership: 1 at the mean, falling off as the normal density does",
            inputs=one, parameters=(*_edges(("mean",)), Parameter("deviation", None, False, 1e-12, 1e15)),
        ),
    ]  # fmt: skip


def _own() -> list[Function]:
    one, two = (_REAL,), (_REAL, _REAL)
    return [
        Function(name="crosses_above", summary="x was not above y a bar ago and is now", inputs=two, result=_CONDITION),
        Function(name="crosses_below", summary="x was not below y a bar ago and is now", inputs=two, result=_CONDITION),
        Function(name="crosses", summary="x crosses y either way", inputs=two, result=_CONDITION),
        Function(
            name="rising", summary="each of the last steps went up",
            inputs=one, parameters=(_LENGTH,), result=_CONDITION,
        ),
        Function(
            name="falling", summary="each of the last steps went down",
            inputs=one, parameters=(_LENGTH,), result=_CONDITION,
        ),
        Function(name="bars_since", summary="bars since the condition last held", inputs=(_CONDITION,)),
        Function(
            name="sum_since", summary="sum of y from the bar at which the condition last held",
            inputs=(_CONDITION, _REAL),
        ),
        Function(
            name="at_highest", summary="y at the bar where x was highest of the last, the earliest of equals",
            inputs=two, parameters=(_LENGTH,),
        ),
        Function(
            name="at_lowest", summary="y at the bar where x was lowest of the last, the earliest of equals",
            inputs=two, parameters=(_LENGTH,),
        ),
        Function(
            name="change", summary="x less x so many bars ago", inputs=one, parameters=(Parameter("length", 1),),
        ),
        Function(
            name="zscore", summary="standard deviations from the rolling mean",
            inputs=one, parameters=(Parameter("length", None, low=2),),
        ),
        Function(name="greater", summary="the greater of the two, bar by bar", inputs=two),
        Function(name="lesser", summary="the lesser of the two, bar by bar", inputs=two),
        Function(name="abs", summary="absolute value", inputs=one),
        Function(name="where", summary="y where the condition holds, else z", inputs=(_CONDITION, _REAL, _REAL)),
        Function(
            name="volatility_ratio", summary="average true range over fast bars against slow bars",
            parameters=(Parameter("fast", 5), Parameter("slow", 20)),
        ),
        Function(
            name="anchored_vwap",
            summary="volume-weighted average price since the start of the session (7: of the week)",
            parameters=(Parameter("days", 1, high=366),),
        ),
    ]  # fmt: skip


_OWN = {function.name: function for function in (*_own(), *_memberships())}


@cache
def lookup(name: str) -> Function | None:
    """Answer the function of that name (lower case), None when there is none."""
    if name in _OWN:
        return _OWN[name]
    described = _talib().get(name)
    return _from_talib(name, described) if described else None


@cache
def _talib() -> dict[str, Any]:
    described: dict[str, Any] = json.loads(Path(__file__).with_name("talib.json").read_text())
    return described


def _from_talib(name: str, described: Mapping[str, Any]) -> Function:
    return Function(
        name=name,
        summary=described["summary"],
        inputs=(_REAL,) * described["series"],
        implicit=tuple(described["implicit"]),
        parameters=tuple(
            Parameter(each["name"], float(each["default"]), isinstance(each["default"], int), each["low"], each["high"])
            for each in described["constants"]
        ),
        ascending=tuple((first, second) for first, second in described["ascending"]),
        lines=tuple(described["lines"]),
        is_talib=True,
    )


def function_names() -> list[str]:
    """Answer the names of all functions, `model`, `on` and `symbol` included, sorted."""
    return sorted([*_OWN, *_talib(), "model", "on", "symbol"])
