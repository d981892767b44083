"""The one gate between an agent and everything that is known: it shows what was known at the session's clock.

Whatever an agent's tools answer comes through here. A bar is known when it has ended, an article when it has been
published; what has no date is not shown. What was shown is noted, with the latest moment that it tells of.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.calendars.sessions import bar_ends
from pitboss.core.clock import micros_to_iso, parse_date
from pitboss.core.errors import InvalidInput, Problem, suggest
from pitboss.core.timeframe import DAY_MICROS, Timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.strategy.binding import bind
from pitboss.strategy.check import Checker
from pitboss.strategy.evaluate import Scope
from pitboss.strategy.expression import ExpressionError, Node, Number, parse
from pitboss.strategy.times import UTC_DAYS, Times
from pitboss.trading.model import exact

MOST_BARS = 500
MOST_VALUES = 200
MOST_ARTICLES = 20
MOST_TEXT = 4_000
NEVER = -(1 << 62)


_DAY = re.compile(r"\d{4}-\d\d-\d\d([T ]00:00(:00(\.0+)?)?(Z|[+-]00:?00)?)?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")


class LookAhead(AssertionError):
    """Something of the future was about to be shown: a fault of the program, never of an agent."""


@dataclass(frozen=True, slots=True)
class Article:
    """A dated text. One that is dated by its day alone, which is what midnight means too, is known when that day is
    over everywhere: at noon of the next, UTC."""

    known: int
    title: str
    text: str
    source: str
    symbols: tuple[str, ...] = ()


class News:
    """Dated texts of a folder: `*.jsonl` and `*.csv` with `date` (or `published_at`), `title`, `text`, and `symbols`
    where there are any. What has no date is left out, and counted."""

    def __init__(self, articles: Iterable[Article] = (), undated: int = 0) -> None:
        self.articles = sorted(articles, key=lambda article: article.known)
        self.undated = undated

    @classmethod
    def of_folder(cls, folder: Path) -> News:
        """Read what lies in a folder; nothing where there is none."""
        rows = [(path.name, row) for path in sorted(folder.glob("*")) for row in _rows(path)]
        found = [_article(name, row) for name, row in rows]
        return cls((each for each in found if each is not None), sum(each is None for each in found))

    def search(self, words: str, now: int, count: int) -> list[Article]:
        """Answer the latest articles that hold all the words and were known by then, newest first."""
        wanted = words.lower().split()
        known = (article for article in reversed(self.articles) if article.known <= now)
        found = (article for article in known if all(word in _searched(article) for word in wanted))
        return [article for article, _ in zip(found, range(count), strict=False)]


def _searched(article: Article) -> str:
    return f"{article.title} {article.text} {' '.join(article.symbols)}".lower()


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            yield from csv.DictReader(file)
    elif path.suffix == ".jsonl":
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                yield row


def _article(name: str, row: Mapping[str, Any]) -> Article | None:
    text = str(row.get("published_at") or row.get("date") or "").strip()
    is_day = bool(_DAY.fullmatch(text))
    if not is_day and not _MOMENT.match(text):
        return None
    try:
        known = parse_date(text[:10]) + DAY_MICROS * 3 // 2 if is_day else parse_date(text)
    except ValueError:
        return None
    symbols = row.get("symbols") or ()
    given = symbols.replace(",", " ").split() if isinstance(symbols, str) else symbols
    named = tuple(str(symbol) for symbol in given) if isinstance(given, list | tuple) else ()
    return Article(
        known, str(row.get("title") or "")[:300], str(row.get("text") or row.get("summary") or "")[:MOST_TEXT],
        str(row.get("source") or name), named,
    )  # fmt: skip


@dataclass
class Gate:
    """What is known of some symbols: their bars at one timeframe, and news. `now` is the session's clock."""

    bars: Mapping[str, BarArrays]
    timeframe: Timeframe
    times: Times = UTC_DAYS
    news: News = field(default_factory=News)
    now: int = NEVER
    shown: list[dict[str, Any]] = field(default_factory=list)

    @cached_property
    def _ends(self) -> dict[str, npt.NDArray[np.int64]]:
        return {
            symbol: bar_ends(bars.ts, self.timeframe, self.times.sessions.get(symbol))
            for symbol, bars in self.bars.items()
        }

    def renew(self, bars: Mapping[str, BarArrays]) -> None:
        """Take the bars as they are by now."""
        self.bars = bars
        self.__dict__.pop("_ends", None)

    def known(self, symbol: str) -> BarArrays:
        """Answer the bars of a symbol that have ended. Raises InvalidInput for one that there is nothing of."""
        if symbol not in self.bars:
            raise InvalidInput(f"there are no bars of '{symbol[:40]}' here", suggest(symbol, self.bars), "symbol")
        return self.bars[symbol].head(int(np.searchsorted(self._ends[symbol], self.now, "right")))

    def price(self, symbol: str) -> Decimal | None:
        """Answer the last close that is known, None before the first bar."""
        closes = self.known(symbol).close
        return exact(float(closes[-1])) if len(closes) else None

    def history(self, symbol: str, count: int) -> list[dict[str, Any]]:
        """Answer the last bars of a symbol, oldest first."""
        known = self.known(symbol)
        part = known.slice(max(0, len(known.ts) - _within(count, MOST_BARS)), len(known.ts))
        self._note("history", f"{symbol}, {len(part.ts)} bars", self._end_of(symbol, len(known.ts)))
        return [
            {
                "ts": micros_to_iso(int(part.ts[at])),
                **{name: float(getattr(part, name)[at]) for name in ("open", "high", "low", "close", "volume")},
            }
            for at in range(len(part.ts))
        ]

    def indicator(self, symbol: str, expression: str, count: int) -> list[dict[str, Any]]:
        """Answer the last values of an expression over the bars of a symbol, oldest first, NaN as None.

        Raises InvalidInput for an expression with mistakes.
        """
        universe = {name: self.known(name) for name in self.bars}
        self.known(symbol)
        node = compiled(expression, self.timeframe)
        values = Scope(universe, symbol, self.timeframe, times=self.times).evaluate(node)
        ts = universe[symbol].ts
        self._note("indicator", f"{symbol}, {expression}"[:200], self._end_of(symbol, len(ts)))
        first = max(0, len(ts) - _within(count, MOST_VALUES))
        return [{"ts": micros_to_iso(int(ts[at])), "value": _plain(values[at])} for at in range(first, len(ts))]

    def articles(self, words: str, count: int) -> list[dict[str, Any]]:
        """Answer the latest news that hold all of the words, newest first."""
        found = self.news.search(words, self.now, _within(count, MOST_ARTICLES))
        self._note("news", words[:200], max((article.known for article in found), default=NEVER))
        return [
            {"published": micros_to_iso(each.known), "title": each.title, "text": each.text, "source": each.source}
            for each in found
        ]

    def taken(self) -> tuple[dict[str, Any], ...]:
        """Answer what was shown since this was asked last."""
        found, self.shown = tuple(self.shown), []
        return found

    def _end_of(self, symbol: str, count: int) -> int:
        return int(self._ends[symbol][count - 1]) if count else NEVER

    def _note(self, outlet: str, asked: str, latest: int) -> None:
        if latest > self.now:
            raise LookAhead(f"{outlet} would show {micros_to_iso(latest)} at {micros_to_iso(self.now)}")
        until = None if latest == NEVER else micros_to_iso(latest)
        self.shown.append({"outlet": outlet, "asked": asked, "latest": until})


def compiled(expression: str, timeframe: Timeframe) -> Node:
    """Answer an expression of the language of strategies, bound. Raises InvalidInput with every mistake."""
    try:
        node = parse(expression)
    except ExpressionError as error:
        raise InvalidInput(error.message, error.remedy, "expression") from None
    checker = Checker({}, {}, timeframe)
    checker.kind(node)
    if checker.mistakes:
        problems = [Problem(each.message, each.remedy, where="expression") for each in checker.mistakes]
        raise InvalidInput(problems)
    return bind(node, {}, {})


def calculated(expression: str) -> float:
    """Answer the value of an arithmetic expression. Raises InvalidInput for what is none."""
    try:
        node = bind(parse(expression), {}, {})
    except ExpressionError as error:
        raise InvalidInput(error.message, error.remedy, "expression") from None
    if not isinstance(node, Number):
        raise InvalidInput(f"'{expression[:80]}' is no sum of numbers", "write (3 + 4) * 2", "expression")
    return node.value


def _within(count: int, most: int) -> int:
    return max(1, min(count, most))


def _plain(value: Any) -> float | bool | None:
    if isinstance(value, np.bool_):
        return bool(value)
    number = float(value)
    return number if np.isfinite(number) else None
