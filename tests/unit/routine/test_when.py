"""When schedules are due: against the clocks of four zones, read minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitboss.core.errors import InvalidInput
from pitboss.routine.when import AfterData, Cron, read_when

ZONES = ("America/New_York", "Europe/London", "Australia/Sydney", "Asia/Kolkata")


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def due_by_the_clock(minute, hour, zone, start, end):
    """Answer when a clock on the wall shows a time: once a day, the first time; what it leaves out, right after."""
    found, day = [], datetime.fromtimestamp(start, ZoneInfo(zone)).date() - timedelta(days=1)
    while True:
        wall = datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo(zone))
        shown = wall.astimezone(UTC).astimezone(ZoneInfo(zone))
        if (shown.hour, shown.minute) != (hour, minute):  # the clocks leave it out: due as they have gone on
            probe = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
            while True:
                after = probe + timedelta(minutes=1)
                gone = after.astimezone(ZoneInfo(zone)).utcoffset() - probe.astimezone(ZoneInfo(zone)).utcoffset()
                probe = after
                if gone > timedelta(0):
                    break
            tick = probe.timestamp()
        else:
            tick = wall.timestamp()
        if tick > end:
            return found
        if tick > start:
            found.append(tick)
        day += timedelta(days=1)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("minute", "hour"), [(0, 18), (30, 2), (30, 1), (0, 0), (15, 3)])
def test_a_time_of_the_day_is_due_once_a_day_through_two_changes_of_the_clocks(zone, minute, hour):
    start, end = at("2025-01-01"), at("2026-01-02")
    found = list(Cron(f"{minute} {hour} * * *", zone).between(start, end))
    assert found == due_by_the_clock(minute, hour, zone, start, end)


@given(st.integers(0, 400), st.sampled_from(ZONES), st.sampled_from(["*/17 * * * *", "30 1-3 * * 0", "5 4 1 * *"]))
def test_the_same_times_come_out_wherever_one_begins(days, zone, expression):
    when, start, end = Cron(expression, zone), at("2025-01-01"), at("2026-03-31")
    middle = start + days * 86_400 + 4321
    whole = list(when.between(middle - 3 * 86_400, min(middle + 3 * 86_400, end)))
    assert [tick for tick in whole if tick > middle] == list(when.between(middle, min(middle + 3 * 86_400, end)))
    assert whole == sorted(set(whole))


@pytest.mark.parametrize(("text", "expected"), [
    ("at the close of XNYS", ["2025-11-26T21:00", "2025-11-28T18:00", "2025-12-01T21:00"]),  # Thanksgiving, a half day
    ("30m before the close of XNYS", ["2025-11-26T20:30", "2025-11-28T17:30", "2025-12-01T20:30"]),
    ("30 minutes before the close of XNYS", ["2025-11-26T20:30", "2025-11-28T17:30", "2025-12-01T20:30"]),
    ("15m after the open of XNYS", ["2025-11-26T14:45", "2025-11-28T14:45", "2025-12-01T14:45"]),
    ("1h after the close of XTKS", ["2025-11-26T07:30", "2025-11-27T07:30", "2025-11-28T07:30"]),
])  # fmt: skip
def test_sessions_of_an_exchange_with_its_holidays_and_half_days(text, expected):
    found = islice(read_when(text).ticks(at("2025-11-26T01:00")), 3)
    assert list(found) == [at(moment) for moment in expected]


@pytest.mark.parametrize(("text", "zone", "message"), [
    ("0 0 31 2 *", "UTC", "'0 0 31 2 \\*' says no time: Bad day-of-month"),
    ("99 * * * *", "UTC", "says no time: Bad minute"),
    ("every day", "UTC", "'every day' says no time"),
    ("* * * * * *", "UTC", "has six fields: a schedule is due by the minute"),
    ("0 18 * *", "UTC", "says no time"),
    ("", "UTC", "says no time"),
    ("0 18 * * *", "Mars/Olympus", "unknown time zone 'Mars/Olympus'"),
    ("30 before the close of XNYS", "UTC", "'30' is no duration"),
    ("30h before the close of XNYS", "UTC", "longer than a day"),
    ("at the close of XXXX", "UTC", "there is no exchange 'XXXX'"),
])  # fmt: skip
def test_what_says_no_time_is_told(text, zone, message):
    with pytest.raises(InvalidInput, match=message) as told:
        read_when(text, zone)
    assert all(problem.remedy for problem in told.value.problems)


def test_what_follows_data_is_told_by_no_clock():
    assert read_when("after each  data update") == AfterData()
    assert list(AfterData().ticks(0.0)) == []
