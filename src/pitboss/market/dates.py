"""Ranges of dates, as people write them."""

from __future__ import annotations

from pitboss.core.clock import parse_date
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import DAY_MICROS

EVER = -(1 << 62), 1 << 62  # microseconds: every date there is


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
