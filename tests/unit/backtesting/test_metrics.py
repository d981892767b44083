"""Metrics against values reckoned by hand and by plain NumPy, and the library's answers."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pitboss
from pitboss.backtesting.metrics import as_json, drawdown_metrics, from_json, periods_per_year, return_metrics
from pitboss.backtesting.ranking import read_ranking
from pitboss.backtesting.sweep import Variant
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import DAY_MICROS
from pitboss.kernel.series import drawdown_of, worst_drawdown
from pitboss.market.frames import to_frame
from support.bars import HOUR, random_bars

ALWAYS = "name: hold\ntimeframe: 1h\nentry: {long: close > 0}\n"
FLIP = """
name: flip
timeframe: 1h
entry: {long: "rising(close, 2)", short: "falling(close, 2)"}
exit: {long: "falling(close, 1)", short: "rising(close, 1)"}
sizing: {value: 40%}
costs: {commission: 0.1%, slippage: 0.05%, borrow: 2%}
parameters: {n: {default: 2, low: 1, high: 9}}
"""


def test_returns_by_hand():
    daily = np.array([100.0, 110.0, 99.0, 99.0, 108.9])
    found = return_metrics(daily, years=4 / 365.25, periods=252)
    r = np.array([0.1, -0.1, 0.0, 0.1])
    assert found["total_return"] == pytest.approx(0.089)
    assert found["volatility"] == pytest.approx(np.std(r, ddof=1) * math.sqrt(252))
    assert found["sharpe"] == pytest.approx(r.mean() / np.std(r, ddof=1) * math.sqrt(252))
    assert found["sortino"] == pytest.approx(r.mean() / math.sqrt(0.01 / 4) * math.sqrt(252))
    assert found["omega"] == pytest.approx(2.0)
    assert found["value_at_risk"] == pytest.approx(0.1)
    assert found["annual_return"] == pytest.approx(1.089 ** (365.25 / 4) - 1)


def test_the_deepest_drawdown_by_hand():
    equity = np.array([100.0, 120.0, 90.0, 110.0, 121.0, 115.0])
    ts = np.arange(6, dtype=np.int64) * 86_400_000_000
    depth, top, trough, recovery, water = worst_drawdown(ts, equity, 100.0)
    assert (depth, top, trough, recovery) == (pytest.approx(-0.25), 1, 2, 4)
    assert water == 2 * 86_400_000_000
    assert drawdown_metrics(ts, equity, 100.0)["max_drawdown_recovery"] == "1970-01-05T00:00:00Z"
    assert drawdown_of(equity, 100.0).min() == pytest.approx(-0.25)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(1, 1000), min_size=1, max_size=50), st.floats(1, 1000))
def test_the_deepest_drawdown_is_that_of_the_curve(values, start):
    equity = np.array(values)
    depth, top, trough, recovery, _ = worst_drawdown(np.arange(len(equity)), equity, start)
    curve = drawdown_of(equity, start)
    assert depth == pytest.approx(min(curve.min(), 0.0))
    if depth < 0:
        assert curve[trough] == pytest.approx(depth)
        assert top <= trough
        assert recovery == -1 or (recovery > trough and curve[recovery] == 0)


def test_buying_and_holding_earns_what_the_market_does():
    bars = random_bars(500, seed=4)
    found = pitboss.backtest(ALWAYS, to_frame(bars)).metrics
    assert found["trade_count"] == 1
    assert found["exposure"] == pytest.approx(499 / 500)
    assert found["final_equity"] == pytest.approx(10_000 * bars.close[-1] / bars.open[1])
    assert found["beta"] == pytest.approx(1.0, abs=0.05)


def test_the_answers_agree_with_each_other():
    result = pitboss.backtest(FLIP, to_frame(random_bars(2000, seed=9)), cash=5000)
    metrics, trades = result.metrics, result.trades
    assert metrics["trade_count"] == len(trades) > 50
    assert metrics["final_equity"] == pytest.approx(5000 + trades["pnl"].sum())
    assert metrics["final_equity"] == result.equity["equity"][-1]
    assert metrics["win_rate"] == pytest.approx((trades["pnl"] > 0).mean())
    assert metrics["max_drawdown"] == pytest.approx(result.equity["drawdown"].min())
    assert metrics["long_trades"] + metrics["short_trades"] == len(trades)
    assert sum(metrics["exit_reasons"].values()) == len(trades)
    assert len(result.orders.filter(pl.col("status") == "filled")) == 2 * len(trades)
    assert (trades["exit_ts"] >= trades["entry_ts"]).all()
    assert "Sharpe" in result.summary()
    assert 0 <= metrics["probabilistic_sharpe"] <= 1


def test_costs_parameters_and_sizing_are_overridden():
    frame = to_frame(random_bars(500, seed=2))
    free = pitboss.backtest(FLIP, frame, costs={"commission": 0, "slippage": "0%", "borrow": 0})
    assert free.metrics["commission"] == 0
    assert free.metrics["final_equity"] > pitboss.backtest(FLIP, frame).metrics["final_equity"]
    fixed = pitboss.backtest(FLIP, frame, sizing={"type": "fixed_quantity", "value": 3})
    assert set(fixed.trades["quantity"]) == {3.0}
    lots = pitboss.backtest(FLIP, frame, sizing={"lot": 10})
    assert set(lots.trades["quantity"] % 10) == {0.0}


def test_symbols_share_one_account():
    frames = {name: to_frame(random_bars(400, seed=seed, missing=0.1)) for name, seed in (("A", 1), ("B", 2), ("C", 3))}
    result = pitboss.backtest(FLIP, frames)
    assert set(result.trades["symbol"]) == {"A", "B", "C"}
    assert result.metrics["reduced_signals"] > 0
    strict = pitboss.backtest(FLIP, frames, sizing={"when_short": "reject"})
    assert strict.metrics["reduced_signals"] == 0
    assert strict.metrics["rejected_signals"]["insufficient_cash"] > 0
    assert result.equity["equity"][-1] == pytest.approx(10_000 + result.trades["pnl"].sum())


def test_a_sweep_gives_each_variant_the_metrics_of_its_backtest():
    frame = to_frame(random_bars(600, seed=6))
    text = FLIP.replace("rising(close, 2)", "rising(close, n)")
    swept = pitboss.sweep(text, frame, grid={"n": {"low": 1, "high": 5, "step": 2}}, metric="total_return")
    assert [v.parameters["n"] for v in swept.variants] == [1, 3, 5]
    for variant in swept.variants:
        assert variant.metrics == pitboss.backtest(text, frame, parameters=variant.parameters).metrics
    assert swept.best.metrics["total_return"] == max(v.metrics["total_return"] for v in swept.variants)
    assert swept.table["total_return"].is_sorted(descending=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cash": 0}, "no amount"),
        ({"cash": "x"}, "no amount"),
        ({"costs": {"comission": 1}}, "unknown costs 'comission'"),
        ({"costs": {"commission": -1}}, "is no commission"),
        ({"sizing": {"type": "risk", "value": 0.01}}, "needs a stop"),
        ({"sizing": {"type": "risk", "value": 1}}, "100 % of equity at risk"),
        ({"sizing": {"value": 50}}, "5,000 % of equity can never be paid with a leverage of 1"),
        ({"sizing": {"leverage": 0}}, "a leverage of 0"),
        ({"sizing": {"leverage": 1e9}}, "a leverage of 1e"),
        ({"sizing": {"leverage": 2, "maintenance": 0.6}}, "a maintenance margin of 0.6"),
        ({"sizing": {"when_short": "beg"}}, "unknown when_short 'beg'"),
        ({"parameters": {"x": 1}}, "unknown parameter"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        pitboss.backtest(FLIP, to_frame(random_bars(50, seed=1)), **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop("close"), "no column close"),
        (lambda f: f.head(0), "no bars"),
        (lambda f: f.reverse(), "ascending"),
        (lambda f: f.with_columns(low=pl.lit(float("nan"))), "NaN"),
        (lambda f: f.with_columns(ts=pl.lit(1)), "make it a datetime"),
        (lambda f: f.gather_every(3), "cannot make 1h bars"),
    ],
)
def test_wrong_bars_are_refused(change, message):
    with pytest.raises(InvalidInput, match=message):
        pitboss.backtest(FLIP, change(to_frame(random_bars(60, seed=1, step=HOUR))))


@pytest.mark.parametrize("grid", [{}, {"x": [1]}, {"n": []}, {"n": [99]}, {"n": {"low": 5, "high": 1, "step": 1}},
                                  {"n": {"low": 1}}, {"n": "5"}, {"n": ["a"]}, None])  # fmt: skip
def test_wrong_grids_are_refused(grid):
    with pytest.raises(InvalidInput):
        pitboss.sweep(FLIP, to_frame(random_bars(60, seed=1)), grid=grid)


def test_longer_bars_are_made_of_shorter_ones():
    minutes = to_frame(random_bars(600, seed=3, step=60_000_000))
    assert pitboss.backtest(ALWAYS, minutes, timeframe="1h").metrics["bars"] == 10
    with pytest.raises(pitboss.InvalidInput, match="the bars are of 1m, the strategy is of 1h"):
        pitboss.backtest(ALWAYS, minutes)
    with pytest.raises(pitboss.InvalidInput, match="the strategy is of 1h bars, not of 2h"):
        pitboss.backtest(ALWAYS, minutes, timeframe="2h")


def test_a_year_has_weekends_only_where_most_weeks_trade_on_saturdays():
    days = np.arange(19_359, 19_359 + 140, dtype=np.int64)  # from a Monday on
    weekdays = days[(days + 3) % 7 < 5]
    one_saturday = np.sort(np.append(weekdays, 19_364))
    for traded, periods in ((days, 365.0), (weekdays, 252.0), (one_saturday, 252.0)):
        assert periods_per_year(traded * DAY_MICROS, 140.0) == periods


def test_figures_of_a_year_from_a_few_days_are_marked():
    short, long = (pitboss.backtest(ALWAYS, to_frame(random_bars(hours, seed=1))) for hours in (24 * 80, 24 * 100))
    assert "are scaled up from 80 days to a year" in short.summary()
    assert "scaled up" not in long.summary()


def test_a_gain_over_no_loss_is_infinite_and_ranks_first():
    bars = random_bars(48, seed=1)
    rising = np.linspace(100, 200, 48)
    frame = to_frame(bars._replace(open=rising, high=rising + 1, low=rising - 1, close=rising))
    metrics = pitboss.backtest(ALWAYS, frame).metrics
    assert metrics["profit_factor"] == metrics["calmar"] == np.inf
    assert metrics["win_rate"] == 1
    assert from_json(as_json(metrics)) == metrics
    assert as_json(metrics)["profit_factor"] == "Infinity"
    variants = [Variant(i, {}, {"profit_factor": value, "trade_count": trades, "ruined_at": ruined})
                for i, (value, trades, ruined) in enumerate(
                    [(2.0, 40, None), (np.inf, 40, None), (None, 0, None), (9.0, 3, None), (99.0, 50, "2024"), (0.5, 40, None)])]  # fmt: skip
    assert [v.index for v in read_ranking("profit_factor").sorted(variants)] == [1, 0, 5, 3, 2, 4]
    assert [v.index for v in read_ranking("profit_factor * trade_count", 0).sorted(variants)] == [1, 0, 3, 5, 2, 4]


@pytest.mark.parametrize("metric", ["sharp", "sharpe >", "sharpe > 1", "sharpe * rsi(3)", "close * 2", ""])
def test_what_is_no_ranking_is_told(metric):
    with pytest.raises(pitboss.InvalidInput) as refused:
        read_ranking(metric)
    assert refused.value.problems[0].where == "metric"
