"""The catalog: one Parquet file for each symbol and timeframe, its description inside the file."""

from __future__ import annotations

import builtins
import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import InvalidInput, NotFound, StorageUnavailable, suggest
from pitboss.core.files import Files
from pitboss.core.places import printable
from pitboss.core.timeframe import Timeframe, parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.market.frames import read_parquet, resampled, scan_parquet, to_arrays
from pitboss.market.readers import read_file
from pitboss.market.repair import Gap, ImportReport, clean, find_gaps

EARLIEST, LATEST = -5_364_662_400_000_000, 7_258_118_400_000_000  # 1800 and 2200
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
    """The series among the files, under `bars`. Readers never see a half-written one."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def list(self) -> list[Series]:
        """Answer every series, by symbol, then by length of its bars."""
        found = [self._describe(name) for name in self.files.names(FOLDER)]
        return sorted((s for s in found if s), key=lambda s: (s.symbol, parse_timeframe(s.timeframe)))

    def find(self, symbol: str, timeframe: Timeframe) -> Series:
        """Answer the series itself, else the longest shorter one that `timeframe` can be made of.

        Raises InvalidInput naming what exists.
        """
        check_symbol(symbol)
        own = [s for name in self.files.names(f"{FOLDER}/{symbol}") if (s := self._describe(name))]
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
        series = self._describe(_name(symbol, timeframe))
        if series is None:
            raise NotFound(f"there are no {timeframe} bars of {symbol}", "see 'pitboss data list'")
        return series

    def count(self, series: Series, low: int | None, high: int | None) -> int:
        """Answer how many stored bars open in [low, high), microseconds; None is no bound."""
        ts = pl.col("ts").cast(pl.Int64)
        bars = scan_parquet(self._fetch(series.symbol, parse_timeframe(series.timeframe))).select("ts")
        if low is not None:
            bars = bars.filter(ts >= low)
        if high is not None:
            bars = bars.filter(ts < high)
        return int(bars.select(pl.len()).collect().item())

    def load(self, symbol: str, timeframe: Timeframe) -> BarArrays:
        """Answer the bars of `symbol` at `timeframe`, made of shorter ones where they have to be."""
        series = self.find(symbol, timeframe)
        own = parse_timeframe(series.timeframe)
        arrays = to_arrays(self.frame(symbol, own))
        return arrays if own == timeframe else resampled(arrays, timeframe)

    def frame(self, symbol: str, timeframe: Timeframe) -> pl.DataFrame:
        """Answer the stored frame. Raises NotFound."""
        return read_parquet(self._fetch(symbol, timeframe))

    def gaps(self, symbol: str, timeframe: Timeframe) -> builtins.list[Gap]:
        """Answer every stretch of the series in which a bar is missing."""
        return find_gaps(self.frame(symbol, timeframe), timeframe)

    def import_file(
        self, path: Path, symbol: str, timeframe: Timeframe, tz: str | None = None,
        columns: Mapping[str, str] | None = None, is_strict: bool = False, source: str = "",
    ) -> tuple[Series, ImportReport]:  # fmt: skip
        """Read, clean and store a file of bars; on a moment that is stored already the file's bar wins. `source` is
        what the series says of its origin, the file's name without one.

        Raises InvalidInput, and then nothing is changed.
        """
        check_symbol(symbol)
        try:
            frame, report = clean(read_file(path, columns, source), timeframe, tz, is_strict)
        except (pl.exceptions.PolarsError, ValueError, OverflowError, TypeError) as error:
            first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            what = f"{printable(path.name)} cannot be read as bars: {first}"
            raise InvalidInput(what, "check its columns and times", "file") from None
        return self.store(frame, symbol, timeframe, source or printable(path.name)), report

    def store(
        self, frame: pl.DataFrame, symbol: str, timeframe: Timeframe, source: str, is_synthetic: bool = False
    ) -> Series:
        """Join clean bars to what is stored. Raises InvalidInput when real bars would meet synthetic ones."""
        name = _name(symbol, timeframe)
        with self.files.turn(FOLDER):
            return self._join(name, frame, symbol, timeframe, source, is_synthetic)

    def _join(
        self, name: str, frame: pl.DataFrame, symbol: str, timeframe: Timeframe, source: str, is_synthetic: bool
    ) -> Series:
        before, path = self._describe(name), self.files.fetch(name)
        if before is None and path is not None:
            raise StorageUnavailable(f"{path} cannot be read", "restore it from a backup, or remove the file")
        if before and before.is_synthetic != is_synthetic:
            have = "synthetic" if before.is_synthetic else "real"
            raise InvalidInput(
                f"{symbol} {timeframe} holds {have} bars",
                "choose another symbol, or remove them first",
                "symbol",
            )
        if before and not is_synthetic:
            frame = pl.concat([frame, self.frame(symbol, timeframe)]).unique("ts", keep="first").sort("ts")
        ts = frame["ts"].cast(pl.Int64)
        if int(ts[0]) < EARLIEST or int(ts[-1]) > LATEST:
            first, last = frame["ts"][0], frame["ts"][-1]
            raise InvalidInput(f"bars from {first} to {last}", "bars lie between 1800 and 2200", "ts")
        series = Series(
            symbol,
            str(timeframe),
            len(frame),
            int(ts[0]),
            int(ts[-1]),
            digest_of(frame),
            source,
            is_synthetic,
        )
        described = {key: str(value) for key, value in asdict(series).items()}
        self.files.put(name, lambda path: frame.write_parquet(path, compression="zstd", metadata=described))
        return series

    def damaged(self) -> builtins.list[str]:
        """Answer the names of series that cannot be read, or whose rows are not those that were stored."""
        found = []
        for name in self.files.names(FOLDER):
            series, path = self._describe(name), self.files.fetch(name)
            try:
                if series is None or path is None or digest_of(read_parquet(path)) != series.digest:
                    found.append(name)
            except (OSError, pl.exceptions.PolarsError):
                found.append(name)
        return found

    def remove(self, symbol: str, timeframe: Timeframe) -> None:
        """Remove a series. Raises NotFound."""
        self.exact(symbol, timeframe)
        self.files.remove(_name(symbol, timeframe))

    def _fetch(self, symbol: str, timeframe: Timeframe) -> Path:
        path = self.files.fetch(_name(symbol, timeframe))
        if path is None:
            raise NotFound(f"there are no {timeframe} bars of {symbol}", "see 'pitboss data list'")
        return path

    def _describe(self, name: str) -> Series | None:
        path = self.files.fetch(name)
        try:
            found = pl.read_parquet_metadata(path) if path else {}
        except (OSError, pl.exceptions.PolarsError):
            return None
        if "digest" not in found:
            return None
        return Series(
            found["symbol"], found["timeframe"], int(found["rows"]), int(found["first"]), int(found["last"]),
            found["digest"], found["source"], found["is_synthetic"] == "True",
        )  # fmt: skip


def _name(symbol: str, timeframe: Timeframe) -> str:
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


def digest_of(frame: pl.DataFrame) -> str:
    """Answer a digest of the rows of a frame of bars (BLAKE2b, 128 bits, of its columns' bytes)."""
    digest = hashlib.blake2b(digest_size=16)
    for name in frame.columns:
        column = frame[name].cast(pl.Int64) if name == "ts" else frame[name]
        digest.update(np.ascontiguousarray(column.to_numpy()).data)
    return digest.hexdigest()
