"""From the rows of a file to clean bars, with a report of all that was found and what was done about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pitboss.calendars.sessions import Session, bar_start
from pitboss.calendars.spelling import check_zone
from pitboss.calendars.zones import NEVER, days_in
from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import DAY_MICROS, Timeframe
from pitboss.kernel.bars import calendar_starts, odd_seconds, steps_of
from pitboss.kernel.dates import MINUTE, SECOND
from pitboss.kernel.stamps import EPOCH, HAS_CLOCK, NO_OFFSET
from pitboss.market.frames import COLUMNS, PRICES
from pitboss.market.moments import instants, settle
from pitboss.market.options import ImportOptions
from pitboss.market.readers import Reading, Rows

I64 = npt.NDArray[np.int64]
BOOL = npt.NDArray[np.bool_]
MOST_EDGE_LINES = 10  # lines of text after the last row that are no loss: totals, footnotes
MOST_CONFLICTS, MOST_CONFLICTS_SHARE = 3, 0.03
PREVIEW_ROWS = 5


@dataclass(frozen=True)
class Gap:
    """A stretch without bars: from the bar before it to the bar after it, and how many are missing."""

    after: str
    before: str
    missing: int


@dataclass
class ImportReport:
    """What an import found. `lost` is how many of the rows read are in no bar; `conflicts` are not among them."""

    rows_read: int = 0
    layout: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    ticker: str = ""
    unreadable: int = 0
    not_a_number: int = 0
    non_positive: int = 0
    lost: int = 0
    volume_unreadable: int = 0
    volume_missing: int = 0
    high_below_low: int = 0
    out_of_order: int = 0
    misaligned: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rows: int = 0
    gaps: int = 0
    largest_gaps: list[Gap] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    preview: list[dict[str, Any]] = field(default_factory=list)

    REPAIRS = {
        "unreadable": "rows without a readable time, removed",
        "not_a_number": "rows with a missing or unreadable price, removed",
        "non_positive": "rows with a price of 0 or less, removed",
        "volume_unreadable": "volumes that are no number, stored as missing",
        "high_below_low": "bars whose high or low did not contain open and close, widened",
        "out_of_order": "rows out of order, sorted",
        "misaligned": "rows not at a whole minute, moved to it",
        "duplicates": "rows with a time seen before and the same prices, removed",
        "conflicts": "rows in conflict: a time seen before and other prices, of which the first are kept",
    }

    LOSSES = ("unreadable", "not_a_number", "non_positive")

    def repairs(self) -> list[str]:
        """Answer a sentence for each kind of repair that was made."""
        return self._told(self.REPAIRS)

    def losses(self) -> list[str]:
        """Answer a sentence for each kind of row that makes no bar."""
        return self._told(self.LOSSES)

    def _told(self, names: Iterable[str]) -> list[str]:
        return [f"{getattr(self, name):,} {self.REPAIRS[name]}" for name in names if getattr(self, name)]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"repairs": self.repairs()}


def clean(
    rows: Rows, reading: Reading, timeframe: Timeframe, options: ImportOptions, session: Session | None
) -> tuple[pl.DataFrame, ImportReport]:
    """Answer clean bars and the report.

    Raises InvalidInput when nothing is left, when more is lost than `options` allow, when many rows contradict each
    other, or when anything needs a repair and none is wanted.
    """
    report = ImportReport(
        rows_read=len(rows), layout=reading.layout, columns=reading.columns, ticker=reading.ticker,
        remarks=list(reading.remarks), volume_unreadable=rows.bad_volumes,
    )  # fmt: skip
    settle(rows.stamps, options.date_order, options.max_lost / 100)
    moments = instants(rows.stamps, options.tz, timeframe.micros)
    starts = _starts(rows, moments, timeframe, options, session, report)
    values = rows.values
    bad_price = values.select(
        pl.any_horizontal(*(pl.col(n).is_null() | pl.col(n).is_nan() | pl.col(n).is_infinite() for n in PRICES))
    ).to_series().to_numpy()  # fmt: skip
    last = _last_row(starts, bad_price, values, report)
    if last < len(starts):
        starts, bad_price, values, moments = starts[:last], bad_price[:last], values.head(last), moments[:last]
    kept = _kept(starts, bad_price, values, rows.unread, options, report)
    if not kept.all():
        starts, values, moments = starts[kept], values.filter(pl.Series(kept)), moments[kept]
    _check_spacing(moments, timeframe)
    del bad_price, kept, moments
    steps = steps_of(starts, 0.0, 0.0)
    frame = _ascending(_widened(_framed(starts, values, report), report), steps, report)
    if steps[1] or steps[2]:
        frame = _without_repeats(frame, report)
    if options.strict and report.repairs():
        raise InvalidInput(
            f"refused (--strict): {'; '.join(report.repairs())}", "mend the file, or import without --strict", "file"
        )
    found = find_gaps(frame, timeframe)
    report.rows, report.gaps = len(frame), len(found)
    report.largest_gaps = sorted(found, key=lambda gap: -gap.missing)[:10]
    report.volume_missing = int(frame["volume"].is_nan().sum())
    report.preview = [row | {"ts": row["ts"].isoformat()} for row in frame.head(PREVIEW_ROWS).iter_rows(named=True)]
    return frame, report


# --- times


def _starts(
    rows: Rows, moments: I64, timeframe: Timeframe, options: ImportOptions, session: Session | None,
    report: ImportReport,
) -> I64:  # fmt: skip
    """Answer when the bar of each row starts: its moment, or the day that it is told by."""
    known = moments != NEVER
    if timeframe.is_daily:
        days = _days(rows, moments, options, session)
        if timeframe.is_weekly or timeframe.months:
            days = _periods_of(days, timeframe, options.stamp)
        return np.where(known, days, NEVER)
    starts = _whole_minutes(moments, known, options.stamp, report)
    if options.stamp == "close":
        starts = np.where(known, bar_start(np.where(known, starts, 0), timeframe, session), NEVER)
    return starts


def _days(rows: Rows, moments: I64, options: ImportOptions, session: Session | None) -> I64:
    """Answer the days that rows are of: those that are written, unless a session or a zone says whose days they are."""
    value, offset, form = rows.stamps
    is_epoch = (form & 15) == EPOCH
    is_absolute = is_epoch | (offset != NO_OFFSET) | (options.tz is not None)
    is_midnight = ~is_absolute & (value % DAY_MICROS == 0)
    is_moment = (is_epoch | (form & HAS_CLOCK != 0)) & (moments != NEVER) & ~is_midnight
    before = is_moment if options.stamp == "close" else np.zeros(len(value), dtype=np.bool_)  # it ends with its day
    days = (value - before) // DAY_MICROS * DAY_MICROS
    if session is not None:
        days[is_moment] = session.days((moments - before)[is_moment])
    elif options.timezone is not None:
        known = is_moment & is_absolute
        days[known] = days_in((moments - before)[known], check_zone(options.timezone, "timezone"))
    return days


def _periods_of(days: I64, timeframe: Timeframe, stamp: str) -> I64:
    """Answer the Mondays or the firsts of months of bars that may be told by another of their days."""
    if timeframe.is_weekly and stamp == "open":  # MetaTrader's weeks are told by the Sunday before them
        is_sunday = (days // DAY_MICROS - 3) % 7 == 0  # 1970-01-04 was one
        days = np.where(is_sunday, days + DAY_MICROS, days)
    return calendar_starts(days, 7 * DAY_MICROS, timeframe.anchor, min(timeframe.months, 1))


def _whole_minutes(moments: I64, known: BOOL, stamp: str, report: ImportReport) -> I64:
    """Answer the moments without their seconds, and count those that had some."""
    odd, ends = odd_seconds(moments if known.all() else moments[known])
    if not odd:
        return moments
    seconds = moments % MINUTE
    if stamp == "close":  # 09:34:59.999 is the end of 09:34
        report.misaligned = odd - ends
        return np.where(known, moments - seconds + np.where(seconds >= MINUTE - SECOND, MINUTE, 0), NEVER)
    if ends > max(1, int(known.sum()) // 2):
        raise InvalidInput(
            "the times end in :59, as ends of bars do", "say --stamp close, and the bars get their starts", "stamp"
        )
    report.misaligned = odd
    return np.where(known, moments - seconds, NEVER)


def _check_spacing(moments: I64, timeframe: Timeframe) -> None:
    """Refuse bars whose commonest distance is not the timeframe they are said to have."""
    least, most = _lengths(timeframe)
    forward, back, _, fitting = steps_of(moments, least * 1e6, most * 1e6)
    if forward + back < 2 or 2 * fitting > forward + back:
        return
    steps = np.diff(np.sort(moments))
    sizes, counts = np.unique(steps[steps > 0], return_counts=True)
    seconds = int(sizes[np.argmax(counts)]) / 1e6
    if not least <= seconds <= most:
        shown = f"{seconds:g} s" if seconds < 86_400 else f"{seconds / 86_400:g} days"
        raise InvalidInput(
            f"the bars are {shown} apart, not {timeframe.seconds:,} s ({timeframe})",
            "name their own timeframe; longer ones are made when they are read", "timeframe",
        )  # fmt: skip


def _lengths(timeframe: Timeframe) -> tuple[float, float]:
    """Answer how far apart bars of a timeframe are, in seconds, at least and at most."""
    if timeframe.months:
        return timeframe.months * 28 * 86_400 - 3_600, timeframe.months * 31 * 86_400 + 3_600
    slack = 3_600.5 if timeframe.is_daily else 0.5  # the clocks change
    return timeframe.seconds - slack, timeframe.seconds + slack


# --- rows


def _last_row(starts: I64, bad_price: BOOL, values: pl.DataFrame, report: ImportReport) -> int:
    """Answer where the rows end: a few lines of text below them, with neither a time nor a price, are none."""
    last = len(starts)
    while last and len(starts) - last < MOST_EDGE_LINES and starts[last - 1] == NEVER and bad_price[last - 1]:
        if any(values[name][last - 1] is not None for name in PRICES):
            break
        last -= 1
    if last < len(starts):
        report.remarks.append(f"{len(starts) - last:,} lines of text after the last row, left out")
    return last


def _kept(
    starts: I64, bad_price: BOOL, values: pl.DataFrame, unread: str, options: ImportOptions, report: ImportReport
) -> BOOL:
    """Answer which rows make bars. Raises InvalidInput when more than `options` allow do not."""
    unreadable = starts == NEVER
    report.unreadable = int(unreadable.sum())
    report.not_a_number = int((bad_price & ~unreadable).sum())
    kept: BOOL = ~(unreadable | bad_price)
    if not options.allow_negative:
        low = values.select(pl.min_horizontal(*PRICES).fill_null(1.0) <= 0).to_series().to_numpy()
        report.non_positive = int((low & kept).sum())
        kept &= ~low
    report.lost = len(starts) - int(kept.sum())
    example = f" ('{unread.strip()[:40]}' is no time that is known)" if report.unreadable and unread else ""
    found = "; ".join(report.losses()) or "the file has no rows"
    if not kept.any():
        raise InvalidInput(f"no usable bar: {found}{example}", _remedy(report), "file")
    if report.lost > options.max_lost / 100 * len(starts):
        what = f"{report.lost:,} of {len(starts):,} rows would be lost: {found}{example}"
        raise InvalidInput(what, _remedy(report), "file")
    return kept


def _remedy(report: ImportReport) -> str:
    if report.non_positive > report.lost // 2:
        return "keep them with --allow-negative, or allow the loss with --max-lost PERCENT"
    return "check the separator, the columns and the times, or allow the loss with --max-lost PERCENT"


def _framed(starts: I64, values: pl.DataFrame, report: ImportReport) -> pl.DataFrame:
    ts = pl.Series("ts", starts).cast(pl.Datetime("us", "UTC"))
    frame = values.insert_column(0, ts)
    if "volume" not in frame.columns:
        report.remarks.append("there is no volume: it is missing in every bar")
        frame = frame.with_columns(volume=pl.lit(float("nan")))
    return frame.with_columns(pl.col("volume").fill_null(float("nan"))).select(COLUMNS)


def _widened(frame: pl.DataFrame, report: ImportReport) -> pl.DataFrame:
    first, high, low, last = map(pl.col, PRICES)
    outside = (high < first) | (high < last) | (high < low) | (low > first) | (low > last)
    report.high_below_low = frame.select(outside.sum()).item()
    if not report.high_below_low:
        return frame
    return frame.with_columns(pl.max_horizontal(*PRICES).alias("high"), pl.min_horizontal(*PRICES).alias("low"))


def _ascending(frame: pl.DataFrame, steps: tuple[int, ...], report: ImportReport) -> pl.DataFrame:
    """Answer the rows by time; of several of one moment the first in the file stays the first."""
    forward, back, _, _ = steps
    if not back:
        return frame
    if forward:
        report.out_of_order = back
    else:
        report.remarks.append("the rows are newest first")
    return frame.sort("ts", maintain_order=True)


def _without_repeats(frame: pl.DataFrame, report: ImportReport) -> pl.DataFrame:
    """Keep the first row of each moment; tell those that say the same from those that contradict it."""
    is_repeat = (frame["ts"].cast(pl.Int64).diff() == 0).fill_null(False)
    if not is_repeat.any():
        return frame
    first = [pl.col(name).first().over("ts") for name in PRICES]
    differs = frame.select(
        pl.any_horizontal(*(pl.col(name) != own for name, own in zip(PRICES, first, strict=True)))
    ).to_series()  # fmt: skip
    report.conflicts = int((is_repeat & differs).sum())
    report.duplicates = int(is_repeat.sum()) - report.conflicts
    if report.conflicts > max(MOST_CONFLICTS, MOST_CONFLICTS_SHARE * len(frame)):
        at = micros_to_iso(int(frame.filter(is_repeat & differs)["ts"].cast(pl.Int64)[0]))
        raise InvalidInput(
            f"{report.conflicts:,} of {len(frame):,} rows are in conflict: a time again with other prices, first {at}",
            "is it of several tickers (--columns ticker=…), or in a zone that changes its clocks (--tz)?", "file",
        )  # fmt: skip
    return frame.filter(~is_repeat)


def find_gaps(frame: pl.DataFrame, timeframe: Timeframe) -> list[Gap]:
    """Answer every stretch in which at least one bar is missing, weekends and holidays included."""
    ts = frame["ts"].cast(pl.Int64).to_numpy()
    longest = 31 * DAY_MICROS * timeframe.months if timeframe.months else timeframe.micros
    at = np.flatnonzero(np.diff(ts) > longest)
    return [
        Gap(micros_to_iso(int(ts[k])), micros_to_iso(int(ts[k + 1])), int(ts[k + 1] - ts[k]) // timeframe.micros - 1)
        for k in at
    ]
