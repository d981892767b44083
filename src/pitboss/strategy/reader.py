"""Reading a strategy document from YAML: safely, with the place of every mistake, all mistakes at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from pitboss.calendars.spelling import check_zone, read_session
from pitboss.core.errors import InvalidInput, Problem
from pitboss.strategy.check import LABEL, Checker
from pitboss.strategy.constraint import faults_of
from pitboss.strategy.declared import root_of, text_in
from pitboss.strategy.document import (
    COUNTS,
    LEAST_COUNTS,
    LEVELS,
    NO_CLOCK,
    SIDES,
    Document,
    ParameterSpec,
)
from pitboss.strategy.expression import ExpressionError, Node, parse, walk
from pitboss.strategy.functions import CALENDAR, PRICES
from pitboss.strategy.trainsection import TrainSection
from pitboss.strategy.valuetype import ValueType

ENTRY_SETTINGS = ("order", "windows", "cooldown", "max_positions")
KEYS = (
    "name", "description", "source", "timeframe", "parameters", "indicators", "entry", "exit", "risk",
    "sizing", "costs", "where", "timezone", "session", "train",
)  # fmt: skip


def read_document(text: str) -> Document:
    """Read and check a document. Raises InvalidInput with every mistake and its position."""
    document, problems = inspect_document(text)
    if document is None or problems:
        raise InvalidInput(problems)
    return document


def read_document_file(path: Path) -> Document:
    """Read and check the document in a file. Raises InvalidInput when it cannot be read or has mistakes."""
    return read_document(text_in(path, "strategy"))


def inspect_document(text: str) -> tuple[Document | None, list[Problem]]:
    """Answer the document and its mistakes in the order of the text; None when it is no mapping at all."""
    root, problems = root_of(text, "strategy")
    if root is None:
        return None, problems
    reader = _Reader(text)
    document = reader.document(root)
    reader.problems.sort(key=lambda problem: (problem.line or 0, problem.column or 0))
    return document, reader.problems


class _Reader(TrainSection):
    """Makes a document of its nodes."""

    def document(self, root: yaml.MappingNode) -> Document:
        top = self.mapping(root, "document", KEYS)
        nothing = yaml.MappingNode("", [])
        name = self.name(root, top.get("name"))
        timeframe = self.timeframe(top.get("timeframe"))
        parameters = self.parameters(top.get("parameters", nothing))
        indicators = self.expressions(top.get("indicators", nothing), "indicators")
        for taken in sorted(set(indicators) & {*parameters, *PRICES, *CALENDAR}):
            self.wrong(self.sources[f"indicators.{taken}"], f"the name '{taken}' is taken", "choose another name")
        values = {key: spec.default for key, spec in parameters.items()}
        entry = self.mapping(top.get("entry", nothing), "entry", (*SIDES, *ENTRY_SETTINGS))
        leave = self.mapping(top.get("exit", nothing), "exit", (*SIDES, "at"))
        risk = self.mapping(top.get("risk", nothing), "risk", (*LEVELS, "max_bars"))
        prices, waiting = self.order(entry.get("order"))
        counts = self.counts(risk, "risk") | self.counts(entry, "entry") | waiting
        levels, shares = self.levels(risk)
        document = Document(
            name, self.text, timeframe, self.scalar(top.get("description"), "description"),
            self.scalar(top.get("source"), "source"), parameters, indicators,
            entry=self.sides(entry, "entry"), exit=self.sides(leave, "exit"), levels=levels, shares=shares,
            prices=prices, counts=counts, windows=self.windows(entry.get("windows")),
            exit_at=self.exit_at(leave.get("at")), sizing=self.sizing(top.get("sizing", nothing), values, levels),
            costs=self.costs(top.get("costs", nothing), values), where=self.constraint(top.get("where"), parameters),
            timezone=self.spelled(top.get("timezone"), "timezone", check_zone),
            session=self.spelled(top.get("session"), "session", read_session), train=self.training(top.get("train")),
        )  # fmt: skip
        for where in document.idle_clocks:
            self.wrong(top[where.partition(".")[0]], *NO_CLOCK, where)
        if not self.check_size(document):
            return document
        symbols, models = self.check(document, values)
        return replace(document, symbols=symbols, models=models, settings=self.settings)

    def constraint(self, node: yaml.Node | None, parameters: Mapping[str, ParameterSpec]) -> Node | None:
        text = self.scalar(node, "where")
        if node is None or not text:
            return None
        try:
            parsed = parse(text)
        except ExpressionError as error:
            self.wrong(node, error.message, error.remedy, "where", error.offset)
            return None
        faults = list(faults_of(parsed, parameters))
        for fault in faults:
            self.wrong(node, fault.message, fault.remedy, "where", fault.offset)
        return None if faults else parsed

    def sides(self, parts: Mapping[str, yaml.Node], where: str) -> dict[str, Node]:
        """Read the conditions for long and short."""
        given = {side: parts[side] for side in SIDES if side in parts and not self.is_none(parts[side])}
        read = {side: self.expression(node, f"{where}.{side}") for side, node in given.items()}
        return {side: node for side, node in read.items() if node is not None}

    def check_value(self, checker: Checker, where: str, node: Node, kind: ValueType) -> None:
        """Report a constant distance that is not above 0, and a number of bars that is not whole."""
        if where.startswith("train."):
            self.check_models(checker, node)
        if where == LABEL:
            self.check_label(checker, node)
        if where.startswith("indicators.") or not kind.is_constant or kind is ValueType.UNKNOWN:
            return
        value = checker.constant(node)
        is_count = where in COUNTS
        if value is None:
            return
        is_low = not value > 0 and value != LEAST_COUNTS.get(where)
        is_share = where.endswith(".share")
        if is_low or (is_count and (value != int(value) or value > 1e9)) or (is_share and value > 1):
            first = next(walk(node))
            what = (
                "a whole number, 1 or more" if is_count else "a share such as 50%" if is_share else "a number above 0"
            )
            checker.wrong(first, f"{where} is {value:g}", f"write {what}")

    def wanted(self, where: str) -> str:
        if where.startswith(("entry.long", "entry.short", "exit.")):
            return "compare something: close > open"
        if where in COUNTS:
            return "write a whole number"
        if where.startswith("entry.order."):
            return "write a price such as close - atr(14)"
        if where.startswith(("risk.", "train.label.")) and where != LABEL:
            return "write a distance such as 3% or 2 * atr(14)"
        return super().wanted(where)
