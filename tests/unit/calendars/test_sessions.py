"""Sessions: which day a moment is of, when a day begins, and the longer bars that follow."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from pitboss.calendars import sessions
from pitboss.calendars.sessions import bar_start, parse_session, period_starts
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import parse_timeframe


def at(*texts):
    return np.array([int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000 for text in texts])


def told(moments):
    return [datetime.fromtimestamp(moment / 1e6, UTC).isoformat()[:16] for moment in moments]


@pytest.mark.parametrize(
    ("session", "moment", "day", "start"),
    [
        ("24x7", "2024-03-10T23:59", "2024-03-10", "2024-03-10T00:00"),
        ("17:00 America/New_York", "2024-01-07T22:00", "2024-01-08", "2024-01-07T22:00"),  # Sunday evening is Monday
        ("17:00 America/New_York", "2024-07-08T20:59", "2024-07-08", "2024-07-07T21:00"),
        ("09:15 Asia/Kolkata", "2024-01-09T03:44", "2024-01-08", "2024-01-08T03:45"),
        ("00:00 Asia/Tokyo", "2024-01-07T15:00", "2024-01-08", "2024-01-07T15:00"),
        ("XNYS", "2024-11-29T17:30", "2024-11-29", "2024-11-29T14:30"),
        ("CMES", "2024-01-07T23:30", "2024-01-08", "2024-01-07T23:00"),
    ],
)
def test_the_day_of_a_moment_and_its_start(session, moment, day, start):
    own = parse_session(session)
    days = own.days(at(moment))
    assert told(days) == [f"{day}T00:00"]
    assert told(own.starts(days)) == [start]


def test_longer_bars_follow_the_session():
    hours = at("2024-01-05T21:00", "2024-01-07T22:00", "2024-01-08T01:00", "2024-01-08T02:00", "2024-01-08T21:00")
    own, forex = parse_timeframe("1h"), parse_session("17:00 America/New_York")

    def joined(timeframe):
        return [text[5:] for text in told(period_starts(hours, own, parse_timeframe(timeframe), forex))]

    assert joined("1d") == ["01-05T00:00"] + ["01-08T00:00"] * 4  # no Sunday
    assert joined("4h") == ["01-05T18:00", "01-07T22:00", "01-07T22:00", "01-08T02:00", "01-08T18:00"]
    assert joined("1w") == ["01-01T00:00"] + ["01-08T00:00"] * 4
    assert joined("1mo") == ["01-01T00:00"] * 5


def test_the_last_bar_of_a_short_day_starts_in_it():
    ends = at("2024-11-29T15:30", "2024-11-29T17:30", "2024-11-29T18:00")  # New York closes at 13:00
    hour = parse_timeframe("1h")
    assert told(bar_start(ends, hour, parse_session("XNYS"))) == [
        "2024-11-29T14:30", "2024-11-29T16:30", "2024-11-29T17:30",
    ]  # fmt: skip
    assert told(bar_start(ends, hour, None))[2] == "2024-11-29T17:00"


@pytest.mark.parametrize("text", ["", "XXXX", "25:00 UTC", "17:60 UTC", "17:00 Mars/Crater", "17:00", "nyse", "../x"])
def test_what_is_no_session_is_refused(text):
    with pytest.raises(InvalidInput) as refused:
        parse_session(text)
    assert refused.value.problems[0].where == "session"


def test_without_the_extra_an_exchange_says_how_to_get_it(monkeypatch):
    sessions._calendar.cache_clear()
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(InvalidInput, match=r"pitboss\[calendars\]"):
        parse_session("XLON")
