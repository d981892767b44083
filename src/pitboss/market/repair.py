"""From raw rows to clean bars, with a report of all that was found and what was done about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import Timeframe
from pitboss.market.frames import COLUMNS, PRICES
from pitboss.market.moments import session_dates, to_utc
from pitboss.market.readers import RawBars

DAY_MICROS = 86_400_000_000


@dataclass(frozen=True)
class Gap:
    """A stretch without bars: from the bar before it to the bar after it, and how many are missing."""

    after: str
    before: str
    missing: int


@dataclass
class ImportReport:
    """What an import found. Every count but `gaps` is of rows that were repaired or removed."""

    rows_read: int = 0
    layout: str = ""
    unreadable: int = 0
    not_a_number: int = 0
    non_positive: int = 0
    high_below_low: int = 0
    out_of_order: int = 0
    misaligned: int = 0
    duplicates: int = 0
    rows: int = 0
    gaps: int = 0
    largest_gaps: list[Gap] = field(default_factory=list)

    REPAIRS = {
        "unreadable": "rows without a readable time, removed",
        "not_a_number": "rows with a missing or NaN price, removed",
        "non_positive": "rows with a price of 0 or less, removed",
        "high_below_low": "bars whose high or low did not contain open and close, widened",
        "out_of_order": "rows out of order, sorted",
        "misaligned": "rows not at the start of a bar, moved to it",
        "duplicates": "rows with a time seen before, removed",
    }

    def repairs(self) -> list[str]:
        """Answer a sentence for each kind of repair that was made."""
        return [f"{getattr(self, name):,} {what}" for name, what in self.REPAIRS.items() if getattr(self, name)]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"repairs": self.repairs()}


def clean(raw: RawBars, timeframe: Timeframe, tz: str | None, is_strict: bool) -> tuple[pl.DataFrame, ImportReport]:
    """Answer clean bars and the report. Raises InvalidInput when nothing is left, or when `is_strict`
    and anything needs a repair."""
    report = ImportReport(rows_read=len(raw.frame), layout=raw.layout)
    moments = to_utc(raw.frame["ts"], tz)
    if not timeframe.micros % DAY_MICROS:
        moments = session_dates(moments, tz)
    frame = raw.frame.with_columns(moments.alias("ts"))
    frame = _without(frame, pl.col("ts").is_null(), report, "unreadable")
    bad = pl.any_horizontal(*(pl.col(n).is_null() | pl.col(n).is_nan() | pl.col(n).is_infinite() for n in PRICES))
    frame = _without(frame, bad, report, "not_a_number")
    frame = _without(frame, pl.any_horizontal(*(pl.col(n) <= 0 for n in PRICES)), report, "non_positive")
    if not len(frame):
        reason = "; ".join(report.repairs()) or "the file has no rows"
        raise InvalidInput(f"no usable bar: {reason}", "check the delimiter, the columns and the time format", "file")
    frame = _ordered(_widened(frame, report), timeframe, report)
    _check_spacing(frame, timeframe)
    if is_strict and report.repairs():
        raise InvalidInput(
            f"refused (--strict): {'; '.join(report.repairs())}",
            "mend the file, or import without --strict",
            "file",
        )
    found = find_gaps(frame, timeframe)
    report.rows, report.gaps = len(frame), len(found)
    report.largest_gaps = sorted(found, key=lambda gap: -gap.missing)[:10]
    return frame.select(COLUMNS), report


def _without(frame: pl.DataFrame, mask: pl.Expr, report: ImportReport, name: str) -> pl.DataFrame:
    kept = frame.filter(~mask)
    setattr(report, name, len(frame) - len(kept))
    return kept


def _widened(frame: pl.DataFrame, report: ImportReport) -> pl.DataFrame:
    top, bottom = pl.max_horizontal(*PRICES), pl.min_horizontal(*PRICES)
    report.high_below_low = frame.select(((pl.col("high") < top) | (pl.col("low") > bottom)).sum()).item()
    return frame.with_columns(top.alias("high"), bottom.alias("low")) if report.high_below_low else frame


def _ordered(frame: pl.DataFrame, timeframe: Timeframe, report: ImportReport) -> pl.DataFrame:
    anchor, micros = timeframe.anchor, timeframe.micros
    aligned = ((pl.col("ts").cast(pl.Int64) - anchor) // micros * micros + anchor).cast(pl.Datetime("us", "UTC"))
    report.out_of_order = frame.select((pl.col("ts").diff() < pl.duration(microseconds=0)).sum()).item()
    report.misaligned = frame.select((pl.col("ts") != aligned).sum()).item()
    if report.misaligned:
        _check_spacing(frame.sort("ts") if report.out_of_order else frame, timeframe)
        frame = frame.with_columns(aligned.alias("ts"))
    if report.out_of_order:
        frame = frame.sort("ts", maintain_order=True)
    unique = frame.unique("ts", keep="first", maintain_order=True)
    report.duplicates = len(frame) - len(unique)
    return unique


def _check_spacing(frame: pl.DataFrame, timeframe: Timeframe) -> None:
    """Refuse bars whose commonest distance is not the timeframe they are said to have."""
    if len(frame) < 3:
        return
    steps = frame["ts"].cast(pl.Int64).diff().drop_nulls()
    common = steps.filter(steps > 0).mode().sort()
    if not len(common):
        return
    seconds = int(common[0]) / 1e6
    if abs(seconds - timeframe.seconds) > 0.5:
        raise InvalidInput(
            f"the bars are {seconds:g} s apart, not {timeframe.seconds:,} s ({timeframe})",
            "name their own timeframe; longer ones are made when they are read", "timeframe",
        )  # fmt: skip


def find_gaps(frame: pl.DataFrame, timeframe: Timeframe) -> list[Gap]:
    """Answer every stretch in which at least one bar is missing, weekends and holidays included."""
    steps = frame.select(
        pl.col("ts").shift(1).alias("after"), pl.col("ts").alias("before"), pl.col("ts").diff().alias("step")
    ).filter(pl.col("step") > pl.duration(microseconds=timeframe.micros))
    return [
        Gap(after.isoformat(), before.isoformat(), int(step.total_seconds() // timeframe.seconds) - 1)
        for after, before, step in steps.iter_rows()
    ]
