"""What every document declares: its name, its timeframe, its parameters and its named expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import yaml

from pitboss.core.errors import InvalidInput, Problem
from pitboss.core.places import absolute
from pitboss.core.timeframe import Timeframe, parse_timeframe
from pitboss.core.yamltext import compose
from pitboss.strategy.check import Checker
from pitboss.strategy.document import ParameterSpec, read_number, remember
from pitboss.strategy.expression import ExpressionError, Name, Node, Number, parse, walk
from pitboss.strategy.functions import CALENDAR, PRICES
from pitboss.strategy.nodes import Nodes
from pitboss.strategy.past import recursive
from pitboss.strategy.valuetype import ValueType

MAX_BYTES = 64 * 1024
MAX_NODES = 2_000  # of one expression with its indicators put in
MAX_HEIGHT = 120
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def root_of(text: str, what: str) -> tuple[yaml.MappingNode | None, list[Problem]]:
    """Answer the mapping that a text is; None, and why, where it is none."""
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        return None, [too_large(len(text))]
    if any("\ud800" <= character <= "\udfff" for character in text):
        return None, [Problem("the document holds half a character (a lone surrogate)", "save it as UTF-8")]
    try:
        root = compose(text)
    except InvalidInput as error:
        return None, list(error.problems)
    if not isinstance(root, yaml.MappingNode):
        return None, [Problem(f"a {what} document is a mapping", f"start with 'name: my-{what}'", 1, 1)]
    return root, []


def text_in(path: Path, word: str) -> str:
    """Answer the text of a document in a file; `word` is what such a document is called. Raises InvalidInput when it
    cannot be read."""
    path, named = absolute(path, word), str(path)[:80]
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidInput(too_large(path.stat().st_size))
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidInput(f"there is no file {named}", "check the path", word) from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{named} is not UTF-8 text", "save it as UTF-8", word) from None
    except OSError as error:
        raise InvalidInput(f"cannot read {named}: {error.strerror}", "check the path", word) from None


def too_large(size: int) -> Problem:
    """Answer the mistake of a document that is too long."""
    return Problem(f"the document has {size:,} bytes", f"at most {MAX_BYTES:,}: a document is a page of text")


class Written(Protocol):
    """A document as far as its expressions are checked."""

    @property
    def timeframe(self) -> Timeframe | None: ...

    @property
    def parameters(self) -> Mapping[str, ParameterSpec]: ...

    @property
    def indicators(self) -> Mapping[str, Node]: ...

    def expressions(self) -> list[tuple[str, Node, tuple[ValueType, ...]]]:
        """Answer every expression with its place and the kinds it may be, each after what it names."""


class Declarations(Nodes):
    """Reads what is declared. `sources` are the nodes of the document's expressions, by their place."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.sources: dict[str, yaml.ScalarNode] = {}

    def reach(self, checker: Checker, where: str) -> None:
        """Tell a checker what is known from a place on."""

    def check_value(self, checker: Checker, where: str, node: Node, kind: ValueType) -> None:
        """Report a constant that is none of those that a place takes."""

    def wanted(self, _where: str) -> str:
        """Answer what to write in a place."""
        return "write a series, a number or a condition"

    def expression(self, node: yaml.Node, place: str) -> Node | None:
        """Read one expression; None after a mistake."""
        self.scalar(node, place)  # says what is no single value
        if not isinstance(node, yaml.ScalarNode):
            return None
        self.sources[place] = node
        try:
            return parse(node.value)
        except ExpressionError as error:
            self.wrong(node, error.message, error.remedy, place, error.offset)
            return None

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

    def spelled(self, node: yaml.Node | None, where: str, check: Callable[[str], object]) -> str:
        """Answer a text that `check` accepts, empty where there is none."""
        text = self.scalar(node, where)
        try:
            if node is not None and text:
                check(text)
        except InvalidInput as error:
            self.wrong(node or yaml.ScalarNode("", ""), error.problems[0].message, error.problems[0].remedy, where)
        return text

    def check_size(self, document: Written) -> bool:
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

    def check(self, document: Written, values: dict[str, Number]) -> tuple[frozenset[str], frozenset[str]]:
        """Type-check every expression, at the defaults and at both ends of each parameter's range; answer the symbols
        and the models that they name."""
        symbols: set[str] = set()
        models: set[str] = set()
        reported: set[tuple[str, int]] = set()
        for which in _corners(document, values):
            checker = Checker(which, document.indicators, document.timeframe)
            for where, node, allowed in document.expressions():
                checker.mistakes.clear()
                checker.place = where
                self.reach(checker, where)
                kind = checker.kind(node)
                remember(checker, where, node, kind)
                if kind not in (*allowed, ValueType.UNKNOWN):
                    checker.wrong(next(walk(node)), f"{where} is {kind.value}", self.wanted(where))
                self.check_value(checker, where, node, kind)
                for mistake in checker.mistakes:
                    if (where, mistake.at) not in reported:
                        reported.add((where, mistake.at))
                        self.wrong(self.sources[where], mistake.message, mistake.remedy, where, mistake.at)
            symbols |= checker.symbols
            models |= checker.models
        return frozenset(symbols), frozenset(models)


def _expanded(node: Node, indicators: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """Answer the number of parts and of levels of `node` with its named indicators put in."""
    if isinstance(node, Name):
        return indicators.get(node.name, (1, 1))
    parts = [_expanded(child, indicators) for child in node.children()]
    return 1 + sum(size for size, _ in parts), 1 + max((height for _, height in parts), default=0)


def _corners(document: Written, values: dict[str, Number]) -> list[dict[str, Number]]:
    """Answer the defaults, and the defaults with one parameter at the low or the high end of its range."""
    corners = [values]
    for name, spec in document.parameters.items():
        for end in (spec.low, spec.high):
            if end is not None:
                corners.append(values | {name: Number(0, end, spec.default.is_percent)})
    return corners


def _is_whole(text: str) -> bool:
    """Answer whether a number is written as a whole one: 2 is, 2.0 and 2% are not."""
    return "%" not in text and "." not in text
