"""Dates: ranges as people write them, and the last one that many series have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

from pitboss.core.clock import parse_date
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import DAY_MICROS

EVER = -(1 << 62), 1 << 62  # microseconds: every date there is
Date = TypeVar("Date", int, str)


def span_of(start: str | None, end: str | None) -> tuple[int, int]:
    """Read a date range as microseconds [low, high), as far as there are dates where a bound is not given."""
    low, high = range_of(start or None, end or None)
    return EVER[0] if low is None else low, EVER[1] if high is None else high


def range_of(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Read a date range as microseconds [low, high); see `frames.between`."""
    bounds: list[int | None] = []
    for name, text in (("start", start), ("end", end)):
        try:
            bounds.append(None if not text else parse_date(text))
        except (ValueError, OverflowError, TypeError, AttributeError):
            raise InvalidInput(f"'{str(text)[:40]}' is no date", "write 2018-01-31 or 2018-01-31T13:00", name) from None
    low, high = bounds
    if high is not None and end and len(end.strip()) == 10:
        high += DAY_MICROS
    if low is not None and high is not None and low >= high:
        raise InvalidInput(
            f"the date range {start} to {end} is empty or reversed", "put the earlier date first", "start"
        )
    return low, high


def moment_of(text: str, where: str) -> int:
    """Read a date or a moment as microseconds since 1970. Raises InvalidInput that names `where` it stands."""
    try:
        return parse_date(text)
    except (ValueError, OverflowError):
        raise InvalidInput(f"'{text[:40]}' is no moment", "write 2014-06-05T14:30", where) from None


def latest_shared(lasts: Iterable[Date]) -> Date | None:
    """Answer the latest of the last dates of some series that one in five of them has: who has ended before, and who
    trades on other days than the rest, does not decide. None where there are none."""
    counts = Counter(lasts)
    shared = [date for date, count in counts.items() if 5 * count >= counts.total()]
    return max(shared or counts, default=None)
