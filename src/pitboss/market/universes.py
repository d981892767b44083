"""Who is in an index, and since when: from files of one's own, else today's lists of pytickersymbols."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pitboss.core.errors import InvalidInput, Problem, suggest
from pitboss.core.files import Files
from pitboss.market.catalog import check_symbol
from pitboss.market.dates import EVER, span_of

INDEXES = {"sp500": "S&P 500", "dow30": "DOW JONES", "nasdaq100": "NASDAQ 100"}
FOLDER = "universes"
MOST_MISTAKES = 20
_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,63}")
_COLUMNS = ("ticker", "from", "to")
Span = tuple[int, int]  # of a membership: microseconds, the end not included


@dataclass(frozen=True, slots=True)
class Members:
    """The members of a universe, each with the times at which it was one; `is_dated` unless only today's are known."""

    spans: Mapping[str, tuple[Span, ...]]
    is_dated: bool

    def between(self, low: int, high: int) -> Members:
        """Answer those that were members at some time in [low, high), microseconds."""
        kept = {
            ticker: spans for ticker, spans in self.spans.items() if any(a < high and low < b for a, b in spans)
        }  # fmt: skip
        return Members(kept, self.is_dated)


def members_of(files: Files, name: str) -> Members:
    """Answer the members of the file `universes/NAME.csv`, or of an index by its name without one.

    Raises InvalidInput with every mistake in the file, or naming what there is.
    """
    path = files.fetch(f"{FOLDER}/{name}.csv") if _NAME.fullmatch(name) else None
    if path is not None:
        return _read(path, name)
    if name in INDEXES:
        return Members(dict.fromkeys(_todays(INDEXES[name]), (EVER,)), is_dated=False)
    known = [*INDEXES, *(found.rpartition("/")[2].removesuffix(".csv") for found in files.names(FOLDER))]
    remedy = f"{suggest(name, known)}; put a file {name[:40]}.csv into the folder {FOLDER} of the data folder"
    raise InvalidInput(f"there is no universe '{name[:40]}'", remedy, "universe_file")


def _todays(index: str) -> list[str]:
    from pytickersymbols import PyTickerSymbols

    return [stock["symbol"] for stock in PyTickerSymbols().get_stocks_by_index(index)]


def _read(path: Path, name: str) -> Members:
    """Read a file with a ticker in each line, and the dates from and to which it was a member, both included."""
    found: dict[str, list[Span]] = {}
    problems: list[Problem] = []
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        for line, row in _rows(file):
            try:
                ticker = check_symbol(row.get("ticker") or "")
                found.setdefault(ticker, []).append(span_of(row.get("from"), row.get("to")))
            except InvalidInput as error:
                problems += [
                    Problem(each.message, each.remedy, line=line, where=f"{name}.csv") for each in error.problems
                ]
    if problems:
        raise InvalidInput(problems[:MOST_MISTAKES])
    if not found:
        raise InvalidInput(f"the universe {name}.csv is empty", "write ticker,from,to and a line for each", name)
    is_dated = any(spans != [EVER] for spans in found.values())
    return Members({ticker: tuple(sorted(spans)) for ticker, spans in found.items()}, is_dated)


def _rows(file: Iterator[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows by the names of their columns, with their lines; a file without a header is one of tickers."""
    rows = csv.reader(file)
    names: list[str] = []
    for line, row in enumerate(rows, 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#"):
            continue
        if not names:
            lowered = [cell.lower() for cell in cells]
            names = lowered if "ticker" in lowered else list(islice(_COLUMNS, len(cells)))
            if "ticker" in lowered:
                continue
        yield line, dict(zip(names, cells, strict=False))
