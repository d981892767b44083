"""Timestamps as files write them, to moments in UTC."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

import polars as pl

from pitboss.core.errors import InvalidInput

_UTC = pl.Datetime("us", "UTC")
_FORMATS = (
    (r"\d{4}-\d\d-\d\d", "%Y-%m-%d"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d", "%Y-%m-%d %H:%M"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?", "%Y-%m-%d %H:%M:%S%.f"),
    (r"\d{8}", "%Y%m%d"),
    (r"\d{8} \d{6}", "%Y%m%d %H%M%S"),
    (r"\d{8} \d\d:\d\d:\d\d", "%Y%m%d %H:%M:%S"),
    (r"\d{4}\.\d\d\.\d\d", "%Y.%m.%d"),
    (r"\d{4}\.\d\d\.\d\d \d\d:\d\d", "%Y.%m.%d %H:%M"),
    (r"\d{4}\.\d\d\.\d\d \d\d:\d\d:\d\d", "%Y.%m.%d %H:%M:%S"),
    (r"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d(\.\d+)?", "%d.%m.%Y %H:%M:%S%.f"),
    (r"\d\d\.\d\d\.\d{4}", "%d.%m.%Y"),
    (r"\d{4}/\d\d/\d\d", "%Y/%m/%d"),
    (r"\d{4}/\d\d/\d\d \d\d:\d\d(:\d\d)?", "%Y/%m/%d %H:%M:%S"),
)
_OFFSET = r"(Z|[+-]\d\d:?\d\d| ?UTC| ?GMT[+-]\d{4})$"
_EPOCH_DIGITS = {10: 1_000_000, 13: 1_000}  # seconds and milliseconds to microseconds


def to_utc(ts: pl.Series, tz: str | None) -> pl.Series:
    """Answer `ts` (text, epoch numbers, dates or moments) as UTC; null for rows that cannot be read.

    Text without an offset is in zone `tz`, UTC unless given. Raises InvalidInput for an unknown zone or
    format, for rows with and without an offset in one file, and for several offsets unless `tz` is a zone
    that has each of them at its moment.
    """
    zone = check_zone(tz)
    if ts.dtype == pl.Date:
        ts = ts.cast(pl.Datetime("us"))
    if isinstance(ts.dtype, pl.Datetime):
        return ts.cast(_UTC) if ts.dtype.time_zone else _localized(ts.cast(pl.Datetime("us")), zone)
    if ts.dtype.is_numeric():
        return _from_epoch(ts.cast(pl.Int64, strict=False))
    texts = ts.cast(pl.String).str.strip_chars()
    known = texts.drop_nulls()
    if not len(known):
        raise InvalidInput("the time column is empty", "name another with --columns ts=…", "ts")
    if re.fullmatch(r"\d{10}|\d{13}|\d{16}|\d{19}", known[0]):
        return _from_epoch(texts.cast(pl.Int64, strict=False))
    offsets = known.str.extract(_OFFSET)
    if not offsets.null_count():
        return _with_offsets(texts, offsets, zone if tz else None)
    if offsets.null_count() < len(known):
        raise InvalidInput(
            f"{len(known) - offsets.null_count():,} rows name a time zone and {offsets.null_count():,} do not",
            "write all with an offset, or all without and give --tz", "ts",
        )  # fmt: skip
    return _localized(_parsed(texts), zone)


def session_dates(moments: pl.Series, tz: str | None) -> pl.Series:
    """Answer the dates that the moments have in zone `tz`, each at 00:00 UTC: a day's bar bears its session's date."""
    return moments.dt.convert_time_zone(check_zone(tz)).dt.date().cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def check_zone(tz: str | None) -> str:
    """Answer the zone's name. Raises InvalidInput when there is none of that name."""
    try:
        return ZoneInfo(tz or "UTC").key
    except (KeyError, ValueError, OSError):
        raise InvalidInput(
            f"unknown time zone '{str(tz)[:40]}'", "write UTC, America/New_York, Europe/London, …", "tz"
        ) from None


