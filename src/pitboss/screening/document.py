"""A screen document: what it asks of each symbol, and what it says of those that pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pitboss.core.timeframe import Timeframe, parse_timeframe
from pitboss.strategy.check import Checker
from pitboss.strategy.document import ParameterSpec, Parametrised
from pitboss.strategy.expression import Node, Number, Recursive
from pitboss.strategy.valuetype import ValueType

CONDITION = (ValueType.CONDITION,)
CONSTANT = (ValueType.NUMBER, ValueType.PERCENT)
NUMERIC = (*CONSTANT, ValueType.SERIES)
DERIVED = {"base": ValueType.SERIES, "score": ValueType.SERIES, "passed": ValueType.CONDITION}
DAY = parse_timeframe("1d")


@dataclass(frozen=True, slots=True)
class Filter:
    """What a symbol must fulfil whatever its score, and what is said where it does not."""

    name: str
    keep: Node
    reason: str


@dataclass(frozen=True, slots=True)
class Criterion:
    """Points for a condition, or graded ones: an expression held between `least` and `most`."""

    name: str
    points: Node
    when: Node | None = None
    least: Node | None = None
    most: Node | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A word for the first of some conditions that holds; the last may be without one."""

    word: str
    when: Node | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenDocument(Parametrised):
    """A checked screen document. Expressions are unbound: parameters and indicators still go by name."""

    name: str
    text: str
    timeframe: Timeframe = DAY
    description: str = ""
    source: str = ""
    universe: str | tuple[str, ...] = ""  # a name, or tickers; empty where the document leaves it to its runs
    parameters: Mapping[str, ParameterSpec] = field(default_factory=dict)
    indicators: Mapping[str, Node] = field(default_factory=dict)
    least_bars: Node | None = None
    filters: tuple[Filter, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    overlay: tuple[Criterion, ...] = ()
    pass_mark: Node | None = None
    lowest: Node | None = None
    highest: Node | None = None
    classes: tuple[Label, ...] = ()
    risk: tuple[Label, ...] = ()
    metrics: Mapping[str, Node | tuple[Label, ...]] = field(default_factory=dict)
    stop: Node | None = None
    symbols: frozenset[str] = frozenset()  # of others, that it looks at
    models: frozenset[str] = frozenset()  # that it asks, as it names them

    @property
    def labels(self) -> dict[str, tuple[Label, ...]]:
        """Everything that answers a word: the class, the risk and those of the metrics that are words."""
        found = {"class": self.classes, "risk": self.risk}
        return {name: each for name, each in found.items() if each} | {
            name: each for name, each in self.metrics.items() if isinstance(each, tuple)
        }

    @property
    def measures(self) -> dict[str, Node]:
        """Everything that answers a number: the metrics, and the stop."""
        found = {name: each for name, each in self.metrics.items() if not isinstance(each, tuple)}
        return found | ({"stop": self.stop} if self.stop is not None else {})

    def checker(self, values: Mapping[str, Number]) -> Checker:
        """Answer what checks its expressions; the order in which they may name each other was checked when it was
        read."""
        known = {**self.indicators, **dict.fromkeys(DERIVED, Number(0, 0.0))}
        return Checker(values, known, self.timeframe, kinds=dict(DERIVED))

    def expressions(self) -> list[tuple[str, Node, tuple[ValueType, ...]]]:
        """Answer every expression with its place and the kinds it may be, each after what it names."""
        found: list[tuple[str, Node | None, tuple[ValueType, ...]]] = []
        for name, node in self.indicators.items():
            if isinstance(node, Recursive):
                found += [(f"indicators.{name}.start", node.start, NUMERIC)]
                found += [(f"indicators.{name}.next", node.following, NUMERIC)]
            else:
                found.append((f"indicators.{name}", node, (*NUMERIC, ValueType.CONDITION, ValueType.LINES)))
        found += [(f"filters.{each.name}", each.keep, CONDITION) for each in self.filters]
        for section, criteria in (("criteria", self.criteria), ("overlay", self.overlay)):
            for each in criteria:
                graded = NUMERIC if each.when is None else CONSTANT
                found += [(f"{section}.{each.name}.when", each.when, CONDITION)]
                found += [(f"{section}.{each.name}.points", each.points, graded)]
                found += [(f"{section}.{each.name}.least", each.least, CONSTANT)]
                found += [(f"{section}.{each.name}.most", each.most, CONSTANT)]
        found += [("least_bars", self.least_bars, CONSTANT), ("pass_mark", self.pass_mark, CONSTANT)]
        found += [("score.lowest", self.lowest, CONSTANT), ("score.highest", self.highest, CONSTANT)]
        for name, labels in self.labels.items():
            place = {"class": "classes", "risk": "risk"}.get(name, f"metrics.{name}")
            found += [(f"{place}.{label.word}", label.when, CONDITION) for label in labels]
        found += [
            ("stop" if name == "stop" else f"metrics.{name}", node, NUMERIC) for name, node in self.measures.items()
        ]
        return [(where, node, kinds) for where, node, kinds in found if node is not None]
