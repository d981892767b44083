"""The steps of a session: the minutes of one trading day, or the days of a range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pitboss.calendars.sessions import Exchange, Session, parse_session
from pitboss.calendars.zones import instants_of
from pitboss.core.clock import micros_to_iso, parse_date
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import DAY_MICROS

MINUTE = 60_000_000
HOUR = 60 * MINUTE
# when trading before the open begins, and when that after the close ends: hours after midnight where the exchange is;
# the lengths after a close are kept on short days
EXTENDED = {"XNYS": (4, 4), "XNAS": (4, 4), "ARCX": (4, 4), "XASE": (4, 4)}
PARTS = ("pre", "regular", "after")


@dataclass(frozen=True, slots=True)
class Tick:
    """One step: its number from 1, the opening of its bar, and when that bar is known; microseconds since 1970."""

    number: int
    at: int
    known: int


def minutes_of(calendar: str, date: str, parts: Sequence[str] = ("regular",)) -> list[Tick]:
    """Answer the minutes of a trading day, each told by its opening: 390 of a regular day in New York, 210 of a half
    day.

    Raises InvalidInput for a day that is not traded, and for parts that the calendar does not know.
    """
    session = parse_session(calendar)
    day = _day(date)
    days = np.array([day], np.int64)
    if isinstance(session, Exchange) and int(session.last_open(days)[0]) != day:
        raise InvalidInput(f"{date} is no trading day of {calendar}", _near(session, day), "date")
    start, end = int(session.starts(days)[0]), int(session.ends(days)[0])
    spans = {"regular": (start, end)}
    if set(parts) - {"regular"}:
        if calendar not in EXTENDED:
            known = ", ".join(EXTENDED)
            raise InvalidInput(f"{calendar} has no hours before its open", f"they are known of {known}", "session")
        first, length = EXTENDED[calendar]
        begin = int(instants_of(days + first * HOUR, session.zone)[0])
        spans |= {"pre": (begin, start), "after": (end, end + length * HOUR)}
    minutes = [at for part in PARTS if part in parts for at in range(*spans[part], MINUTE)]
    return [Tick(number, at, at + MINUTE) for number, at in enumerate(minutes, 1)]


def days_of(calendar: str, start: str, end: str) -> list[Tick]:
    """Answer the trading days of a range, both ends included, each told by its date at 00:00 UTC and known at its
    close. Raises InvalidInput where there is none."""
    session = parse_session(calendar)
    low, high = _day(start), _day(end)
    dates = np.arange(low, high + DAY_MICROS, DAY_MICROS, dtype=np.int64)
    days = dates[session.last_open(dates) == dates] if len(dates) else dates
    if not len(days):
        raise InvalidInput(f"{calendar} trades on no day from {start} to {end}", "widen the range", "start")
    return [
        Tick(number, int(day), int(known))
        for number, (day, known) in enumerate(zip(days, session.ends(days), strict=True), 1)
    ]


def _day(date: str) -> int:
    try:
        return parse_date(date[:10]) // DAY_MICROS * DAY_MICROS
    except ValueError:
        raise InvalidInput(f"'{date[:40]}' is no date", "write 2018-01-31", "date") from None


def _near(session: Session, day: int) -> str:
    before = int(session.last_open(np.array([day - DAY_MICROS], np.int64))[0])
    return f"the last one before is {micros_to_iso(before)[:10]}"
