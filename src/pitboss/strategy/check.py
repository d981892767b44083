"""Type checking: every mistake of an expression, with its place and its remedy, before anything is computed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pitboss.core.errors import InvalidInput, suggest
from pitboss.core.timeframe import Timeframe, parse_timeframe
from pitboss.strategy.binding import fold
from pitboss.strategy.expression import Binary, Call, Line, Name, Node, Number, Offset, Past, Recursive, Text, Unary
from pitboss.strategy.functions import CALENDAR, MODEL_LINES, PRICES, Function, function_names, lookup
from pitboss.strategy.valuetype import ValueType

MAX_OFFSET = 10_000
LABEL = "train.label.expression"  # alone in a document it may look forward
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}(@[A-Za-z0-9_-]{1,32})?(!final)?")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: the character offset in the expression, what is wrong, and the remedy."""

    at: int
    length: int
    message: str
    remedy: str


@dataclass
class Checker:
    """Finds the kind of expressions and collects their mistakes.

    `parameters` are the values in force (fractions for per cent), `indicators` the expressions of the
    document's named indicators, `kinds` what earlier ones turned out to be.
    """

    parameters: Mapping[str, Number]
    indicators: Mapping[str, Node]
    timeframe: Timeframe | None = None
    kinds: dict[str, ValueType] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    lines: dict[str, tuple[str, ...]] = field(default_factory=dict)
    symbols: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    place: str = ""  # of the expression that is checked

    def kind(self, node: Node) -> ValueType:
        """Answer what `node` is; after a mistake, ValueType.UNKNOWN."""
        match node:
            case Number():
                return ValueType.PERCENT if node.is_percent else ValueType.NUMBER
            case Text():
                return ValueType.TEXT
            case Past():
                return ValueType.SERIES
            case Recursive():
                self._number(node.start, "'start'")
                self._number(node.following, "'next'")
                return ValueType.SERIES
            case Name():
                return self._name(node)
            case Unary(op="not"):
                self._want(node.operand, ValueType.CONDITION, "'not' needs a condition")
                return ValueType.CONDITION
            case Unary():
                return self._number(node.operand, "'-'")
            case Binary():
                return self._binary(node)
            case Offset():
                return self._offset(node)
            case Line():
                return self._line(node)
            case Call():
                return self._call(node)
        raise AssertionError(node)

    def wrong(self, node: Node, message: str, remedy: str, length: int = 1) -> ValueType:
        self.mistakes.append(Mistake(node.at, length, message, remedy))
        return ValueType.UNKNOWN

    def _name(self, node: Name) -> ValueType:
        name = node.name
        if name in self.parameters:
            return ValueType.PERCENT if self.parameters[name].is_percent else ValueType.NUMBER
        if name in self.indicators:
            if name not in self.kinds:
                return self.wrong(node, f"'{name}' is used before it is defined", "define it above", len(name))
            return self.kinds[name]
        if name in PRICES or name in CALENDAR:
            return ValueType.SERIES
        if lookup(name):
            signature = lookup(name).signature  # type: ignore[union-attr]
            return self.wrong(node, f"'{name}' is a function", f"call it: {signature}", len(name))
        known = [*PRICES, *CALENDAR, *self.parameters, *self.indicators]
        return self.wrong(node, f"unknown name '{name}'", suggest(name, known), len(name))

    def _want(self, node: Node, wanted: ValueType, why: str) -> None:
        kind = self.kind(node)
        if kind not in (wanted, ValueType.UNKNOWN):
            remedy = (
                "compare it with something, such as > 0" if wanted is ValueType.CONDITION else self._remedy(node, kind)
            )
            self.wrong(node, f"{why}, this is {kind.value}", remedy)

    def _remedy(self, node: Node, kind: ValueType) -> str:
        if kind is ValueType.LINES:
            return "choose one line: " + ", ".join(f".{line}" for line in self._lines_of(node))
        if kind is ValueType.SYMBOL:
            return "choose a price: .open, .high, .low, .close or .volume"
        if kind is ValueType.MODEL:
            return "choose what it says: .probability, .prediction or .uncertainty"
        return "write a number or a series"

    def _number(self, node: Node, where: str) -> ValueType:
        kind = self.kind(node)
        if not kind.is_numeric:
            return self.wrong(
                node, f"{where} needs a number or a series, this is {kind.value}", self._remedy(node, kind)
            )
        return kind

    def _binary(self, node: Binary) -> ValueType:
        if node.op in ("and", "or"):
            for side in (node.left, node.right):
                self._want(side, ValueType.CONDITION, f"'{node.op}' needs conditions on both sides")
            return ValueType.CONDITION
        left, right = self._number(node.left, f"'{node.op}'"), self._number(node.right, f"'{node.op}'")
        if node.op in ("<", "<=", ">", ">=", "==", "!="):
            return ValueType.CONDITION
        if ValueType.UNKNOWN in (left, right):
            return ValueType.UNKNOWN
        if node.op == "/" and right.is_constant and self.constant(node.right) == 0:
            return self.wrong(node, "division by zero", "divide by something else")
        if ValueType.SERIES in (left, right):
            return ValueType.SERIES
        is_ratio = node.op == "/" and left is right
        return ValueType.NUMBER if is_ratio or ValueType.PERCENT not in (left, right) else ValueType.PERCENT

    def _offset(self, node: Offset) -> ValueType:
        kind = self.kind(node.base)
        if kind not in (ValueType.SERIES, ValueType.CONDITION, ValueType.UNKNOWN):
            self.wrong(node.base, f"an offset needs a series or a condition, this is {kind.value}",
                       self._remedy(node.base, kind))  # fmt: skip
        bars = self.kind(node.bars)
        if bars is not ValueType.NUMBER:
            if bars is not ValueType.UNKNOWN:
                self.wrong(node.bars, f"an offset is a whole number of bars, this is {bars.value}",
                           "write a constant or a parameter: close[1]")  # fmt: skip
            return ValueType.UNKNOWN
        value = self.constant(node.bars)
        if value is None:
            return ValueType.UNKNOWN
        if value < 0 and self.place != LABEL:
            return self.wrong(node.bars, f"the offset {value:g} would look into the future",
                              "an offset counts bars into the past: close[1] is the bar before")  # fmt: skip
        if value != int(value) or abs(value) > MAX_OFFSET:
            return self.wrong(node.bars, f"the offset {value:g} is not a whole number of bars",
                              f"write a whole number from 0 to {MAX_OFFSET:,}")  # fmt: skip
        return kind

    def _lines_of(self, node: Node) -> tuple[str, ...]:
        if isinstance(node, Name):
            return self.lines.get(node.name, ())
        if isinstance(node, Offset):
            return self._lines_of(node.base)
        if isinstance(node, Call) and node.name == "on" and len(node.arguments) == 2:
            return self._lines_of(node.arguments[1])
        function = lookup(node.name) if isinstance(node, Call) else None
        return function.lines if function else ()

    def _line(self, node: Line) -> ValueType:
        kind = self.kind(node.base)
        if kind is ValueType.UNKNOWN:
            return kind
        by_kind = {ValueType.SYMBOL: PRICES, ValueType.MODEL: MODEL_LINES}
        known = by_kind.get(kind, self._lines_of(node.base) if kind is ValueType.LINES else ())
        if not known:
            return self.wrong(node, f"{kind.value} has no '.{node.name}'", "remove it", len(node.name) + 1)
        if node.name not in known:
            return self.wrong(node, f"there is no line '.{node.name}'", suggest(node.name, known), len(node.name) + 1)
        return ValueType.SERIES

    def _call(self, node: Call) -> ValueType:
        if node.name in (special := {"on": self._on, "symbol": self._symbol, "model": self._model}):
            return special[node.name](node)
        function = lookup(node.name)
        if function is None:
            for argument in node.children():
                self.kind(argument)
            if node.name in self.parameters or node.name in self.indicators or node.name in PRICES:
                return self.wrong(node, f"'{node.name}' is no function", "remove the brackets", len(node.name))
            remedy = suggest(node.name, function_names())
            return self.wrong(node, f"unknown indicator '{node.name}'", remedy, len(node.name))
        return self._apply(node, function)

    def _apply(self, node: Call, function: Function) -> ValueType:
        series, constants = split_arguments(self, node, function)
        if series is None:
            return ValueType.UNKNOWN
        before = len(self.mistakes)
        for argument, wanted in zip(series, function.inputs, strict=True):
            if wanted is ValueType.CONDITION:
                self._want(argument, wanted, f"{function.name} needs a condition here")
            else:
                self._number(argument, function.name)
        numbers = [argument for argument, kind in zip(series, function.inputs, strict=True) if kind is ValueType.SERIES]
        if _is_of_past(function) and numbers and all(self.kind(argument).is_constant for argument in numbers):
            what = f"{function.name} needs a series, this is a constant"
            return self.wrong(numbers[0], what, f"write {_of_close(node) if len(numbers) == 1 else function.signature}")
        values = self._constants(node, function, constants)
        if values is None or len(self.mistakes) > before:
            return ValueType.UNKNOWN
        if pair := function.reversed_pair(values):
            what = f"'{pair[0]}' of {function.name} is greater than '{pair[1]}'"
            return self.wrong(node, what, "write the smaller one first", len(node.name))
        return ValueType.LINES if len(function.lines) > 1 else function.result

    def _constants(self, node: Call, function: Function, given: Mapping[str, Node]) -> tuple[float, ...] | None:
        values = []
        for parameter in function.parameters:
            argument = given.get(parameter.name)
            if argument is None:
                if parameter.default is None:
                    self.wrong(node, f"{function.name} needs '{parameter.name}'", f"write {function.signature}")
                    return None
                values.append(parameter.default)
                continue
            kind = self.kind(argument)
            value = self.constant(argument) if kind.is_constant else None
            if value is None:
                if kind is not ValueType.UNKNOWN:
                    self.wrong(argument, f"'{parameter.name}' of {function.name} is a constant, this is {kind.value}",
                               f"write a number or a parameter: {function.signature}")  # fmt: skip
                return None
            if parameter.is_whole and value != int(value):
                self.wrong(argument, f"'{parameter.name}' of {function.name} is a whole number, not {value:g}",
                           "round it")  # fmt: skip
                return None
            if not parameter.accepts(value):
                self.wrong(argument, f"{function.name} does not accept {parameter.name}={value:g}",
                           f"write {parameter.low:g} to {parameter.high:g}")  # fmt: skip
                return None
            values.append(value)
        return tuple(values)

    def _on(self, node: Call) -> ValueType:
        if len(node.arguments) != 2 or node.keywords or not isinstance(node.arguments[0], Text):
            return self.wrong(node, "on takes a timeframe and an expression", 'write on("1h", ema(close, 50))', 2)
        try:
            timeframe = parse_timeframe(node.arguments[0].value)
        except InvalidInput as error:
            return self.wrong(node.arguments[0], error.problems[0].message, error.problems[0].remedy)
        if self.timeframe and not timeframe.is_made_of(self.timeframe):
            return self.wrong(node.arguments[0], f"{timeframe} is not a multiple of the document's {self.timeframe}",
                              "name a longer timeframe made of whole bars")  # fmt: skip
        outer, self.timeframe = self.timeframe, timeframe
        kind = self.kind(node.arguments[1])
        self.timeframe = outer
        if kind.is_constant or kind in (ValueType.TEXT, ValueType.SYMBOL, ValueType.MODEL):
            self.wrong(node.arguments[1], f"on needs a series or a condition, this is {kind.value}", "")
            return ValueType.UNKNOWN
        return kind

    def _symbol(self, node: Call) -> ValueType:
        if len(node.arguments) != 1 or node.keywords or not isinstance(node.arguments[0], Text):
            return self.wrong(node, "symbol takes the name of a symbol", 'write symbol("SPY").close', 6)
        self.symbols.add(node.arguments[0].value)
        return ValueType.SYMBOL

    def _model(self, node: Call) -> ValueType:
        is_one = len(node.arguments) == 1 and not node.keywords
        if not is_one or not isinstance(node.arguments[0], Text) or not MODEL_NAME.fullmatch(node.arguments[0].value):
            remedy = "write model('name').probability; a version is named by model('name@3')"
            return self.wrong(node, "model takes the name of a model", remedy, 5)
        self.models.add(node.arguments[0].value)
        return ValueType.MODEL

    def constant(self, node: Node) -> float | None:
        """Answer the value of a constant expression, None where it has none (a mistake is reported elsewhere)."""
        folded = fold(node, self.parameters)
        return folded.value if isinstance(folded, Number) else None


