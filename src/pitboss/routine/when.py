"""When a schedule is due: by cron in a time zone, by the sessions of an exchange, or after data has come.

0 18 * * 1-5                        cron, in the schedule's time zone
30m before the close of XNYS        also: 15m after the open of XLON, at the close of XNYS
after each data update
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from pitboss.calendars.spelling import check_zone
from pitboss.core.duration import seconds_of
from pitboss.core.errors import InvalidInput

DAY = 86_400.0
HORIZON = 366 * DAY  # within which a schedule must be due once
AFTER_DATA = "after each data update"
_SESSION = re.compile(r"(?:(at)|(\S+|\S+ [a-z]+) (before|after)) the (open|close) of ([A-Z][A-Z0-9_/]*)")
_LENGTH = re.compile(r"(\S+) ([smh])(?:econds?|inutes?|ours?)")  # 30 minutes is 30m
_CRON_FIELDS = 5
_REMEDY = "write '0 18 * * 1-5', '30m before the close of XNYS' or 'after each data update'"


class When(ABC):
    """The times at which a schedule is due, in seconds since 1970."""

    @abstractmethod
    def ticks(self, after: float) -> Iterator[float]:
        """Yield the times beyond `after`, ascending; the same whatever the `after` that they lie behind."""

    def between(self, after: float, until: float) -> Iterator[float]:
        """Yield the times beyond `after`, up to `until`."""
        for tick in self.ticks(after):
            if tick > until:
                return
            yield tick


@dataclass(frozen=True)
class Cron(When):
    """A cron expression on the clocks of a zone, as Debian's cron reads it: what falls into an hour that the clocks
    leave out is due right after it, what is due at a fixed time in an hour that they repeat is due once."""

    expression: str
    zone: str

    def ticks(self, after: float) -> Iterator[float]:
        # from a day before, so that the same times come out however the first of them was reached
        start = datetime.fromtimestamp(after, ZoneInfo(self.zone)) - timedelta(days=1)
        last = after
        for moment in CronSim(self.expression, start.replace(hour=0, minute=0, second=0, microsecond=0)):
            tick = moment.timestamp()
            if tick > last:
                last = tick
                yield tick


@dataclass(frozen=True)
class OfSession(When):
    """So many seconds from the open or the close of every session of an exchange; negative is before."""

    exchange: str
    event: str
    offset: float

    @cached_property
    def _session(self) -> Any:
        from pitboss.calendars.sessions import parse_session  # numpy

        return parse_session(self.exchange)

    def ticks(self, after: float) -> Iterator[float]:
        import numpy as np

        day = int((after - self.offset) // DAY - 2) * int(DAY * 1e6)
        for _ in range(int(HORIZON // DAY)):
            days = np.array([day])
            day += int(DAY * 1e6)
            if int(self._session.last_open(days)[0]) != int(days[0]):
                continue
            moments = self._session.starts(days) if self.event == "open" else self._session.ends(days)
            tick = float(moments[0]) / 1e6 + self.offset
            if tick > after:
                yield tick


@dataclass(frozen=True)
class AfterData(When):
    """Whenever a run that brings data has completed: no clock tells that."""

    def ticks(self, after: float) -> Iterator[float]:  # noqa: ARG002
        return iter(())


def read_when(text: str, zone: str = "UTC") -> When:
    """Read when a schedule is due. Raises InvalidInput with what is wrong, also for what is never due."""
    text = " ".join(text.split())
    check_zone(zone or "UTC", "zone")
    if text == AFTER_DATA:
        return AfterData()
    session = _SESSION.fullmatch(text)
    if session is not None:
        at, length, side, event, exchange = session.groups()
        seconds = 0.0 if at else seconds_of(_LENGTH.sub(r"\1\2", length), "when")
        if seconds > DAY:
            raise InvalidInput(f"{length} is longer than a day", "write a time within the day", "when")
        return _due(OfSession(exchange, event, -seconds if side == "before" else seconds), text)
    fields = text.count(" ") + 1
    if fields == _CRON_FIELDS + 1 and text[0] in "*0123456789":
        what = f"'{text[:60]}' has six fields: a schedule is due by the minute, not by the second"
        raise InvalidInput(what, "write five: minute, hour, day, month and day of the week", "when")
    try:
        if fields != _CRON_FIELDS:
            raise CronSimError(f"it has {fields} fields")
        CronSim(text, datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        what = f"'{text[:60]}' says no time: {error}" if fields == _CRON_FIELDS else f"'{text[:60]}' says no time"
        raise InvalidInput(what, _REMEDY, "when") from None
    return _due(Cron(text, zone or "UTC"), text)


def _due(when: When, text: str) -> When:
    now = datetime.now(UTC).timestamp()
    if not list(islice(when.ticks(now), 1)):
        raise InvalidInput(f"'{text[:60]}' is never due", "choose a time that comes", "when")
    return when
