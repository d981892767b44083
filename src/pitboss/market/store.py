"""The rows of the catalog: bars are read, imported and joined to what is there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from pitboss.calendars.sessions import Rule, Session, joined, parse_session
from pitboss.calendars.spelling import check_zone
from pitboss.core.errors import InvalidInput, StorageUnavailable
from pitboss.core.parquet import metadata_of
from pitboss.core.timeframe import Timeframe, parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.market.actions import Splits, combined, split_adjusted, splits_of, tidy
from pitboss.market.catalog import Catalog, Series, all_series, check_symbol, name_of
from pitboss.market.frames import read_arrays, read_parquet, to_arrays
from pitboss.market.inputs import source_of
from pitboss.market.options import ImportOptions
from pitboss.market.readers import read_file
from pitboss.market.repair import Gap, ImportReport, clean, find_gaps
from pitboss.market.seams import warnings_of

FEW_ROWS = 8_192  # up to which arrays are read faster than frames
EARLIEST, LATEST = -5_364_662_400_000_000, 7_258_118_400_000_000  # 1800 and 2200


class Imported(NamedTuple):
    """A series as it stands after an import, or as it would with a preview, and what was found in the file."""

    series: Series
    report: ImportReport


@dataclass(frozen=True, slots=True)
class Nature:
    """What a series says of its bars: their origin, the zone and the session of their days, what their prices are."""

    source: str
    zone: str = ""
    session: str = ""
    prices: str = ""
    is_synthetic: bool = False


class Seen(NamedTuple):
    """Bars as they were read: adjusted for the `splits`, see `actions.as_known`; with the digest of their series."""

    bars: BarArrays
    splits: Splits
    digest: str


class BarStore(Catalog):
    """The catalog with its bars. Readers never see a half-written series."""

    def load(self, symbol: str, timeframe: Timeframe) -> BarArrays:
        """Answer the bars of `symbol` at `timeframe`, made of shorter ones where they have to be."""
        return self.rows(self.find(symbol, timeframe), timeframe)

    def rows(self, series: Series, timeframe: Timeframe) -> BarArrays:
        """Answer the bars of a series, adjusted for its splits, joined where `timeframe` is longer than its own.

        Raises NotFound.
        """
        path = self.fetch(series)
        arrays = read_arrays(path) if series.rows <= FEW_ROWS else None
        if arrays is None:
            return self.made(read_parquet(path), series, timeframe)
        return self._joined_to(arrays, series, timeframe)

    def seen(self, symbol: str, timeframe: Timeframe) -> Seen:
        """Answer the bars of `symbol`, as `load` does, with the splits that they are adjusted for."""
        series = self.find(symbol, timeframe)
        path = self.fetch(series)
        arrays = read_arrays(path) if series.rows <= FEW_ROWS else None
        if arrays is not None:
            return Seen(self._joined_to(arrays, series, timeframe), (), series.digest)
        frame = read_parquet(path)
        return Seen(self.made(frame, series, timeframe), splits_of(frame), series.digest)

    def made(self, frame: pl.DataFrame, series: Series, timeframe: Timeframe) -> BarArrays:
        """Answer the frame of a series, adjusted for its splits, as bars of `timeframe`."""
        return self._joined_to(to_arrays(split_adjusted(frame), is_signed=True), series, timeframe)

    def _joined_to(self, arrays: BarArrays, series: Series, timeframe: Timeframe) -> BarArrays:
        own = parse_timeframe(series.timeframe)
        return arrays if own == timeframe else joined(arrays, own, timeframe, session_of(series))

    def frame(self, symbol: str, timeframe: Timeframe) -> pl.DataFrame:
        """Answer the stored frame, with its corporate actions where there are any. Raises NotFound."""
        return read_parquet(self.fetch(self.exact(symbol, timeframe)))

    def at(self, places: Sequence[str]) -> BarStore:
        """Answer the same, seen from the places that somebody's run was promised; none for its own."""
        return BarStore(self.files, places[0], places) if places else self

    def gaps(self, symbol: str, timeframe: Timeframe) -> list[Gap]:
        """Answer every stretch of the series in which a bar is missing."""
        return find_gaps(self.frame(symbol, timeframe), timeframe)

    def import_file(
        self, path: Path, symbol: str, timeframe: Timeframe, options: ImportOptions | None = None, source: str = ""
    ) -> list[Imported]:
        """Read, clean and store a file of bars; on a moment that is stored already the file's bar wins. One series, or
        one of each ticker when `options` ask for all. `source` is what the series say of their origin, the file's name
        without one.

        Raises InvalidInput, and then nothing is changed.
        """
        options = options or ImportOptions()
        if not options.each_ticker:
            check_symbol(symbol)
        file = source_of(path, source)
        session = parse_session(options.session) if options.session else None
        said = _said(path)
        nature = Nature(
            said.get("source", file.name), _zone(options, session) or said.get("zone", ""),
            options.session or said.get("session", ""), _prices(options) or said.get("prices", ""),
            said.get("is_synthetic") == "True",
        )  # fmt: skip
        try:
            made = [
                (check_symbol(reading.ticker or symbol) if options.each_ticker else symbol,
                 *clean(rows, reading, timeframe, options, session))
                for rows, reading in read_file(file, options, timeframe.is_daily)
            ]  # fmt: skip
        except (pl.exceptions.PolarsError, ValueError, OverflowError) as error:
            first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            what = f"{file.name} cannot be read as bars: {first}"
            raise InvalidInput(what, "check its columns and times", "file") from None
        with self.files.turn(self.home):
            joined = [
                (*self._joined(frame, own, timeframe, nature, report.warnings), report) for own, frame, report in made
            ]
            if not options.preview:
                for frame, series, _ in joined:
                    self._put(frame, series)
        return [Imported(series, report) for _, series, report in joined]

    def store(
        self, frame: pl.DataFrame, symbol: str, timeframe: Timeframe, nature: Nature,
        warnings: list[str] | None = None,
    ) -> Series:  # fmt: skip
        """Join clean bars to what is stored; what is odd about that is added to `warnings`.

        Raises InvalidInput when real bars would meet synthetic ones.
        """
        with self.files.turn(self.home):
            frame, series = self._joined(frame, symbol, timeframe, nature, [] if warnings is None else warnings)
            self._put(frame, series)
        return series

    def _joined(
        self, frame: pl.DataFrame, symbol: str, timeframe: Timeframe, nature: Nature, warnings: list[str]
    ) -> tuple[pl.DataFrame, Series]:
        """Answer what will be stored, and add to `warnings` what is odd about it."""
        name = self.home_name(symbol, timeframe)
        before, path = self.describe(name), self.files.fetch(name)
        if before is None and path is not None:
            raise StorageUnavailable(f"{path} cannot be read", "restore it from a backup, or remove the file")
        if before and before.is_synthetic != nature.is_synthetic:
            have = "synthetic" if before.is_synthetic else "real"
            raise InvalidInput(
                f"{symbol} {timeframe} holds {have} bars",
                "choose another symbol, or remove them first",
                "symbol",
            )
        if before and not nature.is_synthetic:
            nature = _both(before, nature, warnings)
            assert path is not None
            stored = read_parquet(path)
            warnings += warnings_of(stored, frame)
            frame = combined(frame, stored)
        frame = tidy(frame)
        ts = frame["ts"].cast(pl.Int64)
        if int(ts[0]) < EARLIEST or int(ts[-1]) > LATEST:
            first, last = frame["ts"][0], frame["ts"][-1]
            raise InvalidInput(f"bars from {first} to {last}", "bars lie between 1800 and 2200", "ts")
        return frame, Series(
            symbol, str(timeframe), len(frame), int(ts[0]), int(ts[-1]), digest_of(frame), nature.source,
            nature.is_synthetic, nature.zone, nature.session, nature.prices, name.rsplit("/", 2)[0],
        )  # fmt: skip

    def home_name(self, symbol: str, timeframe: Timeframe) -> str:
        """Answer the file that bars go to: one's own, shared or not."""
        shared = name_of(symbol, timeframe, self._shared_home)
        return shared if self.describe(shared) else name_of(symbol, timeframe, self.home)

    def _put(self, frame: pl.DataFrame, series: Series) -> None:
        described = {key: str(value) for key, value in asdict(series).items() if key != "place"}
        name = name_of(series.symbol, parse_timeframe(series.timeframe), series.place)
        self.files.put(name, lambda path: frame.write_parquet(path, compression="zstd", metadata=described))

    def damaged(self) -> list[str]:
        """Answer the names of series that cannot be read, or whose rows are not those that were stored."""
        found = []
        for name in all_series(self.files):
            series, path = self.describe(name), self.files.fetch(name)
            try:
                if series is None or path is None or digest_of(read_parquet(path)) != series.digest:
                    found.append(name)
            except (OSError, pl.exceptions.PolarsError):
                found.append(name)
        return found


