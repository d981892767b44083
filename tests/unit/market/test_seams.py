"""Where new bars meet those that are stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pitboss.market.seams import split_of, warnings_of


def bars(first, closes):
    start = datetime(2024, 1, 1, tzinfo=UTC)
    ts = [start + timedelta(days=first + k) for k in range(len(closes))]
    return pl.DataFrame({"ts": ts, "open": closes, "close": closes}).cast({"ts": pl.Datetime("us", "UTC")})


@pytest.mark.parametrize(
    ("ratio", "split"),
    [(4.05, "4:1"), (2.0, "2:1"), (1.5, "3:2"), (0.1, "1:10"), (1 / 3, "1:3"), (1.2, ""), (1.0, "")],
)
def test_what_looks_like_a_split(ratio, split):
    assert split_of(ratio) == split


def test_prices_that_agree_are_silent():
    assert warnings_of(bars(0, [10.0, 11.0, 12.0]), bars(1, [11.0, 12.0, 13.0])) == []
    assert warnings_of(bars(0, [10.0, 11.0]), bars(2, [11.5, 12.0])) == []
    assert warnings_of(bars(5, [10.0, 11.0]), bars(2, [9.5, 9.9])) == []


def test_a_split_between_or_within_is_named_with_its_day_and_ratio():
    [shared] = warnings_of(bars(0, [40.0, 44.0, 48.0]), bars(1, [11.0, 12.0, 13.0]))
    assert "first 2024-01-02, by a factor of 4, which looks like a 4:1 split" in shared
    [beside] = warnings_of(bars(0, [40.0, 44.0]), bars(2, [11.0, 12.0]))
    assert "on 2024-01-03 prices jump by a factor of 4, which looks like a 4:1 split" in beside
    [earlier] = warnings_of(bars(5, [11.0, 12.0]), bars(2, [40.0, 44.0]))
    assert "on 2024-01-06" in earlier
