"""Reading a strategy document from YAML: safely, with the place of every mistake, all mistakes at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from pitboss.calendars.spelling import check_zone, read_session
from pitboss.core.errors import InvalidInput, Problem
from pitboss.core.places import absolute
from pitboss.core.timeframe import Timeframe, parse_timeframe
from pitboss.core.yamltext import compose
from pitboss.strategy.check import Checker
from pitboss.strategy.constraint import faults_of
from pitboss.strategy.document import (
    COUNTS,
    LEAST_COUNTS,
    LEVELS,
    NO_CLOCK,
    SIDES,
    Document,
    ParameterSpec,
    read_number,
    remember,
)
from pitboss.strategy.expression import ExpressionError, Name, Node, Number, parse, walk
from pitboss.strategy.functions import CALENDAR, PRICES
from pitboss.strategy.past import recursive
from pitboss.strategy.sections import Sections
from pitboss.strategy.valuetype import ValueType

MAX_BYTES = 64 * 1024
MAX_NODES = 2_000  # of one expression with its indicators put in
MAX_HEIGHT = 120
ENTRY_SETTINGS = ("order", "windows", "cooldown", "max_positions")
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
KEYS = (
    "name", "description", "source", "timeframe", "parameters", "indicators", "entry", "exit", "risk",
    "sizing", "costs", "where", "timezone", "session",
)  # fmt: skip


def read_document(text: str) -> Document:
    """Read and check a document. Raises InvalidInput with every mistake and its position."""
    document, problems = inspect_document(text)
    if document is None or problems:
        raise InvalidInput(problems)
    return document


def read_document_file(path: Path) -> Document:
    """Read and check the document in a file. Raises InvalidInput when it cannot be read or has mistakes."""
    path, named = absolute(path, "strategy"), str(path)[:80]
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidInput(_too_large(path.stat().st_size))
        return read_document(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(f"there is no file {named}", "check the path", "strategy") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{named} is not UTF-8 text", "save it as UTF-8", "strategy") from None
    except OSError as error:
        raise InvalidInput(f"cannot read {named}: {error.strerror}", "check the path", "strategy") from None


def inspect_document(text: str) -> tuple[Document | None, list[Problem]]:
    """Answer the document and its mistakes in the order of the text; None when it is no mapping at all."""
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        return None, [_too_large(len(text))]
    if any("\ud800" <= character <= "\udfff" for character in text):
        return None, [Problem("the document holds half a character (a lone surrogate)", "save it as UTF-8")]
    try:
        root = compose(text)
    except InvalidInput as error:
        return None, list(error.problems)
    if not isinstance(root, yaml.MappingNode):
        return None, [Problem("a strategy document is a mapping", "start with 'name: my-strategy'", 1, 1)]
    reader = _Reader(text)
    document = reader.document(root)
    reader.problems.sort(key=lambda problem: (problem.line or 0, problem.column or 0))
    return document, reader.problems


def _too_large(size: int) -> Problem:
    return Problem(f"the document has {size:,} bytes", f"at most {MAX_BYTES:,}: a strategy is a page of text")


class _Reader(Sections):
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
            session=self.spelled(top.get("session"), "session", read_session),
        )  # fmt: skip
        for where in document.idle_clocks:
            self.wrong(top[where.partition(".")[0]], *NO_CLOCK, where)
        if not self.check_size(document):
            return document
        symbols = self.check(document, values)
        return replace(document, symbols=symbols, settings=self.settings)

    def spelled(self, node: yaml.Node | None, where: str, check: Callable[[str], object]) -> str:
        """Answer a text that `check` accepts, empty where there is none."""
        text = self.scalar(node, where)
        try:
            if node is not None and text:
                check(text)
        except InvalidInput as error:
            self.wrong(node or yaml.ScalarNode("", ""), error.problems[0].message, error.problems[0].remedy, where)
        return text

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

    def name(self, root: yaml.Node, node: yaml.Node | None) -> str:
        name = self.scalar(node, "name")
        if not NAME_PATTERN.fullmatch(name):
            self.wrong(node or root, "the document needs a name" if not name else f"'{name[:70]}' is no name",
                       "name: letters, digits, '-', '_' and '.', at most 64, such as ema-cross", "name")  # fmt: skip
        return name

    def timeframe(self, node: yaml.Node | None) -> Timeframe | None:
        text = self.scalar(node, "timeframe")
        if node is None or not text:
            return None
        try:
            return parse_timeframe(text)
        except InvalidInput as error:
            self.wrong(node, error.problems[0].message, error.problems[0].remedy, "timeframe")
            return None

    def parameters(self, node: yaml.Node) -> dict[str, ParameterSpec]:
        specs = {}
        for name, value in self.mapping(node, "parameters").items():
            where = f"parameters.{name}"
            if not name.isidentifier() or name in PRICES or name in CALENDAR:
                self.wrong(value, f"'{name}' cannot name a parameter", "choose another name", where)
                continue
            parts = (
                self.mapping(value, where, ("default", "low", "high"))
                if isinstance(value, yaml.MappingNode)
                else {"default": value}
            )
            numbers = {key: self.plain_number(part, f"{where}.{key}") for key, part in parts.items()}
            default, low, high = numbers.get("default"), numbers.get("low"), numbers.get("high")
            if "default" not in parts:
                self.wrong(
                    value,
                    f"parameter '{name}' has no default",
                    "write {default: 12, low: 5, high: 50}",
                    where,
                )
            is_whole = all(_is_whole(self.scalar(part, where)) for part in parts.values())
            specs[name] = ParameterSpec(
                default or Number(0, 1.0), low.value if low else None, high.value if high else None, is_whole
            )
            self.check_range(value, name, specs[name], default is not None)
        return specs

    def check_range(self, node: yaml.Node, name: str, spec: ParameterSpec, has_default: bool) -> None:
        low = -float("inf") if spec.low is None else spec.low
        high = float("inf") if spec.high is None else spec.high
        if low > high:
            self.wrong(node, f"the range of '{name}' is reversed", "low is the lesser", f"parameters.{name}")
        elif has_default and not low <= spec.default.value <= high:
            self.wrong(
                node,
                f"the default of '{name}' is outside its range",
                "move one of them",
                f"parameters.{name}",
            )

    def plain_number(self, node: yaml.Node, where: str) -> Number | None:
        number = read_number(self.scalar(node, where))
        if number is None:
            self.wrong(node, f"'{where}' is a number", "write a number such as 12 or 3%", where)
        return number

    def expressions(self, node: yaml.Node, where: str) -> dict[str, Node]:
        parsed = {}
        for name, value in self.mapping(node, where).items():
            if not name.isidentifier():
                self.wrong(value, f"'{name}' cannot be a name", "use letters, digits and '_'", f"{where}.{name}")
            is_recursive = isinstance(value, yaml.MappingNode)
            read = self.recursive(value, name) if is_recursive else self.expression(value, f"{where}.{name}")
            if read is not None:
                parsed[name] = read
        return parsed

    def recursive(self, node: yaml.Node, name: str) -> Node | None:
        """Read an indicator of its own past, `{start: …, next: …}`."""
        place = f"indicators.{name}"
        parts = self.mapping(node, place, ("start", "next"))
        for missing in {"start", "next"} - set(parts):
            self.wrong(node, f"the recursive indicator '{name}' has no '{missing}'", "write {start: …, next: …}", place)
        read = {key: self.expression(part, f"{place}.{key}") for key, part in parts.items()}
        start, following = read.get("start"), read.get("next")
        if start is None or following is None:
            return None
        try:
            return recursive(name, start, following)
        except ExpressionError as error:
            self.wrong(parts["next"], error.message, error.remedy, f"{place}.next", error.offset)
            return None

    def sides(self, parts: Mapping[str, yaml.Node], where: str) -> dict[str, Node]:
        """Read the conditions for long and short."""
        given = {side: parts[side] for side in SIDES if side in parts and not self.is_none(parts[side])}
        read = {side: self.expression(node, f"{where}.{side}") for side, node in given.items()}
        return {side: node for side, node in read.items() if node is not None}

    def check_size(self, document: Document) -> bool:
        """Report expressions that grow out of bounds once their indicators are put in."""
        sizes: dict[str, tuple[int, int]] = {}
        for where, node, _ in document.expressions():
            size, height = _expanded(node, sizes)
            name, _, part = where.removeprefix("indicators.").partition(".")
            before = sizes[name] if part == "next" else (0, 0)  # a recursive indicator is as large as both its parts
            sizes[name] = size + before[0], max(height, before[1])
            if size > MAX_NODES or height > MAX_HEIGHT:
                self.wrong(self.sources[where], f"'{where}' is too large with its indicators put in",
                           f"at most {MAX_NODES:,} parts and {MAX_HEIGHT} levels", where)  # fmt: skip
                return False
        return True

    def check(self, document: Document, values: dict[str, Number]) -> frozenset[str]:
        """Type-check every expression, at the defaults and at both ends of each parameter's range."""
        symbols: set[str] = set()
        reported: set[tuple[str, int]] = set()
        for which in _corners(document, values):
            checker = Checker(which, document.indicators, document.timeframe)
            for where, node, allowed in document.expressions():
                checker.mistakes.clear()
                kind = checker.kind(node)
                remember(checker, where, node, kind)
                if kind not in (*allowed, ValueType.UNKNOWN):
                    checker.wrong(next(walk(node)), f"{where} is {kind.value}", _wanted(where))
                self.check_level(checker, where, node, kind)
                for mistake in checker.mistakes:
                    if (where, mistake.at) not in reported:
                        reported.add((where, mistake.at))
                        self.wrong(self.sources[where], mistake.message, mistake.remedy, where, mistake.at)
            symbols |= checker.symbols
        return frozenset(symbols)

    def check_level(self, checker: Checker, where: str, node: Node, kind: ValueType) -> None:
        """Report a constant distance that is not above 0, and a number of bars that is not whole."""
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


