"""Evaluation of bound expressions over bars: one array for each expression, shared work done once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from threading import Lock
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pitboss.calendars.sessions import bar_ends
from pitboss.core.errors import InvalidInput, suggest
from pitboss.core.timeframe import Timeframe, parse_timeframe
from pitboss.kernel import series
from pitboss.kernel.bars import BarArrays
from pitboss.strategy.check import assign_series
from pitboss.strategy.compute import apply
from pitboss.strategy.expression import Binary, Call, Line, Name, Node, Number, Offset, Recursive, Text, Unary
from pitboss.strategy.functions import CALENDAR, Function, lookup
from pitboss.strategy.recursion import computed
from pitboss.strategy.times import UTC_DAYS, Times, calendar_of, within_days

Array = npt.NDArray[Any]

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {"+": np.add, "-": np.subtract, "*": np.multiply}


class ArrayCache:
    """Keeps indicators until `max_bytes` are kept; safe to share between threads.

    What is asked for most stays: a sweep asks for its indicators in turns, where throwing out the oldest would throw
    out each just before it is asked for again.
    """

    def __init__(self, max_bytes: int = 64 << 20) -> None:
        self._room = max_bytes
        self._known: dict[Any, _Asked] = {}  # a key is hashed as rarely as can be: an expression's takes a while
        self._lock = Lock()

    def get(self, key: Any, compute: Callable[[], tuple[Array, ...]]) -> tuple[Array, ...]:
        """Answer what is kept under `key`, else the answer of `compute`, which is then kept where there is room or it
        is asked for more than what is kept."""
        known = self._known.get(key)
        if known is None:
            known = self._known.setdefault(key, _Asked())
        known.times += 1  # a count that another thread loses does no harm
        if (held := known.held) is not None:
            return held
        lines = compute()
        size = _size(lines)
        with self._lock:
            while size > self._room:
                least = min((each for each in self._known.values() if each.held), key=_times, default=None)
                if least is None or least.times >= known.times:
                    return lines
                self._room += _size(least.held or ())
                least.held = None
            if known.held is None:
                known.held = lines
                self._room -= size
        return lines


class _Asked:
    """How often something was asked for, and what is kept of it."""

    __slots__ = ("held", "times")

    def __init__(self) -> None:
        self.times = 0
        self.held: tuple[Array, ...] | None = None


def _times(asked: _Asked) -> int:
    return asked.times


def _size(lines: tuple[Array, ...]) -> int:
    return sum(line.nbytes for line in lines)


class Plan(NamedTuple):
    """A call as it is computed: its function, the expressions that are its inputs, and the constants."""

    function: Function
    inputs: tuple[Node, ...]
    constants: tuple[float, ...]


def planned(node: Call) -> Plan:
    """Answer how a bound call is computed."""
    function = lookup(node.name)
    assert function is not None
    inputs, rest = assign_series(node, function, lambda argument: isinstance(argument, Number))
    given = dict(zip((p.name for p in function.parameters), rest, strict=False)) | dict(node.keywords)
    constants = []
    for parameter in function.parameters:
        argument = given.get(parameter.name)
        value = argument.value if isinstance(argument, Number) else parameter.default
        assert value is not None
        constants.append(value)
    return Plan(function, tuple(inputs), tuple(constants))


class Forecaster(Protocol):
    """A trained model, as expressions ask it."""

    def line(self, scope: Scope, line: str) -> Array:
        """Answer one of MODEL_LINES at each bar of a scope; NaN where it did not exist yet. Raises InvalidInput where
        it cannot be asked."""


NO_MODELS: Mapping[str, Forecaster] = {}


class Scope:
    """The bars one expression is computed on, and the way to other timeframes and symbols.

    `universe` are the base bars of every symbol that may be named, at `timeframe`; `times` says whose days and clocks
    are followed. `plans` is for whoever computes the same expressions over many symbols: what was found out about their
    calls, by the ids of nodes that live as long as it does. `models` are those that expressions may ask, by the names
    that they ask them by.
    """

    def __init__(
        self,
        universe: Mapping[str, BarArrays],
        symbol: str,
        timeframe: Timeframe,
        cache: ArrayCache | None = None,
        times: Times = UTC_DAYS,
        plans: dict[int, Plan] | None = None,
        models: Mapping[str, Forecaster] = NO_MODELS,
    ) -> None:
        if symbol not in universe:
            raise InvalidInput(
                f"the strategy names symbol '{symbol}', which was not given",
                f"give its bars too; {suggest(symbol, universe)}",
                "symbols",
            )
        self.universe = universe
        self.symbol = symbol
        self.timeframe = timeframe
        self.bars = universe[symbol]
        self.cache = cache or ArrayCache()
        self.times = times
        self._plans = plans
        self.models = models
        self._base = timeframe
        self.named: dict[str, Array] = {}  # what is computed already, by names that expressions were left with
        self._scopes: dict[tuple[str, str], Scope] = {}

    @cached_property
    def wall(self) -> npt.NDArray[np.int64]:
        """What the clocks of the strategy's zone show when each bar opens: microseconds, as if it were UTC."""
        return self.times.wall(self.symbol, self.bars, self.timeframe)

    @cached_property
    def days(self) -> npt.NDArray[np.int64]:
        """The day of the session of each bar: its date at 00:00 UTC."""
        return self.times.days(self.symbol, self.bars, self.timeframe)

    @cached_property
    def ends(self) -> npt.NDArray[np.int64]:
        """When the bars are complete: a series' own by its own session, longer ones by that which they were made by."""
        is_own = self.timeframe == self._base
        session = self.times.sessions.get(self.symbol) if is_own else self.times.followed(self.symbol)
        return bar_ends(self.bars.ts, self.timeframe, session)

    def evaluate(self, node: Node) -> Array:
        """Answer a bound expression as an array of floats or of booleans, one element a bar."""
        values, shape = np.asarray(self._value(node)), self.bars.ts.shape
        return values if values.shape == shape else np.broadcast_to(values, shape)

    def _value(self, node: Node) -> Any:
        match node:
            case Number():
                return node.value
            case Name():
                return self._of_name(node)
            case Unary(op="not"):
                return np.logical_not(self._value(node.operand))
            case Unary():
                return np.negative(self._value(node.operand))
            case Binary():
                return self._binary(node)
            case Offset():
                return self._offset(node)
            case Line():
                return self._line(node)
            case Recursive():
                return self._kept(node, lambda: (computed(node, self.evaluate),))[0]
            case Call(name="on"):
                return self._on(node)[0]
            case Call():
                return self._call(node)[0]
        raise AssertionError(node)

    def _of_name(self, node: Name) -> Array:
        if node.name in self.named:
            return self.named[node.name]
        if node.name in CALENDAR:
            return self._kept(node, lambda: (self._calendar(node.name),))[0]
        prices: Array = getattr(self.bars, node.name)
        return prices

    def _calendar(self, name: str) -> Array:
        if name == "session_open":
            return within_days(self.days, lambda first: self.bars.open[first])
        if name == "bars_into_session":
            return within_days(self.days, lambda first: np.asarray(np.arange(len(first)) - first, np.float64))
        if name == "minutes_to_close":
            return self.times.minutes_to_close(self.symbol, self.bars, self.timeframe)
        return calendar_of(name, self.wall)

    def _kept(self, node: Node, compute: Callable[[], tuple[Array, ...]]) -> tuple[Array, ...]:
        return self.cache.get((self.symbol, self.timeframe.text, node), compute)

    def _binary(self, node: Binary) -> Any:
        left, right = self._value(node.left), self._value(node.right)
        if node.op == "and":
            return np.logical_and(left, right)
        if node.op == "or":
            return np.logical_or(left, right)
        if node.op == "!=":  # true for NaN in IEEE 754, false here
            return np.logical_or(np.less(left, right), np.greater(left, right))
        if node.op == "/":
            shape = np.broadcast_shapes(np.shape(left), np.shape(right))
            divisor = np.asarray(right)
            return np.divide(left, divisor, out=np.full(shape, np.nan), where=divisor != 0)
        return (_COMPARE.get(node.op) or _ARITHMETIC[node.op])(left, right)

    def _offset(self, node: Offset) -> Array:
        assert isinstance(node.bars, Number)
        values = self.evaluate(node.base)
        bars = int(node.bars.value)
        if bars < 0:  # in a label
            return _ahead(values, -bars)
        if values.dtype != np.bool_:
            return series.shifted(values, bars)
        out = np.zeros(len(values), dtype=np.bool_)
        out[bars:] = values[: max(0, len(values) - bars)]
        return out

    def _line(self, node: Line) -> Array:
        base = node.base
        if isinstance(base, Call) and base.name == "symbol":
            return self._of_symbol(base, node.name)
        if isinstance(base, Call) and base.name == "model":
            return self._of_model(base, node.name)
        if isinstance(base, Offset):
            return self._offset(Offset(base.at, Line(node.at, base.base, node.name), base.bars))
        assert isinstance(base, Call)
        if base.name == "on":
            inner = Line(node.at, base.arguments[1], node.name)
            return self._on(Call(base.at, "on", (base.arguments[0], inner)))[0]
        function = lookup(base.name)
        assert function is not None
        return self._call(base)[function.lines.index(node.name)]

    def _call(self, node: Call) -> tuple[Array, ...]:
        plan = self._plans.get(id(node)) if self._plans is not None else None
        if plan is None:
            plan = planned(node)
            if self._plans is not None:
                self._plans[id(node)] = plan
        function, inputs, constants = plan

        def compute() -> tuple[Array, ...]:
            arrays = tuple(np.ascontiguousarray(self.evaluate(argument)) for argument in inputs)
            return apply(function, self.bars, lambda: self.days, arrays, constants)

        if function.lines == ("real",) and function.result.name == "CONDITION":
            return compute()  # as cheap as a comparison, and seldom shared
        return self._kept(node, compute)

    def _on(self, node: Call) -> tuple[Array, ...]:
        label, inner = node.arguments
        assert isinstance(label, Text)
        timeframe = parse_timeframe(label.value)
        if not timeframe.is_made_of(self.timeframe):
            raise InvalidInput(
                f'on("{timeframe}", …) cannot be made of {self.timeframe} bars',
                "name a longer timeframe made of whole bars",
                "strategy",
            )
        scope = self._scope(self.symbol, timeframe)
        return self._kept(node, lambda: (self._aligned(scope, scope.evaluate(inner)),))

    def _of_symbol(self, node: Call, price: str) -> Array:
        name = node.arguments[0]
        assert isinstance(name, Text)
        scope = self._scope(name.value, self.timeframe)
        return self._kept(Line(0, node, price), lambda: (self._aligned(scope, getattr(scope.bars, price)),))[0]

    def _of_model(self, node: Call, line: str) -> Array:
        name = node.arguments[0]
        assert isinstance(name, Text)
        if name.value not in self.models:
            what = f"the model '{name.value}' is not known here"
            raise InvalidInput(what, suggest(name.value, self.models), "strategy")
        return self._kept(Line(0, node, line), lambda: (self.models[name.value].line(self, line),))[0]

    def _scope(self, symbol: str, timeframe: Timeframe) -> Scope:
        key = (symbol, timeframe.text)
        if key not in self._scopes:
            scope = Scope(self.universe, symbol, self.timeframe, self.cache, self.times, self._plans, self.models)
            scope._base = self._base
            if timeframe != self.timeframe:
                scope.timeframe = timeframe
                scope.universe = {
                    name: self.times.joined(name, bars, self.timeframe, timeframe)
                    for name, bars in self.universe.items()
                }
                scope.bars = scope.universe[symbol]
            self._scopes[key] = scope
        return self._scopes[key]

    def _aligned(self, other: Scope, values: Array) -> Array:
        """Answer `values` of another scope as known at each close here: completed bars only."""
        at = series.last_completed(other.ends, self.ends)
        if values.dtype == np.bool_:
            return np.asarray(np.where(at >= 0, values[at], False)) if len(values) else np.zeros(len(at), np.bool_)
        return np.asarray(np.where(at >= 0, values[at], np.nan)) if len(values) else np.full(len(at), np.nan)


def _ahead(values: Array, bars: int) -> Array:
    """Answer values as they will be so many bars later; NaN where there are none, and a condition does not hold."""
    out = np.full(len(values), False if values.dtype == np.bool_ else np.nan)
    out[: max(0, len(values) - bars)] = values[bars:]
    return out
