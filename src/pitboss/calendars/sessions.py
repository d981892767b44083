"""Trading sessions: when a market's day begins and ends, and which day a moment belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.calendars.spelling import no_session, read_session
from pitboss.calendars.zones import days_in, instants_of, wall_of
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import DAY_MICROS, Timeframe
from pitboss.kernel.bars import BarArrays, calendar_ends, calendar_starts, resample

I64 = npt.NDArray[np.int64]
NOON = DAY_MICROS // 2


@dataclass(frozen=True)
class Rule:
    """Days that begin at one time in one zone; those that begin in the afternoon have the next day's date.

    A day is told by its date at 00:00 UTC; everything is microseconds since 1970.
    """

    zone: str
    start: int = 0  # microseconds after midnight

    @property
    def _lead(self) -> int:
        """How long after the midnight that begins its date a day begins: before it, where that is negative."""
        return self.start - DAY_MICROS if self.start >= NOON else self.start

    def days(self, moments: I64) -> I64:
        """Answer the day that each moment belongs to."""
        wall = wall_of(moments, self.zone)
        return (wall - self._lead) // DAY_MICROS * DAY_MICROS

    def starts(self, days: I64) -> I64:
        """Answer when each day begins."""
        return instants_of(days + self._lead, self.zone)

    def ends(self, days: I64) -> I64:
        """Answer when each day ends: as the next one begins."""
        return self.starts(days + DAY_MICROS)

    def last_open(self, days: I64) -> I64:
        """Answer the last day that is traded up to each day: every day is."""
        return days

    def covers(self, moments: I64, _length: int) -> npt.NDArray[np.bool_]:
        """Answer which stretches of time lie at least partly within sessions: all do."""
        return np.ones(len(moments), np.bool_)


@dataclass(frozen=True)
class Exchange:
    """The sessions of an exchange, holidays and short days among them."""

    code: str

    @cached_property
    def _calendar(self) -> Any:
        return _calendar(self.code)

    @property
    def zone(self) -> str:
        return str(self._calendar.tz)

    @cached_property
    def _table(self) -> tuple[I64, I64, I64]:
        """Days, their starts and their ends, ascending."""
        sessions = self._calendar.schedule
        starts, ends = (sessions[name].dt.tz_localize(None) for name in ("open", "close"))  # from UTC
        columns = (sessions.index, starts, ends)
        micros = [column.to_numpy().astype("datetime64[us]").astype(np.int64) for column in columns]
        return micros[0], micros[1], micros[2]

    def days(self, moments: I64) -> I64:
        """Answer the day that each moment belongs to; outside of the sessions it is the date there."""
        days, starts, ends = self._table
        local = days_in(moments, self.zone)
        if (days_in(starts, self.zone) == days).all():
            return local
        at = np.minimum(np.searchsorted(ends, moments, side="right"), len(days) - 1)  # it begins the evening before
        return np.where((moments < ends[-1]) & (moments >= starts[0]), days[at], local)

    def starts(self, days: I64) -> I64:
        """Answer when the session of each day begins."""
        return self._on(days, self._table[1])

    def covers(self, moments: I64, length: int) -> npt.NDArray[np.bool_]:
        """Answer which stretches of `length` microseconds from `moments` on lie at least partly within sessions."""
        _, starts, ends = self._table
        at = np.minimum(np.searchsorted(ends, moments, side="right"), len(ends) - 1)
        is_known = (moments >= starts[0]) & (moments < ends[-1])
        return np.asarray(~is_known | (starts[at] < moments + length) & (moments < ends[at]))

    def _on(self, days: I64, moments: I64) -> I64:
        """Answer one of the moments of each day's session; a day without one has the hour of the session before it."""
        known = self._table[0]
        at = np.clip(np.searchsorted(known, days, side="right") - 1, 0, len(known) - 1)
        moved = instants_of(wall_of(moments[at], self.zone) + (days - known[at]), self.zone)
        return np.where(known[at] == days, moments[at], moved)

    def ends(self, days: I64) -> I64:
        """Answer when the session of each day ends."""
        return self._on(days, self._table[2])

    def last_open(self, days: I64) -> I64:
        """Answer the last day that is traded up to each day."""
        known = self._table[0]
        return known[np.maximum(np.searchsorted(known, days, side="right") - 1, 0)]


Session = Rule | Exchange


def parse_session(text: str) -> Session:
    """Read `24x7`, an exchange's code, or a rule: `17:00 America/New_York`.

    Raises InvalidInput for what is none of them.
    """
    read = read_session(text)
    if isinstance(read, tuple):
        return Rule(*read)
    exchange = Exchange(read)
    assert exchange.zone  # raises InvalidInput for a code of no exchange
    return exchange


@lru_cache(maxsize=8)
def _calendar(code: str) -> Any:
    try:
        import exchange_calendars  # Pandas comes with it: only who names an exchange waits for it
    except ModuleNotFoundError:
        raise InvalidInput(
            "exchanges' calendars are not installed", "pip install 'pitboss[calendars]', or give a rule", "session"
        ) from None
    try:
        start = "1900-01-01" if code in ("XNYS", "NYSE") else "1990-01-01"
        end = (datetime.now(UTC) + timedelta(days=300)).strftime("%Y-%m-%d")
        return exchange_calendars.get_calendar(code, start=start, end=end)
    except exchange_calendars.errors.InvalidCalendarName:
        raise no_session(f"there is no exchange '{code[:20]}'") from None
    except ValueError:  # it is not known that far back
        return exchange_calendars.get_calendar(code)


def period_starts(moments: I64, own: Timeframe, longer: Timeframe, session: Session | None) -> I64:
    """Answer the start of the period of `longer` in which each bar lies.

    moments: (N,) starts of bars of timeframe `own`. Days are the session's, told by their dates; shorter periods begin
    with the session; weeks are from Monday to Sunday, months those of the calendar.
    """
    days = moments if own.is_daily or session is None else session.days(moments)
    if longer.is_daily or session is None:
        return calendar_starts(days, longer.micros, longer.anchor, longer.months)
    starts = session.starts(days)
    return (moments - starts) // longer.micros * longer.micros + starts


def joined(bars: BarArrays, own: Timeframe, longer: Timeframe, session: Session | None = None) -> BarArrays:
    """Answer bars of `own` timeframe joined into longer ones, told by their opening or, from a day on, by its date.

    They are made of the session's bars alone: what trades before its open and after its close is left out, for a day
    is complete when its session ends.
    """
    if session is not None and not own.is_daily:
        inside = session.covers(bars.ts, own.micros)
        if not inside.all():
            bars = bars.where(inside)
    return resample(bars, period_starts(bars.ts, own, longer, session))


def bar_start(moments: I64, timeframe: Timeframe, session: Session | None) -> I64:
    """Answer the starts of bars that are stamped with their ends, a session's last and shorter one among them."""
    if session is None:
        return moments - timeframe.micros
    inside = moments - 1
    starts = session.starts(session.days(inside))
    return (inside - starts) // timeframe.micros * timeframe.micros + starts


def bar_ends(starts: I64, timeframe: Timeframe, session: Session | None) -> I64:
    """Answer when bars are complete: those within a day no later than its session, days and longer ones with it.

    starts: (N,) what bars of `timeframe` are told by. Without a session days are those of UTC.
    """
    plain = calendar_ends(starts, timeframe.micros, timeframe.months)
    if session is None or not len(starts):
        return plain
    if timeframe.is_daily:
        return session.ends(np.maximum(session.last_open(plain - DAY_MICROS), starts))
    last = session.ends(session.days(starts))
    return np.where(last > starts, np.minimum(plain, last), plain)
