"""Which steps a session has."""

from __future__ import annotations

import pytest

from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import InvalidInput
from pitboss.sessions.clock import days_of, minutes_of


@pytest.mark.parametrize(
    ("date", "parts", "count", "first", "last"),
    [
        ("2024-01-03", ["regular"], 390, "2024-01-03T14:30:00Z", "2024-01-03T20:59:00Z"),
        ("2014-06-05", ["regular"], 390, "2014-06-05T13:30:00Z", "2014-06-05T19:59:00Z"),
        ("2023-11-24", ["regular"], 210, "2023-11-24T14:30:00Z", "2023-11-24T17:59:00Z"),
        ("2024-01-03", ["pre"], 330, "2024-01-03T09:00:00Z", "2024-01-03T14:29:00Z"),
        ("2023-11-24", ["after"], 240, "2023-11-24T18:00:00Z", "2023-11-24T21:59:00Z"),
        ("2024-01-03", ["pre", "regular", "after"], 960, "2024-01-03T09:00:00Z", "2024-01-04T00:59:00Z"),
    ],
)  # fmt: skip
def test_a_day_has_the_minutes_in_which_it_is_traded(date, parts, count, first, last):
    ticks = minutes_of("XNYS", date, parts)
    assert [tick.number for tick in ticks] == list(range(1, count + 1))
    assert (micros_to_iso(ticks[0].at), micros_to_iso(ticks[-1].at)) == (first, last)
    assert all(tick.known == tick.at + 60_000_000 for tick in ticks)


def test_a_day_that_is_always_traded_has_all_of_its_minutes():
    assert len(minutes_of("24x7", "2024-01-06")) == 1440


def test_days_of_a_range_are_those_that_are_traded_and_known_at_their_close():
    days = days_of("XNYS", "2023-11-22", "2023-11-27")
    assert [micros_to_iso(day.at)[:10] for day in days] == ["2023-11-22", "2023-11-24", "2023-11-27"]
    assert micros_to_iso(days[1].known) == "2023-11-24T18:00:00Z"


@pytest.mark.parametrize(
    ("calendar", "date", "parts", "message"),
    [
        ("XNYS", "2024-01-06", ["regular"], "2024-01-06 is no trading day of XNYS"),
        ("XLON", "2024-01-03", ["pre"], "XLON has no hours before its open"),
        ("XNYS", "tomorrow", ["regular"], "is no date"),
    ],
)  # fmt: skip
def test_what_is_no_trading_day_is_told(calendar, date, parts, message):
    with pytest.raises(InvalidInput, match=message):
        minutes_of(calendar, date, parts)
