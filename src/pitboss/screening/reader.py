"""Reading a screen document from YAML: safely, with the place of every mistake, all mistakes at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import yaml

from pitboss.core.errors import InvalidInput, Problem
from pitboss.market.catalog import check_symbol
from pitboss.screening.document import DAY, DERIVED, Criterion, Filter, Label, ScreenDocument
from pitboss.strategy.binding import fold
from pitboss.strategy.check import Checker
from pitboss.strategy.declared import Declarations, root_of, text_in
from pitboss.strategy.expression import Call, Name, Node, Number, walk
from pitboss.strategy.functions import CALENDAR, PRICES
from pitboss.strategy.valuetype import ValueType

KEYS = (
    "name", "description", "source", "universe", "timeframe", "parameters", "indicators", "least_bars", "filters",
    "criteria", "overlay", "pass_mark", "score", "classes", "risk", "metrics", "stop",
)  # fmt: skip
AFTER = ("classes.", "risk.", "metrics.", "stop")  # where the points are known
MOST_BARS = 100_000
_WORD = re.compile(r"[A-Za-z0-9][\w +&/-]{0,39}")
Parts = dict[str, yaml.Node]
_FILE = re.compile(r"[A-Za-z0-9][\w-]{0,63}")  # a universe goes by the name of its file
_NOTHING = yaml.MappingNode("", [])


@lru_cache(maxsize=16)
def read_screen(text: str) -> ScreenDocument:
    """Read and check a document. Raises InvalidInput with every mistake and its position."""
    document, problems = inspect_screen(text)
    if document is None or problems:
        raise InvalidInput(problems)
    return document


def read_screen_file(path: Path) -> ScreenDocument:
    """Read and check the document in a file. Raises InvalidInput when it cannot be read or has mistakes."""
    return read_screen(text_in(path, "screen"))


def inspect_screen(text: str) -> tuple[ScreenDocument | None, list[Problem]]:
    """Answer the document and its mistakes in the order of the text; None when it is no mapping at all."""
    root, problems = root_of(text, "screen")
    if root is None:
        return None, problems
    reader = _Reader(text)
    document = reader.document(root)
    reader.problems.sort(key=lambda problem: (problem.line or 0, problem.column or 0))
    return document, reader.problems


class _Reader(Declarations):
    """Makes a document of its nodes."""

    def document(self, root: yaml.MappingNode) -> ScreenDocument:
        top = self.mapping(root, "document", KEYS)
        parameters = self.parameters(top.get("parameters", _NOTHING))
        indicators = self.expressions(top.get("indicators", _NOTHING), "indicators")
        for taken in sorted(set(indicators) & {*parameters, *PRICES, *CALENDAR, *DERIVED}):
            self.wrong(self.sources[f"indicators.{taken}"], f"the name '{taken}' is taken", "choose another name")
        score = self.mapping(top.get("score", _NOTHING), "score", ("lowest", "highest"))
        document = ScreenDocument(
            name=self.name(root, top.get("name")), text=self.text,
            timeframe=self.timeframe(top.get("timeframe")) or DAY,
            description=self.scalar(top.get("description"), "description"),
            source=self.scalar(top.get("source"), "source"), universe=self.universe(top.get("universe")),
            parameters=parameters, indicators=indicators,
            least_bars=self.optional(top, "least_bars"), filters=tuple(self.filters(top.get("filters"))),
            criteria=tuple(self.criteria(top.get("criteria"), "criteria")),
            overlay=tuple(self.criteria(top.get("overlay"), "overlay")), pass_mark=self.optional(top, "pass_mark"),
            lowest=self.optional(score, "lowest", "score."), highest=self.optional(score, "highest", "score."),
            classes=self.labels(top.get("classes"), "classes"), risk=self.labels(top.get("risk"), "risk"),
            metrics=self.metrics(top.get("metrics", _NOTHING)), stop=self.optional(top, "stop"),
        )  # fmt: skip
        if "criteria" not in top and "filters" not in top:
            self.wrong(root, "the screen has neither criteria nor filters", "add criteria: every symbol would pass")
        if self.check_size(document):
            values = {name: spec.default for name, spec in parameters.items()}
            symbols, models = self.check(document, values)
            document = replace(document, symbols=symbols, models=models)
            self.check_reach(top, document, values)
        return document

    def optional(self, parts: Mapping[str, yaml.Node], name: str, before: str = "") -> Node | None:
        node = parts.get(name)
        return None if node is None else self.expression(node, before + name)

    def items(
        self, node: yaml.Node | None, where: str, keys: tuple[str, ...]
    ) -> list[tuple[str, dict[str, yaml.Node]]]:
        """Answer the named entries of a list, each with its parts."""
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(node, f"'{where}' is a list", f"write '{where}:' and indented '- name: …' entries", where)
            return []
        found: dict[str, Parts] = {}
        for each in node.value:
            parts = self.mapping(each, where, keys)
            name = self.scalar(parts.get("name"), f"{where}.name")
            if not _WORD.fullmatch(name):
                remedy = "name: a few letters and digits, such as trend"
                self.wrong(each, "an entry has no name" if not name else f"'{name[:40]}' is no name", remedy, where)
            elif name in found:
                self.wrong(each, f"'{name}' stands twice", "give it another name", where)
            else:
                found[name] = parts
        return list(found.items())

    def universe(self, node: yaml.Node | None) -> str | tuple[str, ...]:
        """Read what is screened where a run does not say: catalog, an index, a file of the universes, or tickers."""
        if node is None:
            return ""
        if not isinstance(node, yaml.SequenceNode):
            name = self.scalar(node, "universe")
            if not _FILE.fullmatch(name):
                self.wrong(node, f"'{name[:40]}' is no universe", "write sp500, or a list: [AAPL, MSFT]", "universe")
            return name
        tickers = [self.scalar(each, "universe") for each in node.value]
        for each, ticker in zip(node.value, tickers, strict=True):
            try:
                check_symbol(ticker)
            except InvalidInput as error:
                self.wrong(each, error.problems[0].message, error.problems[0].remedy, "universe")
        if not tickers:
            self.wrong(node, "the universe is empty", "write tickers, or leave it out", "universe")
        return tuple(dict.fromkeys(tickers))

    def filters(self, node: yaml.Node | None) -> list[Filter]:
        found = []
        for name, parts in self.items(node, "filters", ("name", "keep", "reason")):
            place = f"filters.{name}"
            if "keep" not in parts:
                self.wrong(parts["name"], f"the filter '{name}' keeps nothing", "add keep: close > 5", place)
            elif (keep := self.expression(parts["keep"], place)) is not None:
                found.append(Filter(name, keep, self.scalar(parts.get("reason"), place) or name))
        return found

    def criteria(self, node: yaml.Node | None, section: str) -> list[Criterion]:
        found = []
        for name, parts in self.items(node, section, ("name", "when", "points", "least", "most", "source")):
            place = f"{section}.{name}"
            read = {part: self.optional(parts, part, f"{place}.") for part in ("when", "points", "least", "most")}
            if "points" not in parts:
                self.wrong(parts["name"], f"'{name}' gives no points", "add points: 20", place)
            elif "when" not in parts and "most" not in parts:
                what = f"'{name}' has neither a condition nor a bound"
                self.wrong(parts["name"], what, "add when: …, or most: 10 where the points are graded", place)
            elif read["points"] is not None:
                source = self.scalar(parts.get("source"), f"{place}.source")
                found.append(Criterion(name, read["points"], read["when"], read["least"], read["most"], source))
        return found

    def labels(self, node: yaml.Node | None, where: str) -> tuple[Label, ...]:
        """Read words with their conditions, the first that holds; `otherwise` holds always, and stands last."""
        if node is None:
            return ()
        found: list[Label] = []
        for word, value in self.mapping(node, where).items():
            if not _WORD.fullmatch(word):
                self.wrong(value, f"'{word[:40]}' is no word", "write a few letters, such as Watch", where)
            if found and found[-1].when is None:
                self.wrong(value, f"'{word[:40]}' can never be said", "put what holds otherwise last", where)
            is_last = self.scalar(value, where) == "otherwise"
            when = None if is_last else self.expression(value, f"{where}.{word}")
            if is_last or when is not None:
                found.append(Label(word, when))
        return tuple(found)

    def metrics(self, node: yaml.Node) -> dict[str, Node | tuple[Label, ...]]:
        found: dict[str, Node | tuple[Label, ...]] = {}
        for name, value in self.mapping(node, "metrics").items():
            place = f"metrics.{name}"
            if not name.isidentifier() or name in ("class", "risk", "stop", "ticker", "date", "reasons", *DERIVED):
                self.wrong(value, f"'{name[:40]}' cannot name a metric", "choose another name", place)
            elif isinstance(value, yaml.MappingNode):
                found[name] = self.labels(value, place)
            elif (read := self.expression(value, place)) is not None:
                found[name] = read
        return found

    def reach(self, checker: Checker, where: str) -> None:
        """The points are known to what stands after the criteria."""
        checker.indicators = {**checker.indicators, **{name: Number(0, 0.0) for name in DERIVED}}
        if where.startswith(AFTER):
            checker.kinds |= DERIVED

    def check_value(self, checker: Checker, where: str, node: Node, kind: ValueType) -> None:
        """Report points that are taken from another timeframe, and a number of bars that is none."""
        for call in walk(node):
            if isinstance(call, Call) and call.name == "on":
                for name in walk(call):
                    if isinstance(name, Name) and name.name in DERIVED:
                        what = f"'{name.name}' is of the screen's own bars"
                        checker.wrong(name, what, 'leave it out of on("…", …)', len(name.name))
        value = checker.constant(node) if kind.is_constant and kind is not ValueType.UNKNOWN else None
        if where == "least_bars" and value is not None and (value != int(value) or not 1 <= value <= MOST_BARS):
            checker.wrong(next(walk(node)), f"least_bars is {value:g}", f"write a whole number from 1 to {MOST_BARS:,}")

    def check_reach(
        self, top: Mapping[str, yaml.Node], document: ScreenDocument, values: Mapping[str, Number]
    ) -> None:  # fmt: skip
        """Report a pass mark that no symbol can reach."""
        if document.pass_mark is None or self.problems:
            return
        mark = constant_of(document.pass_mark, values)
        most = sum(constant_of(each.most or each.points, values) for each in document.criteria)
        if mark > most:
            what = f"the pass mark is {mark:g}, and the criteria give {most:g} points at most"
            self.wrong(top["pass_mark"], what, "lower it, or give more points", "pass_mark")

    def wanted(self, where: str) -> str:
        section, _, part = where.partition(".")
        if section in ("classes", "risk", "filters") or part.endswith(".when"):
            return "compare something: close > open"
        if section in ("criteria", "overlay"):
            return "write a number of points, such as 20"
        if section in ("least_bars", "pass_mark", "score"):
            return "write a number or a parameter"
        return super().wanted(where)


def constant_of(node: Node, values: Mapping[str, Number]) -> float:
    """Answer the value of a constant expression."""
    folded = fold(node, values)
    return folded.value if isinstance(folded, Number) else float("nan")
