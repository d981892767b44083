"""The catalog: one Parquet file for each symbol and timeframe, its description inside the file."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import InvalidInput, NotFound, StorageUnavailable, suggest
from pitboss.core.files import Files
from pitboss.core.parquet import any_between, metadata_of
from pitboss.core.timeframe import Timeframe, parse_timeframe

FOLDER = "bars"
_SYMBOL = re.compile(r"[A-Za-z0-9^][A-Za-z0-9._=^-]{0,31}")


@dataclass(frozen=True, slots=True)
class Series:
    """One stored series. `digest` is of its rows: equal digests are equal bars."""

    symbol: str
    timeframe: str
    rows: int
    first: int
    last: int
    digest: str
    source: str
    is_synthetic: bool

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
        own = [s for name in self.files.names(f"{FOLDER}/{symbol}") if (s := self.describe(name))]
        if not own:
            known = {name.split("/")[1] for name in self.files.names(FOLDER)}
            raise InvalidInput(
                f"unknown symbol '{symbol}'",
                f"{suggest(symbol, known)}; import it with 'pitboss data import'",
                "symbols",
            )
        fitting = [s for s in own if not timeframe.micros % parse_timeframe(s.timeframe).micros]
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
        )  # fmt: skip


def name_of(symbol: str, timeframe: Timeframe) -> str:
    """Answer the name of a series' file. Raises InvalidInput for what is no symbol."""
    return f"{FOLDER}/{check_symbol(symbol)}/{timeframe}.parquet"


def check_symbol(symbol: str) -> str:
    """Answer `symbol` if it can name a series (and a folder). Raises InvalidInput."""
    if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol) or symbol.endswith("."):
        raise InvalidInput(
            f"'{str(symbol)[:40]}' is no symbol",
            "use letters, digits and . _ - = ^, at most 32, such as EURUSD",
            "symbol",
        )
    return symbol