def session_of(series: Series) -> Session | None:
    """Answer whose days a series has, None where nobody said."""
    if series.session:
        session = parse_session(series.session)
        return Rule(series.zone) if isinstance(session, Rule) and session == Rule("UTC") and series.zone else session
    return Rule(series.zone) if series.zone else None


def _said(path: Path) -> dict[str, str]:
    """Answer what a series that was stored by pitboss says of itself, nothing for any other file."""
    try:
        found = metadata_of(path)
    except StorageUnavailable:
        return {}
    return found if "digest" in found else {}


def _zone(options: ImportOptions, session: Session | None) -> str:
    """Answer the zone of a series: its own, or its session's, or that in which the file tells the time."""
    if options.timezone:
        return check_zone(options.timezone, "timezone")
    if session is not None and session != Rule("UTC"):
        return session.zone
    return check_zone(options.tz) if options.tz else ""


def _prices(options: ImportOptions) -> str:
    return "total-return" if options.adjust else options.prices or ""


def _both(before: Series, added: Nature, warnings: list[str]) -> Nature:
    """Answer what a series is after bars were added; what only one side says holds for both."""
    for name in ("zone", "session"):
        have, given = getattr(before, name), getattr(added, name)
        if have and given and have != given:
            raise InvalidInput(
                f"the stored bars of {before.symbol} have the {name} {have}, the file's {given}",
                "import it under the same, or remove the series first", name,
            )  # fmt: skip
    if before.prices and added.prices and before.prices != added.prices:
        warnings.append(f"a seam: {added.prices} prices join {before.prices} ones")
    return Nature(
        added.source, added.zone or before.zone, added.session or before.session, added.prices or before.prices,
        added.is_synthetic,
    )  # fmt: skip


def digest_of(frame: pl.DataFrame) -> str:
    """Answer a digest of the rows of a frame of bars (BLAKE2b, 128 bits, of its columns' bytes)."""
    digest = hashlib.blake2b(digest_size=16)
    for name in frame.columns:
        column = frame[name].cast(pl.Int64) if name == "ts" else frame[name]
        digest.update(np.ascontiguousarray(column.to_numpy()).data)
    return digest.hexdigest()
