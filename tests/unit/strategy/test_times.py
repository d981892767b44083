"""Clocks, sessions and completed bars: what a strategy sees of the time of the day, and when."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from pitboss.calendars.sessions import bar_ends, parse_session
from pitboss.core.timeframe import parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.strategy.binding import bind
from pitboss.strategy.evaluate import Scope
from pitboss.strategy.expression import parse
from pitboss.strategy.program import compile_document
from pitboss.strategy.reader import inspect_document, read_document
from pitboss.strategy.signals import signals_of
from pitboss.strategy.times import Times, times_of

MINUTE = 60_000_000


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


def bars_at(*texts):
    """Bars of which each closes at its number."""
    ts = np.array([at(text) for text in texts])
    close = np.arange(1.0, len(ts) + 1)
    return BarArrays(ts, close - 0.5, close + 1, close - 1, close, np.ones(len(ts)))


def half_hours(day, first="14:30", count=13):
    start = at(f"{day}T{first}")
    return [
        datetime.fromtimestamp((start + i * 30 * MINUTE) / 1e6, UTC).strftime("%Y-%m-%dT%H:%M") for i in range(count)
    ]


def values(expression, bars, timeframe="30m", **times):
    scope = Scope({"A": bars}, "A", parse_timeframe(timeframe), None, Times(**times))
    return scope.evaluate(bind(parse(expression), {}, {})).tolist()


NEW_YORK = {"A": parse_session("XNYS")}


def test_half_past_nine_in_new_york_holds_all_year():
    bars = bars_at("2024-01-16T14:30", "2024-01-16T15:30", "2024-07-16T13:30", "2024-07-16T14:30")
    assert values("hour == 9 and minute == 30", bars, "1h", zone="America/New_York") == [True, False, True, False]
    assert values("hour == 9 and minute == 30", bars, "1h", sessions=NEW_YORK) == [True, False, True, False]
    assert values("hour == 14 and minute == 30", bars, "1h") == [True, False, False, True]
    evening = bars_at("2024-01-16T02:00")  # Monday there
    assert values("weekday == 0", evening, "1h", zone="America/New_York") == [True]


def test_a_session_is_followed_from_its_open_to_its_close():
    bars = bars_at(*half_hours("2024-11-27"), *half_hours("2024-11-29", count=7))  # the 29th closes at 13:00
    assert values("bars_into_session", bars, sessions=NEW_YORK) == [*range(13), *range(7)]
    assert values("session_open", bars, sessions=NEW_YORK) == [0.5] * 13 + [13.5] * 7
    assert values("minutes_to_close", bars, sessions=NEW_YORK) == [*range(360, -1, -30), *range(180, -1, -30)]


def test_days_that_begin_in_the_evening():
    bars = bars_at("2024-01-16T20:30", "2024-01-16T21:30", "2024-01-16T22:30", "2024-01-17T00:30")
    session = {"session": parse_session("17:00 America/New_York")}
    assert values("bars_into_session", bars, "1h", **session) == [0, 1, 0, 1]
    assert values("bars_into_session", bars, "1h") == [0, 1, 2, 0]


def test_a_day_is_known_when_its_session_ends():
    bars = bars_at(*half_hours("2024-11-27"), *half_hours("2024-11-29", count=7), *half_hours("2024-12-02", count=2))
    seen = values("on('1d', close)", bars, sessions=NEW_YORK)
    assert np.isnan(seen[:12]).all()
    assert seen[12:] == [13.0] * 7 + [20.0] * 3  # the close of the 29th at 13:00 is known at once


def test_four_hours_begin_with_the_session_and_end_no_later():
    bars = bars_at(*half_hours("2024-11-27"))
    seen = values("on('4h', close)", bars, sessions=NEW_YORK)
    assert np.isnan(seen[:7]).all()
    assert seen[7:] == [8.0] * 5 + [13.0]  # 09:30 to 13:30, then to the close


@pytest.mark.parametrize(
    ("starts", "timeframe", "session", "ends"),
    [
        ("2024-01-16T20:30", "1h", "XNYS", "2024-01-16T21:00"),
        ("2024-01-16T21:30", "1h", "XNYS", "2024-01-16T22:30"),  # after hours
        ("2024-01-16", "1d", "XNYS", "2024-01-16T21:00"),
        ("2024-11-25", "1w", "XNYS", "2024-11-29T18:00"),
        ("2024-11-01", "1mo", "XNYS", "2024-11-29T18:00"),
        ("2024-01-13", "1d", "XNYS", "2024-01-13T21:00"),  # a Saturday: never before it has begun
        ("2024-01-16", "1d", "17:00 America/New_York", "2024-01-16T22:00"),
        ("2024-07-16", "1d", "00:00 Europe/Berlin", "2024-07-16T22:00"),
        ("2024-01-16", "1d", "24x7", "2024-01-17"),
        ("2024-02-01", "1mo", "24x7", "2024-03-01"),
    ],
)
def test_when_a_bar_is_complete(starts, timeframe, session, ends):
    found = bar_ends(np.array([at(starts)]), parse_timeframe(timeframe), parse_session(session))
    assert found.tolist() == [at(ends)]


TEXT = """
name: t
timeframe: 30m
timezone: America/New_York
session: {session}
entry: {{long: close > 0, windows: ["09:30-10:30", "15:30-09:00"]}}
exit: {{at: "15:30"}}
"""


def test_windows_and_the_time_to_leave_are_those_of_the_documents_zone():
    read = read_document(TEXT.format(session="XNYS"))
    bars = bars_at(*half_hours("2024-07-16", first="13:30"), *half_hours("2024-07-17", first="13:30", count=3))
    scope = Scope({"A": bars}, "A", read.timeframe, None, times_of(read))
    signals = signals_of(compile_document(read), scope)
    assert [bool(byte & 16) for byte in signals] == [False] * 2 + [True] * 11 + [False] * 2 + [True]
    assert [i for i, byte in enumerate(signals) if byte & 32] == [12]


@pytest.mark.parametrize("session", ["lunch", "25:00 UTC", "17:00 Mars/Base"])
def test_what_is_no_session_is_told(session):
    _, problems = inspect_document(TEXT.format(session=session))
    assert [(problem.where, problem.line) for problem in problems] == [("session", 5)]


def test_a_session_of_no_exchange_is_told():
    from pitboss.core.errors import InvalidInput

    with pytest.raises(InvalidInput, match="there is no exchange"):
        times_of(read_document(TEXT.format(session="XNONE")))


LEAVING = "name: t\ntimeframe: 30m\n{zone}entry: {{long: close > 0}}\nexit: {{at: '15:55'}}\n"


def leaving(zone, *texts):
    read = read_document(LEAVING.format(zone=zone))
    signals = signals_of(
        compile_document(read), Scope({"A": bars_at(*texts)}, "A", read.timeframe, None, times_of(read))
    )
    return [i for i, byte in enumerate(signals) if byte & 32], [i for i, byte in enumerate(signals) if byte & 16]


def test_positions_are_left_at_the_time_and_none_is_opened_before_the_next_day():
    day = ("2024-07-15T15:30", "2024-07-15T16:00", "2024-07-15T16:30", "2024-07-16T00:00", "2024-07-16T15:00")
    assert leaving("", *day) == ([1], [1, 2])


def test_over_a_weekend_nothing_is_left_that_was_left_on_friday():
    evening = "session: 17:00 America/New_York\n"
    texts = ("2024-01-05T20:30", "2024-01-05T21:00", "2024-01-07T22:00", "2024-01-08T20:30", "2024-01-08T21:00")
    assert leaving(evening, *texts) == ([1, 4], [1, 4])


def test_a_day_that_ends_early_is_left_at_the_first_bar_of_the_next():
    short = ("2024-11-29T17:00", "2024-11-29T17:30", "2024-12-02T14:30", "2024-12-02T15:00")
    assert leaving("session: XNYS\n", *short) == ([2], [])