def _from_epoch(numbers: pl.Series) -> pl.Series:
    known = numbers.drop_nulls()
    if not len(known):
        raise InvalidInput("the time column is empty", "name another with --columns ts=…", "ts")
    digits = len(str(abs(int(known[0]))))
    if digits == 19:
        return (numbers // 1_000).cast(_UTC)
    if digits not in (*_EPOCH_DIGITS, 16):
        raise InvalidInput(f"'{known[0]}' is no time", "epochs have 10 (s), 13 (ms), 16 (µs) or 19 (ns) digits", "ts")
    return (numbers * _EPOCH_DIGITS.get(digits, 1)).cast(_UTC)


def _format_of(text: str, texts: pl.Series) -> str:
    for pattern, form in _FORMATS:
        if re.fullmatch(pattern, text):
            return form
    match = re.fullmatch(r"(\d{1,2})/(\d{1,2})/\d{4}( \d{1,2}:\d\d(:\d\d)?)?", text)
    if match:
        first = texts.str.extract(r"^(\d+)/").cast(pl.Int32, strict=False).max()
        second = texts.str.extract(r"^\d+/(\d+)/").cast(pl.Int32, strict=False).max()
        assert isinstance(first, int)
        assert isinstance(second, int)
        if first <= 12 and second <= 12:
            raise InvalidInput(f"is '{text}' a day or a month first?", "write dates as 2018-01-31", "ts")
        clock = "" if not match[3] else " %H:%M:%S" if match[4] else " %H:%M"
        return ("%d/%m/%Y" if first > 12 else "%m/%d/%Y") + clock
    raise InvalidInput(f"'{text[:40]}' is no time that is known", "write 2018-01-31 13:00:00 or an epoch", "ts")


def _parsed(texts: pl.Series) -> pl.Series:
    form = _format_of(str(texts.drop_nulls()[0]), texts)
    if form.startswith("%Y-%m-%d "):
        texts = texts.str.replace("T", " ", literal=True)
    if "%H" in form:
        return texts.str.to_datetime(form, time_unit="us", strict=False)
    return texts.str.to_date(form, strict=False).cast(pl.Datetime("us"))


def _localized(naive: pl.Series, zone: str) -> pl.Series:
    if zone == "UTC":
        return naive.dt.replace_time_zone("UTC")
    # the hour that the clocks repeat in autumn is read as its first pass, the one they skip has no bars
    local = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return local.dt.convert_time_zone("UTC")


def _with_offsets(texts: pl.Series, offsets: pl.Series, zone: str | None) -> pl.Series:
    plain = texts.str.replace(_OFFSET, "")
    minutes = (
        offsets.str.replace_all(r"[:A-Z ]", "")
        .replace("", "+0000")
        .str.extract_groups(r"([+-]\d\d)(\d\d)")
        .struct.unnest()
    )
    hours = minutes["1"].cast(pl.Int64)
    signed = pl.select(pl.when(minutes["1"].str.starts_with("-")).then(-1).otherwise(1)).to_series()
    shift = hours * 60 + signed * minutes["2"].cast(pl.Int64)
    if shift.n_unique() > 1:
        _check_offsets(plain, shift, offsets, zone)
    if texts.null_count():
        raise InvalidInput(f"{texts.null_count():,} rows have no time", "mend or remove them", "ts")
    moments = _parsed(plain) - (shift * 60_000_000).cast(pl.Duration("us"))
    return moments.dt.replace_time_zone("UTC")


def _check_offsets(plain: pl.Series, shift: pl.Series, offsets: pl.Series, zone: str | None) -> None:
    """Refuse several offsets unless `zone` has each of them at its moment, as daylight saving does."""
    shown = ", ".join(sorted({str(offset) for offset in offsets.unique().to_list()})[:4])
    if zone is not None:
        moments = (_parsed(plain) - (shift * 60_000_000).cast(pl.Duration("us"))).dt.replace_time_zone("UTC")
        local = moments.dt.convert_time_zone(zone)
        own = (local.dt.base_utc_offset() + local.dt.dst_offset()).dt.total_minutes()
        if (own == shift).all():
            return
    raise InvalidInput(
        f"the file mixes time zones: {shown}",
        "if they are one zone's summer and winter time, name it: --tz America/New_York", "ts",
    )  # fmt: skip