def _expanded(node: Node, indicators: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """Answer the number of parts and of levels of `node` with its named indicators put in."""
    if isinstance(node, Name):
        return indicators.get(node.name, (1, 1))
    parts = [_expanded(child, indicators) for child in node.children()]
    return 1 + sum(size for size, _ in parts), 1 + max((height for _, height in parts), default=0)


def _corners(document: Document, values: dict[str, Number]) -> list[dict[str, Number]]:
    """Answer the defaults, and the defaults with one parameter at the low or the high end of its range."""
    corners = [values]
    for name, spec in document.parameters.items():
        for end in (spec.low, spec.high):
            if end is not None:
                corners.append(values | {name: Number(0, end, spec.default.is_percent)})
    return corners


def _wanted(where: str) -> str:
    if where.startswith(("entry.long", "entry.short", "exit.")):
        return "compare something: close > open"
    if where in COUNTS:
        return "write a whole number"
    if where.startswith("entry.order."):
        return "write a price such as close - atr(14)"
    if where.startswith("risk."):
        return "write a distance such as 3% or 2 * atr(14)"
    return "write a series, a number or a condition"


def _is_whole(text: str) -> bool:
    """Answer whether a number is written as a whole one: 2 is, 2.0 and 2% are not."""
    return "%" not in text and "." not in text