def split_arguments(
    checker: Checker, node: Call, function: Function
) -> tuple[tuple[Node, ...] | None, dict[str, Node]]:
    """Answer a call's series and its constants by name; (None, {}) after reporting what does not fit."""
    count = len(function.inputs)
    series, rest = assign_series(node, function, lambda argument: checker.kind(argument).is_constant)
    names = [parameter.name for parameter in function.parameters]
    if len(series) < count:
        checker.wrong(
            node, f"{function.name} needs {count} series first", f"write {function.signature}", len(node.name)
        )
        return None, {}
    if len(rest) > len(names):
        checker.wrong(rest[len(names)], f"{function.name} has too many arguments", f"write {function.signature}")
        return None, {}
    constants = dict(zip(names, rest, strict=False))
    for key, value in node.keywords:
        if key not in names or key in constants:
            checker.wrong(value, f"{function.name} has no further argument '{key}'", f"write {function.signature}")
            return None, {}
        constants[key] = value
    return series, constants


def assign_series(
    node: Call, function: Function, is_constant: Callable[[Node], bool]
) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """Answer the series arguments of a call and what follows them; TA-Lib's fixed prices may be left out."""
    count = len(function.inputs)
    arguments = node.arguments
    if function.implicit and count and (not arguments or is_constant(arguments[0])):
        return tuple(Name(node.at, price) for price in function.implicit), arguments
    return arguments[:count], arguments[count:]


def _is_of_past(function: Function) -> bool:
    """Answer whether a function looks at more than one bar, so that it says nothing of a constant."""
    return bool(function.parameters) or function.result is ValueType.CONDITION


def _of_close(node: Call) -> str:
    """Answer a call as it was probably meant: of the closes."""
    return f"{node.name}({', '.join(['close', *map(_shown, node.arguments)])})"


def _shown(node: Node) -> str:
    return f"{node.value:g}" if isinstance(node, Number) else node.name if isinstance(node, Name) else "…"
