"""A strategy document: YAML text in, a typed `Document` or every mistake in it out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pitboss.core.errors import InvalidInput, Problem, suggest
from pitboss.core.timeframe import Timeframe
from pitboss.strategy.binding import fold
from pitboss.strategy.check import Checker
from pitboss.strategy.expression import Name, Node, Number, Recursive, walk
from pitboss.strategy.training import Training
from pitboss.strategy.valuetype import ValueType

NO_ENTRY = "no-entry"  # the code of the mistake that a document never opens a position
NO_CLOCK = ("bars of a day or longer have no time of the day", "leave it out, or choose a shorter timeframe")
SIDES = ("long", "short")
LARGEST = 1e15  # no price, size or length has use for more
MOST_LEVERAGE = 1_000
WHEN_SHORT = ("fill", "reject")
SIZINGS = ("fixed_cash", "fixed_quantity", "percent_equity", "risk")
LEVELS = ("stop_loss", "take_profit", "trailing_stop")
PRICED = ("stop", "limit")  # what an entry's order may name
COUNTS = ("risk.max_bars", "entry.cooldown", "entry.max_positions", "entry.order.expiry")
LEAST_COUNTS = {"entry.cooldown": 0}  # of the others 1
DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """A number that a run may override: its default, the range it must stay in, and whether it is a whole one."""

    default: Number
    low: float | None = None
    high: float | None = None
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Sizing:
    """How large an entry is. `value`: cash, quantity or a fraction of equity; `lot` 0 is fractional.

    All positions together may be worth `leverage` times the equity; they are liquidated when equity falls to
    `maintenance` of their worth. An entry that cannot be paid in full is filled with what can, or rejected, as
    `when_short` says.
    """

    type: str = "percent_equity"
    value: float = 1.0
    lot: float = 0.0
    leverage: float = 1.0
    maintenance: float | None = None
    when_short: str = "fill"

    @property
    def maintained(self) -> float:
        """The maintenance margin in force: when none is named, half of what an entry needs, and 0 without leverage."""
        if self.maintenance is not None:
            return self.maintenance
        return 0.5 / self.leverage if self.leverage > 1 else 0.0

    def faults(self) -> Iterator[tuple[str, str, str]]:
        """Yield what is wrong with the numbers: the field, what is wrong, and the remedy."""
        if not 1 <= self.leverage <= MOST_LEVERAGE:
            yield "leverage", f"a leverage of {self.leverage:g}", f"write a number from 1 to {MOST_LEVERAGE}"
            return
        if not 0 <= self.maintained <= 1 / self.leverage:
            most = f"from 0 to {1 / self.leverage:.4g}, which an entry with this leverage needs"
            yield "maintenance", f"a maintenance margin of {self.maintenance:g}", f"write a fraction {most}"
        if not self.value > 0:
            yield "value", f"the size is {self.value:g}", "write a number greater than 0"
        if self.type == "percent_equity" and self.value > self.leverage:
            what = f"{100 * self.value:,.6g} % of equity can never be paid with a leverage of {self.leverage:g}"
            yield "value", what, f"write {self.value:g}% if that was meant, or raise sizing.leverage"
        if self.type == "risk" and self.value >= 1:
            yield "value", f"{100 * self.value:,.6g} % of equity at risk", f"write {self.value:g}% if that was meant"


@dataclass(frozen=True, slots=True)
class Costs:
    """What trading costs, on both sides: fractions of the notional, or money; `borrow` a year on shorts,
    `margin_interest` a year on cash that is owed."""

    commission: float = 0.0
    per_share: float = 0.0
    per_order: float = 0.0
    minimum: float = 0.0
    slippage: float = 0.0
    borrow: float = 0.0
    margin_interest: float = 0.0

    def faults(self) -> Iterator[tuple[str, str, str]]:
        """Yield what is wrong with the numbers: the field, what is wrong, and the remedy."""
        for name in ("commission", "slippage"):
            if getattr(self, name) >= 1:
                yield name, f"a {name} of {100 * getattr(self, name):g} % is all of the price", "write 0.0002 or 0.02%"


class Parametrised(ABC):
    """What every document with parameters and expressions can do."""

    __slots__ = ()
    timeframe: Timeframe | None
    parameters: Mapping[str, ParameterSpec]
    indicators: Mapping[str, Node]

    @abstractmethod
    def expressions(self) -> list[tuple[str, Node, tuple[ValueType, ...]]]:
        """Answer every expression with its place and the kinds it may be, each after what it names."""

    def checker(self, values: Mapping[str, Number]) -> Checker:
        """Answer what checks its expressions with parameters at `values`."""
        return Checker(values, self.indicators, self.timeframe)

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
        checker = self.checker(values)
        problems = []
        for where, node, _ in self.expressions():
            checker.mistakes.clear()
            checker.place = where
            kind = checker.kind(node)
            remember(checker, where, node, kind)
            problems += [Problem(mistake.message, mistake.remedy, where=where) for mistake in checker.mistakes]
        if problems:
            raise InvalidInput(problems)
        return values


@dataclass(frozen=True, slots=True)
class Document(Parametrised):
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
    levels: Mapping[str, Node] = field(default_factory=dict)  # several targets are take_profit[0], take_profit[1], …
    shares: Mapping[str, Node] = field(default_factory=dict)  # of the position that each of several targets closes
    prices: Mapping[str, Node] = field(default_factory=dict)  # of waiting entries: stop.long, limit.short, …
    counts: Mapping[str, Node] = field(default_factory=dict)  # those of COUNTS that are given
    windows: tuple[tuple[int, int], ...] = ()  # in which entries may fill: minutes after midnight
    exit_at: int | None = None  # minutes after midnight at which positions are left
    sizing: Sizing = Sizing()
    costs: Costs = Costs()
    symbols: frozenset[str] = frozenset()
    timezone: str = ""  # of its clocks; empty: that of each series
    session: str = ""  # whose days it follows; empty: that of each series
    settings: Mapping[str, Node] = field(default_factory=dict)  # of sizing and costs what parameters decide
    where: Node | None = None  # what parameters that a grid chooses must fulfil
    train: Training | None = None
    models: frozenset[str] = frozenset()  # that its expressions ask, as they name them

    @property
    def has_entry(self) -> bool:
        return bool(self.entry)

    @property
    def idle_clocks(self) -> list[str]:
        """The settings that name a time of the day although the bars are days or longer."""
        if self.timeframe is None or not self.timeframe.is_daily:
            return []
        given = {"entry.windows": bool(self.windows), "exit.at": self.exit_at is not None}
        return [where for where, is_given in given.items() if is_given]

    @property
    def unused(self) -> list[str]:
        """The parameters and indicators that nothing in the document uses."""
        nodes = [*(node for _, node, _ in self.expressions()), *self.settings.values(), *filter(None, [self.where])]
        used = {each.name for node in nodes for each in walk(node) if isinstance(each, Name)}
        return [name for name in (*self.parameters, *self.indicators) if name not in used]

    def require_entry(self) -> None:
        """Raise InvalidInput when the document can never open a position."""
        if not self.has_entry:
            what = f"strategy '{self.name}' has no entry condition"
            remedy = "add entry.long or entry.short: it would never trade"
            raise InvalidInput(Problem(what, remedy, where="strategy", code=NO_ENTRY))

    def settled(self, values: Mapping[str, Number]) -> tuple[Sizing, Costs]:
        """Answer sizing and costs with the parameters' `values` put in. Raises InvalidInput for what they cannot be."""
        found: dict[str, dict[str, Any]] = {"sizing": {}, "costs": {}}
        problems = []
        for where, node in self.settings.items():
            section, _, name = where.partition(".")
            folded = fold(node, values)
            value = folded.value if isinstance(folded, Number) else -1.0
            if not value >= 0:
                problems.append(Problem(f"{where} comes to {value:g}", "choose other parameters", where=where))
            found[section][name] = value
        sizing, costs = replace(self.sizing, **found["sizing"]), replace(self.costs, **found["costs"])
        for section, settings in (("sizing", sizing), ("costs", costs)):
            problems += [Problem(what, remedy, where=f"{section}.{name}") for name, what, remedy in settings.faults()]
        if problems:
            raise InvalidInput(problems)
        return sizing, costs

    def expressions(self) -> list[tuple[str, Node, tuple[ValueType, ...]]]:
        """Answer every expression with its place and the kinds it may be, indicators first."""
        series = (ValueType.SERIES, ValueType.NUMBER, ValueType.PERCENT, ValueType.CONDITION, ValueType.LINES)
        found: list[tuple[str, Node, tuple[ValueType, ...]]] = []
        for name, node in self.indicators.items():
            if isinstance(node, Recursive):
                number = (ValueType.SERIES, ValueType.NUMBER, ValueType.PERCENT)
                found.append((f"indicators.{name}.start", node.start, number))
                found.append((f"indicators.{name}.next", node.following, number))
            else:
                found.append((f"indicators.{name}", node, series))
        found += [(f"entry.{side}", node, (ValueType.CONDITION,)) for side, node in self.entry.items()]
        found += [(f"exit.{side}", node, (ValueType.CONDITION,)) for side, node in self.exit.items()]
        distance = (ValueType.SERIES, ValueType.NUMBER, ValueType.PERCENT)
        found += [(f"risk.{name}", node, distance) for name, node in self.levels.items()]
        share = (ValueType.PERCENT, ValueType.NUMBER)
        found += [(f"risk.{name}.share", node, share) for name, node in self.shares.items()]
        price = (ValueType.SERIES, ValueType.NUMBER)
        found += [(f"entry.order.{name}", node, price) for name, node in self.prices.items()]
        found += [(name, node, (ValueType.NUMBER,)) for name, node in self.counts.items()]
        if self.train is not None:
            taught = (ValueType.SERIES, ValueType.CONDITION)
            found += [(f"train.features.{name}", node, taught) for name, node in self.train.features.items()]
            found += [
                (f"train.label.{name}", node, taught if name == "expression" else distance)
                for name, node in self.train.label.nodes.items()
            ]
        return found


def remember(checker: Checker, where: str, node: Node, kind: ValueType) -> None:
    """Note what a named indicator turned out to be, for the expressions that use it."""
    if where.startswith("indicators."):
        name, _, part = where.removeprefix("indicators.").partition(".")
        checker.kinds[name] = ValueType.SERIES if part else kind
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
