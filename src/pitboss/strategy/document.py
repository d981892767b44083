"""A strategy document: YAML text in, a typed `Document` or every mistake in it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pitboss.core.errors import InvalidInput, Problem, suggest
from pitboss.core.timeframe import Timeframe
from pitboss.strategy.check import Checker
from pitboss.strategy.expression import Node, Number
from pitboss.strategy.valuetype import ValueType

NO_ENTRY = "no-entry"  # the code of the mistake that a document never opens a position
SIDES = ("long", "short")
LARGEST = 1e15  # no price, size or length has use for more
SIZINGS = ("fixed_cash", "fixed_quantity", "percent_equity", "risk")
LEVELS = ("stop_loss", "take_profit", "trailing_stop")


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """A number that a run may override: its default, the range it must stay in, and whether it is a whole one."""

    default: Number
    low: float | None = None
    high: float | None = None
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Sizing:
    """How large an entry is. `value`: cash, quantity or a fraction of equity; `lot` 0 is fractional."""

    type: str = "percent_equity"
    value: float = 1.0
    lot: float = 0.0


@dataclass(frozen=True, slots=True)
class Costs:
    """What trading costs, on both sides: fractions of the notional, or money; `borrow` a year on shorts."""

    commission: float = 0.0
    per_share: float = 0.0
    per_order: float = 0.0
    minimum: float = 0.0
    slippage: float = 0.0
    borrow: float = 0.0


@dataclass(frozen=True, slots=True)
class Document:
    """A checked strategy document. Expressions are unbound: parameters and indicators still go by name."""

    name: str
    text: str
    timeframe: Timeframe | None = None
    description: str = ""
    source: str = ""
    parameters: Mapping[str, ParameterSpec] = field(default_factory=dict)
    indicators: Mapping[str, Node] = field(default_factory=dict)
    entry: Mapping[str, Node] = field(default_factory=dict)
    exit: Mapping[str, Node] = field(default_factory=dict)
    levels: Mapping[str, Node] = field(default_factory=dict)
    max_bars: Node | None = None
    sizing: Sizing = Sizing()
    costs: Costs = Costs()
    symbols: frozenset[str] = frozenset()
    where: Node | None = None  # what parameters that a grid chooses must fulfil

    @property
    def has_entry(self) -> bool:
        return bool(self.entry)

    def require_entry(self) -> None:
        """Raise InvalidInput when the document can never open a position."""
        if not self.has_entry:
            what = f"strategy '{self.name}' has no entry condition"
            remedy = "add entry.long or entry.short: it would never trade"
            raise InvalidInput(Problem(what, remedy, where="strategy", code=NO_ENTRY))

    def parameter_values(self, overrides: Mapping[str, Any] | None = None) -> dict[str, Number]:
        """Answer the parameters with `overrides` (numbers, or texts such as `3%`) put in.

        Raises InvalidInput for unknown names, wrong types and values out of range, all at once.
        """
        values = {name: spec.default for name, spec in self.parameters.items()}
        problems = []
        for name, given in (overrides or {}).items():
            outcome = self._override(name, given)
            if isinstance(outcome, Problem):
                problems.append(outcome)
            else:
                values[name] = outcome
        if problems:
            raise InvalidInput(problems)
        return values

    def _override(self, name: str, given: Any) -> Number | Problem:
        where = f"parameters.{name}"
        spec = self.parameters.get(name)
        if spec is None:
            return Problem(f"unknown parameter '{name}'", suggest(name, self.parameters), where=where)
        value = read_number(given)
        if value is None:
            return Problem(f"'{str(given)[:40]}' is not a number", "write a number such as 12 or 3%", where=where)
        if spec.is_whole and value.value != int(value.value):
            return Problem(f"'{name}' is a whole number, not {value.value:g}", "round it", where=where)
        if (spec.low is not None and value.value < spec.low) or (spec.high is not None and value.value > spec.high):
            low, high = spec.low, spec.high
            return Problem(f"'{name}' is {value.value:g}, outside {low:g} to {high:g}",
                           "choose a value in the range, or widen it in the document", where=where)  # fmt: skip
        return replace(value, is_percent=spec.default.is_percent)

    def check(self, overrides: Mapping[str, Any] | None = None) -> dict[str, Number]:
        """Answer the parameter values with `overrides`, after type-checking every expression with them."""
        values = self.parameter_values(overrides)
        checker = Checker(values, self.indicators, self.timeframe)
        problems = []
        for where, node, _ in self.expressions():
            checker.mistakes.clear()
            kind = checker.kind(node)
            remember(checker, where, node, kind)
            problems += [Problem(mistake.message, mistake.remedy, where=where) for mistake in checker.mistakes]
        if problems:
            raise InvalidInput(problems)
        return values

    def expressions(self) -> list[tuple[str, Node, tuple[ValueType, ...]]]:
        """Answer every expression with its place and the kinds it may be, indicators first."""
        series = (ValueType.SERIES, ValueType.NUMBER, ValueType.PERCENT, ValueType.CONDITION, ValueType.LINES)
        found: list[tuple[str, Node, tuple[ValueType, ...]]] = [
            (f"indicators.{name}", node, series) for name, node in self.indicators.items()
        ]
        found += [(f"entry.{side}", node, (ValueType.CONDITION,)) for side, node in self.entry.items()]
        found += [(f"exit.{side}", node, (ValueType.CONDITION,)) for side, node in self.exit.items()]
        distance = (ValueType.SERIES, ValueType.NUMBER, ValueType.PERCENT)
        found += [(f"risk.{name}", node, distance) for name, node in self.levels.items()]
        if self.max_bars is not None:
            found.append(("risk.max_bars", self.max_bars, (ValueType.NUMBER,)))
        return found


def remember(checker: Checker, where: str, node: Node, kind: ValueType) -> None:
    """Note what a named indicator turned out to be, for the expressions that use it."""
    if where.startswith("indicators."):
        name = where.removeprefix("indicators.")
        checker.kinds[name] = kind
        checker.lines[name] = checker._lines_of(node)


def read_number(given: Any) -> Number | None:
    """Read 12, 0.5, "12" or "3%"; None for anything else."""
    if isinstance(given, bool) or given is None:
        return None
    text = str(given).strip()
    is_percent = text.endswith("%")
    try:
        value = float(text[:-1] if is_percent else text)
    except ValueError:
        return None
    if not abs(value) <= LARGEST:  # NaN is not
        return None
    return Number(0, value / 100 if is_percent else value, is_percent)
