"""The sections of a document that are settings: sizing, costs, and how entries wait and positions are left."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields

import yaml

from pitboss.core.errors import suggest
from pitboss.strategy.binding import fold
from pitboss.strategy.declared import Declarations
from pitboss.strategy.document import COUNTS, DAY_MINUTES, LEVELS, PRICED, SIDES, SIZINGS, WHEN_SHORT, Costs, Sizing
from pitboss.strategy.expression import ExpressionError, Name, Node, Number, parse, walk

_CLOCK = re.compile(r"(\d{1,2}):(\d\d)")
MOST_TARGETS = 16


class Sections(Declarations):
    """Reads settings."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.settings: dict[str, Node] = {}  # those of sizing and costs that parameters decide

    def constant(self, node: yaml.Node, where: str, values: dict[str, Number]) -> float | None:
        """Read a constant expression such as 10%, 12 or size_parameter."""
        text = self.scalar(node, where)
        try:
            parsed = parse(text)
            if any(isinstance(each, Name) for each in walk(parsed)):
                self.settings[where] = parsed
            folded = fold(parsed, values)
        except ExpressionError as error:
            self.wrong(node, error.message, error.remedy, where)
            return None
        if not isinstance(folded, Number) or not folded.value >= 0:
            what = f"'{where}' is a number that is not negative"
            self.wrong(node, what, "write a number such as 10 or 0.1%", where)
            return None
        return folded.value

    def counts(self, parts: dict[str, yaml.Node], where: str) -> dict[str, Node]:
        """Take the whole numbers that a section may hold out of its `parts`."""
        found = {}
        for place in COUNTS:
            name = place.removeprefix(f"{where}.")
            if name in parts and (read := self.expression(parts.pop(name), place)) is not None:
                found[place] = read
        return found

    def levels(self, parts: dict[str, yaml.Node]) -> tuple[dict[str, Node], dict[str, Node]]:
        """Read stop, targets and trailing stop; answer their distances, and the shares that several targets close."""
        distances: dict[str, Node] = {}
        shares: dict[str, Node] = {}
        for name in LEVELS:
            node = parts.get(name)
            if name == "take_profit" and isinstance(node, yaml.SequenceNode):
                if any(not isinstance(each, yaml.MappingNode) for each in node.value):
                    what = "each of several targets names its distance and what it closes"
                    self.wrong(node, what, "write [{at: 1%, share: 50%}, {at: 2%, share: 50%}]", "risk.take_profit")
                    continue
                several = [self.mapping(each, "risk.take_profit", ("at", "share")) for each in node.value]
                if not 1 <= len(several) <= MOST_TARGETS:
                    self.wrong(node, f"{len(several)} targets", f"write 1 to {MOST_TARGETS}", "risk.take_profit")
                for index, target in enumerate(several):
                    key = f"take_profit[{index}]"
                    for part, into in (("at", distances), ("share", shares)):
                        if part not in target:
                            what = f"a target has no '{part}'"
                            self.wrong(node.value[index], what, "write {at: 2%, share: 50%}", f"risk.{key}")
                        elif read := self.expression(target[part], f"risk.{key}" + ".share" * (part == "share")):
                            into[key] = read
            elif node is not None and not self.is_none(node) and (read := self.expression(node, f"risk.{name}")):
                distances[name] = read
        return distances, shares

    def is_none(self, node: yaml.Node) -> bool:
        return isinstance(node, yaml.ScalarNode) and node.value.strip().lower() in ("", "none", "null", "~")

    def order(self, node: yaml.Node | None) -> tuple[dict[str, Node], dict[str, Node]]:
        """Read how an entry waits; answer its prices by `stop.long`, … and the counts."""
        if node is None:
            return {}, {}
        parts = self.mapping(node, "entry.order", (*PRICED, "expiry"))
        counts = self.counts(parts, "entry.order")
        prices: dict[str, Node] = {}
        for name, value in parts.items():
            place = f"entry.order.{name}"
            if isinstance(value, yaml.MappingNode):
                sides = self.mapping(value, place, SIDES)
                found = {side: self.expression(each, f"{place}.{side}") for side, each in sides.items()}
            else:
                found = {side: self.expression(value, f"{place}.{side}") for side in SIDES}
            prices |= {f"{name}.{side}": read for side, read in found.items() if read is not None}
        if not parts:
            what = "the order names no price"
            self.wrong(node, what, "write {limit: close - atr(14)}, {stop: …} or both", "entry.order")
        return prices, counts

    def windows(self, node: yaml.Node | None) -> tuple[tuple[int, int], ...]:
        """Read one or a list of times of the day such as 09:30-11:30; past midnight where the end is the earlier."""
        if node is None:
            return ()
        found = []
        for each in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            ends = [self.clock(part) for part in self.scalar(each, "entry.windows").split("-")]
            if len(ends) != 2 or None in ends or ends[0] == ends[1]:
                self.wrong(each, "a window is two times of the day", 'write "09:30-11:30"', "entry.windows")
            else:
                found.append((ends[0] or 0, ends[1] or 0))
        return tuple(found)

    def exit_at(self, node: yaml.Node | None) -> int | None:
        if node is None:
            return None
        minutes = self.clock(self.scalar(node, "exit.at"))
        if minutes is None:
            self.wrong(node, "exit.at is a time of the day", 'write "15:55"', "exit.at")
        return minutes

    def clock(self, text: str) -> int | None:
        """Answer the minutes after midnight of a time such as 09:30; None for what is none."""
        match = _CLOCK.fullmatch(text.strip())
        minutes = 60 * int(match[1]) + int(match[2]) if match and int(match[2]) < 60 else DAY_MINUTES + 1
        return minutes if minutes <= DAY_MINUTES else None

    def sizing(self, node: yaml.Node, values: dict[str, Number], risk: Mapping[str, Node]) -> Sizing:
        parts = self.mapping(node, "sizing", tuple(f.name for f in fields(Sizing)))
        if not parts:
            return Sizing()
        kind = self.scalar(parts.pop("type", None), "sizing.type") or "percent_equity"
        if kind not in SIZINGS:
            self.wrong(node, f"unknown sizing '{kind[:40]}'", suggest(kind, SIZINGS), "sizing.type")
        if kind == "risk" and "stop_loss" not in risk:
            self.wrong(node, "sizing by risk needs a stop", "add risk.stop_loss", "sizing.type")
        when_short = self.scalar(parts.pop("when_short", None), "sizing.when_short") or WHEN_SHORT[0]
        if when_short not in WHEN_SHORT:
            self.wrong(node, f"unknown when_short '{when_short[:40]}'", "write fill or reject", "sizing.when_short")
        if "value" not in parts and kind != "percent_equity":
            self.wrong(node, "sizing has no value", "add value: 10%", "sizing.value")
        read = {key: self.constant(part, f"sizing.{key}", values) for key, part in parts.items()}
        known = {key: number for key, number in read.items() if number is not None}
        sizing = Sizing(kind, when_short=when_short, **known)
        for name, what, remedy in sizing.faults():
            self.wrong(parts.get(name, node), what, remedy, f"sizing.{name}")
        return sizing

    def costs(self, node: yaml.Node, values: dict[str, Number]) -> Costs:
        known = tuple(f.name for f in fields(Costs))
        parts = self.mapping(node, "costs", known)
        numbers = {key: self.constant(part, f"costs.{key}", values) or 0.0 for key, part in parts.items()}
        costs = Costs(**numbers)
        for name, what, remedy in costs.faults():
            self.wrong(parts[name], what, remedy, f"costs.{name}")
        return costs
