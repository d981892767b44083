"""Trading sessions: when a market's day begins and ends, and which day a moment belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.calendars.zones import check_zone, days_in, instants_of, wall_of
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import DAY_MICROS, Timeframe
from pitboss.kernel.bars import calendar_starts

I64 = npt.NDArray[np.int64]
ALWAYS = "24x7"
NOON = DAY_MICROS // 2
_RULE = re.compile(r"(\d{1,2}):(\d\d) (\S+)")
_EXCHANGE = re.compile(r"[A-Z0-9_]{2,12}(/[A-Z]+)?|24/[57]")
_EXAMPLES = "write 24x7, an exchange's code such as XNYS or XLON, or a rule such as '17:00 America/New_York'"


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
        days, starts, ends = sessions.index, sessions["open"], sessions["close"]
        micros = [column.to_numpy().astype("datetime64[us]").astype(np.int64) for column in (days, starts, ends)]
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
        known, starts, _ = self._table
        at = np.clip(np.searchsorted(known, days, side="right") - 1, 0, len(known) - 1)
        # a day without a session has the hour of the session before it
        moved = instants_of(wall_of(starts[at], self.zone) + (days - known[at]), self.zone)
        return np.where(known[at] == days, starts[at], moved)


Session = Rule | Exchange


def parse_session(text: str) -> Session:
    """Read `24x7`, an exchange's code, or a rule: `17:00 America/New_York`.

    Raises InvalidInput for what is none of them.
    """
    text = str(text).strip()
    if text.lower() in (ALWAYS, "24/7", "always"):
        return Rule("UTC")
    rule = _RULE.fullmatch(text)
    if rule:
        return Rule(check_zone(rule[3], "session"), _clock(rule[1], rule[2], text))
    if not _EXCHANGE.fullmatch(text):
        raise InvalidInput(f"'{text[:40]}' is no session", _EXAMPLES, "session")
    exchange = Exchange(text)
    assert exchange.zone  # raises InvalidInput for a code of no exchange
    return exchange


def _clock(hours: str, minutes: str, text: str) -> int:
    if int(hours) > 23 or int(minutes) > 59:
        raise InvalidInput(f"'{text[:40]}' is no session", _EXAMPLES, "session")
    return (int(hours) * 60 + int(minutes)) * 60_000_000


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
        raise InvalidInput(f"there is no exchange '{code[:20]}'", _EXAMPLES, "session") from None
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


def bar_start(moments: I64, timeframe: Timeframe, session: Session | None) -> I64:
    """Answer the starts of bars that are stamped with their ends, a session's last and shorter one among them."""
    if session is None:
        return moments - timeframe.micros
    inside = moments - 1
    starts = session.starts(session.days(inside))
    return (inside - starts) // timeframe.micros * timeframe.micros + starts
