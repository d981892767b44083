"""The compiled loop against the slow reference: trade by trade, over random bars, signals, costs and options."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitboss.kernel import simulate as k
from pitboss.kernel.panel import new_panel
from support import reference
from support.bars import HOUR, START

SIZINGS = ("fixed_cash", "fixed_quantity", "percent_equity", "risk")


@st.composite
def cases(draw):
    """Bars on a coarse price grid, so that opens, extremes and levels often meet exactly."""
    count = draw(st.integers(2, 40))
    symbols = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    coarse = draw(st.booleans())
    shape = (symbols, count)
    close = 100 + np.cumsum(rng.integers(-3, 4, shape) if coarse else rng.normal(0, 1.5, shape), axis=1)
    close = np.maximum(close, 20.0)
    first = np.maximum(
        np.roll(close, 1, axis=1) + (rng.integers(-2, 3, shape) if coarse else rng.normal(0, 1, shape)), 20
    )
    first[:, 0] = 100
    spread = rng.integers(0, 4, (2, *shape)) if coarse else np.abs(rng.normal(0, 1, (2, *shape)))
    high = np.maximum(first, close) + spread[0]
    low = np.maximum(np.minimum(first, close) - spread[1], 1.0)
    density = draw(st.sampled_from([0.1, 0.3, 0.6]))
    signals = sum((rng.random(shape) < density).astype(np.uint8) << bit for bit in range(4)).astype(np.uint8)
    if draw(st.booleans()):
        hole = rng.random(shape) < 0.2
        hole[0, 0] = False
        for column in (first, high, low, close):
            column[hole] = np.nan
        signals[hole] = 0
    ts = START + np.cumsum(rng.integers(1, 4, count)) * HOUR
    distances = {name: rng.integers(-1, 6, shape).astype(float) for name in ("stop", "target", "trail")}
    distances["stop"][rng.random(shape) < 0.05] = np.nan
    return ts, (first, high, low, close), signals, distances


@st.composite
def options(draw):
    def level(always: bool = False):
        kinds = [("distance",), ("fraction", draw(st.sampled_from([0.01, 0.02, 0.05])))]
        return draw(st.sampled_from(kinds if always else [None, *kinds]))

    sizing = draw(st.sampled_from(SIZINGS))
    sizes = {"fixed_cash": [500.0, 9000.0], "fixed_quantity": [1.0, 70.0], "percent_equity": [0.1, 1.0],
             "risk": [0.01, 0.05]}  # fmt: skip
    costly = draw(st.booleans())
    return reference.Options(
        cash=draw(st.sampled_from([1_000.0, 10_000.0])),
        sizing=sizing,
        size=draw(st.sampled_from(sizes[sizing])),
        lot=draw(st.sampled_from([0.0, 0.0, 1.0, 10.0])),
        commission=draw(st.sampled_from([0.0, 0.001])) if costly else 0.0,
        per_share=draw(st.sampled_from([0.0, 0.01])) if costly else 0.0,
        per_order=draw(st.sampled_from([0.0, 1.0])) if costly else 0.0,
        minimum=draw(st.sampled_from([0.0, 5.0])) if costly else 0.0,
        slippage=draw(st.sampled_from([0.0, 0.001])),
        borrow=draw(st.sampled_from([0.0, 0.5])),
        max_bars=draw(st.sampled_from([0, 0, 1, 3])),
        stop=level(always=sizing == "risk"),
        target=level(),
        trail=level(),
    )


def expected(case, o):
    ts, (first, high, low, close), signals, distances = case
    instruments = []
    for s in range(len(first)):
        present = [t for t in range(len(ts)) if not math.isnan(first[s, t])]
        bars = {t: (first[s, t], high[s, t], low[s, t], close[s, t]) for t in present}
        own = [dict(enumerate(distances[name][s])) for name in ("stop", "target", "trail")]
        instruments.append(reference.Instrument(bars, dict(enumerate(signals[s].tolist())), *own))
    return reference.simulate(ts.tolist(), instruments, o)


def compiled(case, o, chunk, capacity=None):
    ts, prices, signals, distances = case
    parts = []
    for name, kind in (("stop", o.stop), ("target", o.target), ("trail", o.trail)):
        if kind is None:
            parts += [k.LEVEL_NONE, np.zeros((1, 1))]
        elif kind[0] == "fraction":
            parts += [k.LEVEL_FRACTION, np.full((1, 1), kind[1])]
        else:
            parts += [k.LEVEL_DISTANCE, distances[name]]
    rules = k.Rules(
        SIZINGS.index(o.sizing), o.size, o.lot, o.commission, o.per_share, o.per_order, o.minimum, o.slippage,
        o.borrow, o.max_bars,
    )  # fmt: skip
    state, log = k.new_state(len(prices[0]), o.cash), k.new_log(len(ts), capacity or 64)
    bars, levels, panel = k.Bars(ts, *prices), k.Levels(*parts), new_panel()
    reached = 0
    while reached < len(ts):
        stop = min(len(ts), reached + chunk)
        reached = k.simulate(bars, signals, levels, rules, state, log, panel, reached, stop)
        if reached < stop:
            log = k.grown(log)
    k.close_all(rules, state, log, reached)
    return state, log


@settings(max_examples=1500, deadline=None)
@given(cases(), options(), st.sampled_from([1, 3, 1000]))
def test_every_trade_equals_that_of_the_reference(case, o, chunk):
    book = expected(case, o)
    state, log = compiled(case, o, chunk, capacity=16)
    rows = log.trades[: state.counts[k.N_TRADES]]
    assert len(rows) == len(book.trades)
    for row, trade in zip(rows, book.trades, strict=True):
        assert k.EXIT_REASONS[int(row[k.T_REASON])] == trade["reason"]
        assert (row[k.T_SIDE], row[k.T_ENTRY], row[k.T_EXIT], row[k.T_BARS]) == (
            trade["side"], trade["entry"], trade["exit"], trade["bars"],
        )  # fmt: skip
        for column, name in (
            (k.T_QUANTITY, "quantity"), (k.T_ENTRY_PRICE, "entry_price"), (k.T_EXIT_PRICE, "exit_price"),
            (k.T_PNL, "pnl"), (k.T_COMMISSION, "commission"), (k.T_BORROW, "borrow"),
        ):  # fmt: skip
            assert row[column] == pytest.approx(trade[name], rel=1e-9, abs=1e-9)
    reasons = [k.REJECTIONS[int(r)] for r in log.rejected[: state.counts[k.N_REJECTED], k.R_REASON]]
    assert reasons == book.rejected
    assert log.equity == pytest.approx(book.equity, rel=1e-9)


@settings(max_examples=300, deadline=None)
@given(cases(), options())
def test_money_is_neither_made_nor_lost(case, o):
    state, log = compiled(case, o, 1000)
    rows = log.trades[: state.counts[k.N_TRADES]]
    assert state.account[k.CASH] == pytest.approx(o.cash + rows[:, k.T_PNL].sum(), rel=1e-9, abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(cases(), options(), st.integers(1, 39))
def test_cutting_off_the_future_never_changes_the_past(case, o, cut):
    ts, prices, signals, distances = case
    cut = min(cut, len(ts))
    short = ts[:cut], tuple(p[:, :cut].copy() for p in prices), signals[:, :cut].copy(), {
        name: values[:, :cut].copy() for name, values in distances.items()
    }  # fmt: skip
    whole_state, whole = compiled(case, o, 1000)
    part_state, part = compiled(short, o, 1000)
    settled = [row for row in part.trades[: part_state.counts[k.N_TRADES]] if row[k.T_REASON] != k.BY_END]
    for row, other in zip(settled, whole.trades[: whole_state.counts[k.N_TRADES]], strict=False):
        assert np.array_equal(row, other)
