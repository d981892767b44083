"""What a notebook meets: short results, pictures, Pandas' frames, a sweep that is interrupted."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

import pandas as pd
import pytest

import pitboss
from pitboss.backtesting import library
from pitboss.backtesting.sweep import interleaved
from pitboss.market.frames import to_frame
from support.bars import random_bars

CROSS = """
name: cross
timeframe: 1h
entry: {long: "crosses_above(close, ema(close, n))"}
exit: {long: "crosses_below(close, ema(close, n))"}
parameters: {n: {default: 8, low: 2, high: 60}}
"""
FRAME = to_frame(random_bars(400, seed=2))


def test_results_say_in_a_line_what_they_are():
    result = pitboss.backtest(CROSS, FRAME)
    assert repr(result).startswith("<backtest of cross: total_return ")
    assert len(repr(result)) < 200
    assert "<table>" in result._repr_html_()
    swept = pitboss.sweep(CROSS, FRAME, {"n": [3, 8, 20]}, min_trades=0)
    assert repr(swept).startswith("<sweep of cross: 3 of 3 variants, best sharpe ")
    assert "array(" not in repr(swept) + swept._repr_html_()


def test_a_plot_is_a_picture(tmp_path):
    plot = pitboss.backtest(CROSS, FRAME).plot()
    picture = ET.fromstring(plot.save(tmp_path / "equity.svg").read_text())
    lines = [each for each in picture if each.tag.endswith("polyline")]
    assert [len(line.get("points").split()) for line in lines] == [400, 400]
    assert len(repr(plot)) < 80


def test_the_package_shows_what_it_has():
    assert {"backtest", "sweep", "Client", "InvalidInput"} <= set(dir(pitboss))


@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_frames_of_pandas_are_taken(zone):
    index = pd.DatetimeIndex(FRAME["ts"].dt.replace_time_zone(None).to_list(), tz="UTC").tz_convert(zone)
    names = ("open", "high", "low", "close", "volume")
    frame = pd.DataFrame({name.capitalize(): FRAME[name].to_numpy() for name in names}, index=index)
    assert pitboss.backtest(CROSS, frame).metrics == pitboss.backtest(CROSS, FRAME).metrics
    with_column = frame.rename(columns=str.lower).rename_axis("ts").reset_index()
    assert pitboss.backtest(CROSS, {"A": with_column}).metrics["bars"] == 400


@pytest.mark.parametrize("bars", [FRAME["close"], [1, 2], None, pd.Series([1.0])])
def test_what_is_no_frame_is_told(bars):
    with pytest.raises(pitboss.InvalidInput, match="no frame of Polars or Pandas"):
        pitboss.backtest(CROSS, bars)


def test_an_interrupted_sweep_keeps_what_is_done(monkeypatch):
    def interrupted(job, grid, threads):
        for count, variant in enumerate(run(job, grid, threads)):
            yield variant
            if count == 4:
                raise KeyboardInterrupt

    run = library.run_sweep
    monkeypatch.setattr(library, "run_sweep", interrupted)
    swept = pitboss.sweep(CROSS, FRAME, {"n": {"low": 2, "high": 60, "step": 1}}, min_trades=0)
    assert (len(swept.variants), swept.total) == (5, 59)
    assert "5 of 59 variants" in repr(swept)
    assert swept.best in swept.variants


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100, 1000, 4181])
def test_every_beginning_of_a_sweep_covers_its_grid(count):
    order = list(interleaved(count))
    assert sorted(order) == list(range(count))
    begun = sorted(order[: count // 10])
    gaps = [b - a for a, b in pairwise(begun)]
    assert max(gaps, default=0) <= 30  # evenly it would be 10
