"""Whose days and clocks a strategy follows: its document's, else those of its series, else UTC's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pitboss.calendars.sessions import Session, bar_ends, joined, parse_session
from pitboss.calendars.zones import wall_of
from pitboss.core.timeframe import DAY_MICROS, Timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.kernel.dates import HOUR, MINUTE
from pitboss.strategy.document import Document

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Times:
    """`sessions` are those of the series, by symbol, where they are known; `session` and `zone` a document's own."""

    sessions: Mapping[str, Session] = field(default_factory=dict)
    session: Session | None = None
    zone: str | None = None

    def followed(self, symbol: str) -> Session | None:
        """Answer the session that a strategy follows on the bars of a symbol, None for UTC's days."""
        return self.session or self.sessions.get(symbol)

    def joined(self, symbol: str, bars: BarArrays, own: Timeframe, longer: Timeframe) -> BarArrays:
        """Answer the bars of a symbol joined into longer ones."""
        return joined(bars, own, longer, self.followed(symbol))

    def wall(self, symbol: str, bars: BarArrays, timeframe: Timeframe) -> I64:
        """Answer what the clocks show when each bar opens, microseconds as if it were UTC; of a day its date."""
        session = self.followed(symbol)
        zone = self.zone or (session.zone if session else "UTC")
        return bars.ts if timeframe.is_daily else wall_of(bars.ts, zone)

    def days(self, symbol: str, bars: BarArrays, timeframe: Timeframe) -> I64:
        """Answer the day of each bar: its date at 00:00 UTC."""
        session = self.followed(symbol)
        if session is None or timeframe.is_daily:
            return bars.ts // DAY_MICROS * DAY_MICROS
        return session.days(bars.ts)

    def minutes_to_close(self, symbol: str, bars: BarArrays, timeframe: Timeframe) -> F64:
        """Answer the minutes from each bar's end to that of its session: 0 on the last bar and after it."""
        session, days = self.followed(symbol), self.days(symbol, bars, timeframe)
        closes = days + DAY_MICROS if session is None else session.ends(days)
        left = (closes - bar_ends(bars.ts, timeframe, session)) / MINUTE
        return np.maximum(left, 0.0)


UTC_DAYS = Times()


def times_of(document: Document, sessions: Mapping[str, Session] | None = None) -> Times:
    """Answer whose days and clocks a document follows on series with these sessions. Raises InvalidInput for a session
    of no exchange."""
    own = parse_session(document.session) if document.session else None
    return Times(sessions or {}, own, document.timezone or None)


def calendar_of(name: str, wall: I64) -> F64:
    """Answer the hour, minute or weekday (Monday 0) that clocks show."""
    if name == "hour":
        return np.asarray(wall // HOUR % 24, dtype=np.float64)
    if name == "minute":
        return np.asarray(wall // MINUTE % 60, dtype=np.float64)
    return np.asarray((wall // DAY_MICROS + 3) % 7, dtype=np.float64)


def within_days(days: I64, first: Callable[[I64], F64]) -> F64:
    """Answer for each bar what `first` says of the place of its day's first bar."""
    places = np.arange(len(days))
    begins = np.diff(days, prepend=np.iinfo(np.int64).min) != 0
    return first(np.maximum.accumulate(np.where(begins, places, 0)))
