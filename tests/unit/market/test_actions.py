"""Splits and dividends beside raw prices."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitboss.core.errors import InvalidInput
from pitboss.market.actions import (
    ACTIONS,
    as_traded,
    combined,
    conform_with_actions,
    later_splits,
    split_adjusted,
    tidy,
    with_actions,
)

DAY = 86_400_000_000


def bars(closes, **columns):
    ts = pl.Series([at * DAY for at in range(len(closes))]).cast(pl.Datetime("us", "UTC"))
    prices = {name: [float(close) for close in closes] for name in ("open", "high", "low", "close")}
    return pl.DataFrame({"ts": ts, **prices, "volume": [1000.0] * len(closes), **columns})


def test_an_action_stands_on_the_first_bar_from_then_on():
    told = with_actions(bars([8, 8, 4, 4]).filter(pl.col("close") > 0), {2 * DAY: 2.0}, {DAY - 5: 0.5, 9 * DAY: 1.0})
    assert told["split"].to_list() == [1.0, 1.0, 2.0, 1.0]
    assert told["dividend"].to_list() == [0.0, 0.5, 0.0, 0.0]


splits = st.lists(st.sampled_from([1.0, 1.0, 1.0, 2.0, 0.1, 3.0, 1.5]), min_size=1, max_size=30)


@given(splits, st.data())
def test_what_is_undone_is_what_was(ratios, data):
    closes = data.draw(st.lists(st.integers(100, 99_999), min_size=len(ratios), max_size=len(ratios)))
    raw = bars([cents / 100 for cents in closes], split=ratios, dividend=[0.0] * len(ratios))
    adjusted = split_adjusted(raw)
    assert as_traded(adjusted, 2)["close"].to_list() == raw["close"].to_list()
    worth = adjusted["close"].to_numpy() * adjusted["volume"].to_numpy()
    assert np.allclose(worth, raw["close"].to_numpy() * 1000.0)


@given(splits)
def test_returns_across_a_split_are_those_of_the_shares_that_were_held(ratios):
    raw = bars([10.0] * len(ratios), split=ratios, dividend=[0.0] * len(ratios))
    closes = split_adjusted(raw)["close"].to_numpy()
    assert np.allclose(closes[1:] / closes[:-1], ratios[1:])
    assert later_splits(raw)[-1] == 1.0


def test_bars_that_tell_of_no_actions_keep_those_that_are_stored():
    stored = bars([8, 4], split=[1.0, 2.0], dividend=[0.1, 0.0])
    newer = bars([8, 4.5, 5])
    found = combined(newer, stored)
    assert found["close"].to_list() == [8, 4.5, 5]
    assert found["split"].to_list() == [1.0, 2.0, 1.0]
    assert found["dividend"].to_list() == [0.1, 0.0, 0.0]


def test_bars_to_which_nothing_happened_are_as_if_nobody_had_told():
    idle = bars([8, 4], split=[1.0, 1.0], dividend=[0.0, 0.0])
    assert tidy(idle).columns == bars([8]).columns
    assert combined(idle, bars([7, 4])).columns == bars([8]).columns


@pytest.mark.parametrize("wrong", [
    {"split": [0.0], "dividend": [0.0]}, {"split": [1.0], "dividend": [-0.1]}, {"split": ["x"], "dividend": [0.0]},
    {"split": [float("inf")], "dividend": [0.0]},
])  # fmt: skip
def test_actions_that_are_none_are_refused(wrong):
    with pytest.raises(InvalidInput):
        conform_with_actions(bars([8], **wrong))
    assert list(ACTIONS) == ["split", "dividend"]
