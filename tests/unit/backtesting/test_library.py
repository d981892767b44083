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


SIZED = (
    CROSS
    + """
sizing: {value: share, leverage: times}
costs: {commission: fee}
"""
)
SIZED = SIZED.replace("parameters: {n:", "parameters: {share: 50%, times: 1, fee: 0%, n:")


def test_parameters_decide_sizes_and_costs_too():
    def turnover(**parameters):
        return pitboss.backtest(SIZED, FRAME, parameters=parameters).metrics["turnover"]

    assert turnover(share="100%") > 1.9 * turnover()
    assert turnover(share=2, times=3) > 3 * turnover()
    assert pitboss.backtest(SIZED, FRAME, parameters={"fee": "1%"}).metrics["commission"] > 0
    swept = pitboss.sweep(SIZED, FRAME, {"share": [0.25, 0.5, 1]}, min_trades=0)
    assert len({variant.metrics["turnover"] for variant in swept.variants}) == 3
    for wrong in ({"share": 2}, {"times": 0}, {"fee": 1}, {"share": 0}):
        with pytest.raises(pitboss.InvalidInput):
            turnover(**wrong)
        with pytest.raises(pitboss.InvalidInput):
            pitboss.sweep(SIZED, FRAME, {name: [value] for name, value in wrong.items()})


def test_whole_parameters_stay_whole():
    swept = pitboss.sweep(CROSS, FRAME, {"n": {"low": 3, "high": 9, "step": 3}}, min_trades=0)
    assert [variant.parameters["n"] for variant in swept.variants] == [3, 6, 9]
    assert swept.table["n"].dtype.is_integer()


def test_what_several_targets_close_is_one_order_of_entry():
    text = CROSS + "risk: {take_profit: [{at: 0.5%, share: 50%}, {at: 1%, share: 50%}]}"
    result = pitboss.backtest(text, FRAME)
    entries = result.orders.filter(result.orders["reason"] == "entry")
    assert len(entries) < len(result.trades)
    assert entries["quantity"].sum() == pytest.approx(result.trades["quantity"].sum())
    assert not entries.select("symbol", "ts").is_duplicated().any()


def test_a_plot_that_cannot_be_written_is_told(tmp_path):
    plot = pitboss.backtest(CROSS, FRAME).plot()
    for path in (tmp_path / "equity.png", tmp_path / "nowhere" / "equity.svg"):
        with pytest.raises(pitboss.InvalidInput):
            plot.save(path)
