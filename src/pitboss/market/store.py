"""The rows of the catalog: bars are read, imported and joined to what is there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl

from pitboss.core.errors import InvalidInput, StorageUnavailable
from pitboss.core.places import printable
from pitboss.core.timeframe import Timeframe, parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.market.catalog import FOLDER, Catalog, Series, check_symbol, name_of
from pitboss.market.frames import read_parquet, resampled, to_arrays
from pitboss.market.readers import read_file
from pitboss.market.repair import Gap, ImportReport, clean, find_gaps

EARLIEST, LATEST = -5_364_662_400_000_000, 7_258_118_400_000_000  # 1800 and 2200


class BarStore(Catalog):
    """The catalog with its bars. Readers never see a half-written series."""

    def load(self, symbol: str, timeframe: Timeframe) -> BarArrays:
        """Answer the bars of `symbol` at `timeframe`, made of shorter ones where they have to be."""
        series = self.find(symbol, timeframe)
        own = parse_timeframe(series.timeframe)
        arrays = to_arrays(self.frame(symbol, own))
        return arrays if own == timeframe else resampled(arrays, timeframe)

    def frame(self, symbol: str, timeframe: Timeframe) -> pl.DataFrame:
        """Answer the stored frame. Raises NotFound."""
        return read_parquet(self.fetch(symbol, timeframe))

    def gaps(self, symbol: str, timeframe: Timeframe) -> list[Gap]:
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
        name = name_of(symbol, timeframe)
        with self.files.turn(FOLDER):
            return self._join(name, frame, symbol, timeframe, source, is_synthetic)

    def _join(
        self, name: str, frame: pl.DataFrame, symbol: str, timeframe: Timeframe, source: str, is_synthetic: bool
    ) -> Series:
        before, path = self.describe(name), self.files.fetch(name)
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

    def damaged(self) -> list[str]:
        """Answer the names of series that cannot be read, or whose rows are not those that were stored."""
        found = []
        for name in self.files.names(FOLDER):
            series, path = self.describe(name), self.files.fetch(name)
            try:
                if series is None or path is None or digest_of(read_parquet(path)) != series.digest:
                    found.append(name)
            except (OSError, pl.exceptions.PolarsError):
                found.append(name)
        return found


def digest_of(frame: pl.DataFrame) -> str:
    """Answer a digest of the rows of a frame of bars (BLAKE2b, 128 bits, of its columns' bytes)."""
    digest = hashlib.blake2b(digest_size=16)
    for name in frame.columns:
        column = frame[name].cast(pl.Int64) if name == "ts" else frame[name]
        digest.update(np.ascontiguousarray(column.to_numpy()).data)
    return digest.hexdigest()
