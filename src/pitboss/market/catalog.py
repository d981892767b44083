"""The catalog: one Parquet file for each symbol and timeframe, its description inside the file."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import InvalidInput, NotFound, StorageUnavailable, suggest
from pitboss.core.files import Files
from pitboss.core.parquet import any_between, metadata_of
from pitboss.core.timeframe import Timeframe, parse_timeframe

FOLDER = "bars"
LONGEST_SYMBOL = 32
_SYMBOL = re.compile(r"[A-Za-z0-9^$@#._=&!+*:-]+(/[A-Za-z0-9^$@#._=&!+*:-]+)*")
_PLAIN = "._=^-"  # besides letters and digits: what stands for itself in a file's name


@dataclass(frozen=True, slots=True)
class Series:
    """One stored series. `digest` is of its rows: equal digests are equal bars; times are UTC."""

    symbol: str
    timeframe: str
    rows: int
    first: int
    last: int
    digest: str
    source: str
    is_synthetic: bool
    zone: str = ""  # of its days, empty where nobody said
    session: str = ""  # 24x7, an exchange's code or a rule, empty where nobody said
    prices: str = ""  # raw, split-adjusted or total-return, empty where nobody said

    def as_dict(self) -> dict[str, object]:
        described = asdict(self)
        return described | {"first": micros_to_iso(self.first), "last": micros_to_iso(self.last)}


class Catalog:
    """The series among the files, under `bars`: what there is. Their rows: `market.store`."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def all(self) -> list[Series]:
        """Answer every series, by symbol, then by length of its bars."""
        found = [self.describe(name) for name in self.files.names(FOLDER)]
        return sorted((s for s in found if s), key=lambda s: (s.symbol, parse_timeframe(s.timeframe)))

    def find(self, symbol: str, timeframe: Timeframe) -> Series:
        """Answer the series itself, else the longest shorter one that `timeframe` can be made of.

        Raises InvalidInput naming what exists.
        """
        check_symbol(symbol)
        own = [s for name in self.files.names(f"{FOLDER}/{_named(symbol)}") if (s := self.describe(name))]
        if not own:
            known = {unquote(name.split("/")[1]) for name in self.files.names(FOLDER)}
            raise InvalidInput(
                f"unknown symbol '{symbol}'",
                f"{suggest(symbol, known)}; import it with 'pitboss data import'",
                "symbols",
            )
        fitting = [s for s in own if timeframe.is_made_of(parse_timeframe(s.timeframe))]
        if not fitting:
            have = ", ".join(s.timeframe for s in own)
            raise InvalidInput(
                f"{symbol} has no bars for {timeframe}",
                f"there are {have}: name one, or a multiple",
                "timeframe",
            )
        return max(fitting, key=lambda s: parse_timeframe(s.timeframe))

    def exact(self, symbol: str, timeframe: Timeframe) -> Series:
        """Answer the stored series. Raises NotFound."""
        series = self.describe(name_of(symbol, timeframe))
        if series is None:
            raise NotFound(f"there are no {timeframe} bars of {symbol}", "see 'pitboss data list'")
        return series

    def has_bars(self, series: Series, low: int | None, high: int | None) -> bool:
        """Answer whether any stored bar opens in [low, high), microseconds; None is no bound."""
        if any((low is None or at >= low) and (high is None or at < high) for at in (series.first, series.last)):
            return True
        return any_between(self.fetch(series.symbol, parse_timeframe(series.timeframe)), "ts", low, high)

    def remove(self, symbol: str, timeframe: Timeframe) -> None:
        """Remove a series. Raises NotFound."""
        self.exact(symbol, timeframe)
        self.files.remove(name_of(symbol, timeframe))

    def fetch(self, symbol: str, timeframe: Timeframe) -> Path:
        """Answer the file of a series. Raises NotFound."""
        path = self.files.fetch(name_of(symbol, timeframe))
        if path is None:
            raise NotFound(f"there are no {timeframe} bars of {symbol}", "see 'pitboss data list'")
        return path

    def describe(self, name: str) -> Series | None:
        """Answer the series that a file holds, None when it is none or cannot be read."""
        path = self.files.fetch(name)
        try:
            found = metadata_of(path) if path else {}
        except StorageUnavailable:
            return None
        if "digest" not in found:
            return None
        return Series(
            found["symbol"], found["timeframe"], int(found["rows"]), int(found["first"]), int(found["last"]),
            found["digest"], found["source"], found["is_synthetic"] == "True",
            *(found.get(key, "") for key in ("zone", "session", "prices")),
        )  # fmt: skip


def name_of(symbol: str, timeframe: Timeframe) -> str:
    """Answer the name of a series' file. Raises InvalidInput for what is no symbol."""
    return f"{FOLDER}/{_named(check_symbol(symbol))}/{timeframe}.parquet"


def _named(symbol: str) -> str:
    """Answer the name of a symbol's folder: BTC/USDT is BTC%2FUSDT."""
    return quote(symbol, safe=_PLAIN)


def check_symbol(symbol: str) -> str:
    """Answer `symbol` if it can name a series (and a folder). Raises InvalidInput."""
    is_one = isinstance(symbol, str) and len(symbol) <= LONGEST_SYMBOL and _SYMBOL.fullmatch(symbol)
    if not is_one or symbol[0] in ".-" or symbol.endswith(".") or set(symbol.split("/")) & {".", ".."}:
        raise InvalidInput(
            f"'{str(symbol)[:40]}' is no symbol",
            f"use letters, digits and . _ - = ^ / & : $ @ # ! + *, at most {LONGEST_SYMBOL}, such as BTC/USDT or ES=F",
            "symbol",
        )
    return symbol
