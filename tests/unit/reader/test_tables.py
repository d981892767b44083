"""Tiles show what a screen can show and no less; rows are those that were asked for."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitboss.core.errors import InvalidInput
from pitboss.kernel.bars import BarArrays
from pitboss.reader.bars import candles_of
from pitboss.reader.tables import cells, choices, rows, tile

LINE = {"x": "ts", "y": ["equity"], "type": "line", "where": {}, "marks": []}


def written(folder, frame):
    path = folder / "table.parquet"
    frame.write_parquet(path)
    return str(path)


def curve(count, seed=1):
    ts = pl.Series(np.arange(count) * 60_000_000).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame({"ts": ts, "equity": np.random.default_rng(seed).normal(size=count).cumsum()})


@pytest.mark.parametrize("most", [50, 400, 5000])
def test_a_tile_keeps_the_ends_and_the_extremes_of_each_stretch(tmp_path, most):
    frame = curve(20_000)
    found = tile(None, written(tmp_path, frame), LINE, None, None, most)
    values = frame["equity"].to_numpy()
    assert len(found["x"]) <= most * 1.1
    assert (max(found["y"][0]), min(found["y"][0])) == (values.max(), values.min())
    assert (found["x"][0], found["x"][-1], found["rows"]) == (0, 19_999 * 60_000_000, 20_000)
    assert found["x"] == sorted(set(found["x"]))


def test_a_window_is_finer_than_the_whole_and_holds_what_is_asked(tmp_path):
    path = written(tmp_path, curve(20_000))
    low, high = 5_000 * 60_000_000, 5_100 * 60_000_000
    found = tile(None, path, LINE, low, high, 1000)
    assert found["x"] == [at * 60_000_000 for at in range(4_999, 5_101)]


def test_marks_of_a_window_are_those_that_reach_into_it(tmp_path):
    path = written(tmp_path, curve(100))
    moments = [
        pl.Series([a, b]).cast(pl.Datetime("us", "UTC")) for a, b in ((0, 5_000_000_000), (9_000_000, 5_100_000_000))
    ]
    trades = pl.DataFrame(
        {"begin": moments[0], "end": moments[1], "price": [1.0, 2.0], "left": [1.5, 2.5], "pnl": [3.0, -1.0]}
    )
    trades.write_parquet(tmp_path / "trades.parquet")
    mark = {"path": str(tmp_path / "trades.parquet"), "x": "begin", "y": "price", "end_x": "end", "end_y": "left",
            "value": "pnl", "side": None, "label": "trade"}  # fmt: skip
    found = tile(None, path, LINE | {"marks": [mark]}, 4_000_000_000, 6_000_000_000, 100)
    assert (found["marks"][0]["row"], found["marks"][0]["total"]) == ([1], 1)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 400), most=st.integers(1, 60), low=st.integers(0, 400), span=st.integers(1, 400))
def test_candles_of_a_window_hold_its_bars(count, most, low, span):
    dice = np.random.default_rng(count)
    opens = dice.uniform(1, 2, count)
    highs, lows = opens + dice.uniform(0, 1, count), opens - dice.uniform(0, 0.5, count)
    bars = BarArrays(np.arange(count, dtype=np.int64), opens, highs, lows, opens, np.ones(count))
    found = candles_of(bars, low, low + span, most)
    seen = slice(low, low + span)
    if low < count:
        assert max(found["candles"][1]) >= highs[seen].max()
        assert min(found["candles"][2]) <= lows[seen].min()
    assert len(found["x"]) <= most + 2
    assert found["rows"] == count


TABLE = pl.DataFrame({
    "symbol": ["A", "B", "A", "A"], "pnl": [1.0, -2.0, None, 3.0],
    "ts": pl.Series([1, 2, 3, 4]).cast(pl.Datetime("us", "UTC")),
})  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({}, [0, 1, 2, 3]),
        ({"sort": "-pnl"}, [3, 0, 1, 2]),
        ({"equals": {"symbol": "A"}}, [0, 2, 3]),
        ({"signs": {"pnl": "gains"}}, [0, 3]),
        ({"signs": {"pnl": "losses"}}, [1]),
        ({"between": {"ts": [2, 4]}}, [1, 2]),
        ({"offset": 1, "limit": 2}, [1, 2]),
        ({"row": 2}, [2]),
        ({"sort": "nothing"}, [0, 1, 2, 3]),
    ],
)
def test_rows_are_those_that_were_asked_for(tmp_path, asked, numbers):
    found = rows(None, written(tmp_path, TABLE), {"columns": ["symbol", "pnl", "ts"], **asked})
    assert [row[0] for row in found["rows"]] == numbers
    assert all(isinstance(row[3], int) for row in found["rows"]), "moments are microseconds"


def test_what_the_table_has_not_is_said(tmp_path):
    path = written(tmp_path, TABLE)
    with pytest.raises(InvalidInput, match="no column 'nothing'"):
        rows(None, path, {"columns": ["symbol"], "equals": {"nothing": "x"}})
    assert choices(None, path, ["symbol", "pnl", "nothing"]) == {"symbol": ["A", "B"]}


def test_cells_hold_the_mean_of_what_falls_into_them(tmp_path):
    frame = pl.DataFrame({"x": [1, 1, 2], "y": [1, 1, 1], "value": [1.0, 3.0, 5.0]})
    assert cells(None, written(tmp_path, frame), "x", "y", "value") == {"x": [1, 2], "y": [1], "values": [[2.0, 5.0]]}
