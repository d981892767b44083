"""The compiled loop against the slow reference: trade by trade, over random bars, signals, costs and options."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitboss.kernel import account as k
from pitboss.kernel.panel import new_panel
from pitboss.kernel.simulate import close_all, simulate
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
    jump = np.zeros(shape)
    jump[:, count // 2 :] = draw(st.sampled_from([0, 60])) * rng.choice([-1, 1])  # more than an account's margin
    close = np.maximum(close + jump, 20.0)
    before = np.roll(close, 1, axis=1) + (jump - np.roll(jump, 1, axis=1)) * draw(st.booleans())  # between two bars
    first = np.maximum(before + (rng.integers(-2, 3, shape) if coarse else rng.normal(0, 1, shape)), 20)
    first[:, 0] = 100
    spread = rng.integers(0, 4, (2, *shape)) if coarse else np.abs(rng.normal(0, 1, (2, *shape)))
    high = np.maximum(first, close) + spread[0]
    low = np.maximum(np.minimum(first, close) - spread[1], 1.0)
    density = draw(st.sampled_from([0.1, 0.3, 0.6]))
    leaving = draw(st.sampled_from([0.02, 0.3]))
    side = rng.random(shape)  # seldom both
    entries = (side < density * 0.6) * 1 + (side > 1 - density * 0.6) * 2 + (abs(side - 0.5) < 0.02) * 3
    chances = [leaving, leaving, draw(st.sampled_from([0.0, 0.3])), draw(st.sampled_from([0.0, 0.1]))]
    signals = entries + sum((rng.random(shape) < chance) << bit for bit, chance in enumerate(chances, 2))
    signals = signals.astype(np.uint8)
    if draw(st.booleans()):
        hole = rng.random(shape) < 0.2
        hole[0, 0] = False
        if symbols > 1 and draw(st.booleans()):
            hole[-1, draw(st.integers(1, count)) :] = True  # one that ends before the others
        for column in (first, high, low, close):
            column[hole] = np.nan
        signals[hole] = 0
    ts = START + np.cumsum(rng.integers(1, 4, count)) * HOUR
    distances = {name: rng.integers(1, 12, shape).astype(float) for name in ("stop", "trail")}
    distances["targets"] = rng.integers(1, 9, (3, *shape)).astype(float)
    for values, wrong in ((distances["stop"], np.nan), (distances["trail"], 0.0), (distances["targets"], -1.0)):
        values[rng.random(values.shape) < 0.03] = wrong
    for name in ("trigger", "limit"):  # for long and short
        distances[name] = close + rng.integers(-4, 5, (2, *shape))
        distances[name][rng.random((2, *shape)) < 0.03] = np.nan
    return ts, (first, high, low, close), signals, distances


@st.composite
def options(draw):
    def level(always: bool = False):
        kinds = [("distance",), ("fraction", draw(st.sampled_from([0.01, 0.02, 0.05])))]
        return draw(st.sampled_from(kinds if always else [None, *kinds]))

    is_reckless = draw(st.sampled_from([False, False, True]))  # all of what leverage pays, and no stop
    sizing = "percent_equity" if is_reckless else draw(st.sampled_from(SIZINGS))
    sizes = {"fixed_cash": [500.0, 9000.0], "fixed_quantity": [1.0, 70.0, 300.0], "percent_equity": [0.1, 1.0, 5.0],
             "risk": [0.01, 0.05, 0.5]}  # fmt: skip
    leverage = draw(st.sampled_from([2.0, 20.0] if is_reckless else [1.0, 1.0, 3.0, 20.0]))
    targets = draw(st.sampled_from([0, 0, 1, 2, 3]))
    costly = draw(st.booleans())
    return reference.Options(
        cash=draw(st.sampled_from([1_000.0, 10_000.0])),
        sizing=sizing,
        size=leverage if is_reckless else draw(st.sampled_from(sizes[sizing])),
        lot=draw(st.sampled_from([0.0, 0.0, 1.0, 10.0])),
        leverage=leverage,
        maintenance=draw(st.sampled_from([0.0, 0.5])) / leverage,
        fills_short=draw(st.booleans()),
        commission=draw(st.sampled_from([0.0, 0.001])) if costly else 0.0,
        per_share=draw(st.sampled_from([0.0, 0.01])) if costly else 0.0,
        per_order=draw(st.sampled_from([0.0, 1.0])) if costly else 0.0,
        minimum=draw(st.sampled_from([0.0, 5.0])) if costly else 0.0,
        slippage=draw(st.sampled_from([0.0, 0.001])),
        borrow=draw(st.sampled_from([0.0, 0.5])),
        interest=draw(st.sampled_from([0.0, 0.5])),
        max_bars=draw(st.sampled_from([0, 0, 1, 3])),
        cooldown=draw(st.sampled_from([0, 0, 1, 4])),
        max_positions=draw(st.sampled_from([0, 0, 1, 2])),
        expiry=draw(st.sampled_from([1, 3])),
        order=draw(st.sampled_from(["market", "market", "limit", "stop", "stop_limit"])),
        stop=None if is_reckless else level(always=sizing == "risk"),
        targets=tuple(level(always=True) for _ in range(targets)),
        shares=tuple(draw(st.sampled_from([0.25, 0.5, 1.0])) for _ in range(targets)),
        trail=None if is_reckless else level(),
    )


ORDERS = ("market", "limit", "stop", "stop_limit")


def expected(case, o):
    ts, (first, high, low, close), signals, distances = case
    instruments = []
    for s in range(len(first)):
        present = [t for t in range(len(ts)) if not math.isnan(first[s, t])]
        bars = {t: (first[s, t], high[s, t], low[s, t], close[s, t]) for t in present}
        waiting = [tuple(dict(enumerate(side[s])) for side in distances[name]) for name in ("trigger", "limit")]
        instruments.append(
            reference.Instrument(
                bars, dict(enumerate(signals[s].tolist())), dict(enumerate(distances["stop"][s])),
                [dict(enumerate(own[s])) for own in distances["targets"][: len(o.targets)]],
                dict(enumerate(distances["trail"][s])), *waiting,
            )
        )  # fmt: skip
    return reference.simulate(ts.tolist(), instruments, o)


def levels_of(o, distances):
    """Answer the rows of what is told on each bar, and how the rules name them."""
    rows = [distances["stop"], distances["trail"], *distances["targets"][: len(o.targets)]]
    rests = len(rows)
    rows += [*distances["trigger"], *distances["limit"]]

    def named(kind, row):
        if kind is None:
            return k.LEVEL_NONE, 0.0
        return (k.LEVEL_FRACTION, kind[1]) if kind[0] == "fraction" else (k.LEVEL_DISTANCE, float(row))

    table = [
        (kind[1] if kind[0] == "fraction" else np.nan, 2 + which, share)
        for which, (kind, share) in enumerate(zip(o.targets, o.shares, strict=True))
    ]
    (stop_kind, stop), (trail_kind, trail) = named(o.stop, 0), named(o.trail, 1)
    resting = {"stop_kind": stop_kind, "stop": stop, "trail_kind": trail_kind, "trail": trail,
               "order": ORDERS.index(o.order), "trigger": rests, "limit": rests + 2}  # fmt: skip
    return k.Levels(np.array(rows), np.array(table, np.float64).reshape(-1, 3)), resting


def lasts(case):
    """Answer the index of each symbol's last bar."""
    return np.array([np.flatnonzero(row)[-1] if row.any() else -1 for row in ~np.isnan(case[1][0])])


def compiled(case, o, chunk, capacity=None, last=None):
    ts, prices, signals, distances = case
    levels, resting = levels_of(o, distances)
    same = ("size", "lot", "leverage", "maintenance", "commission", "per_share", "per_order", "minimum", "slippage",
            "borrow", "interest", "max_bars", "cooldown", "max_positions", "expiry")  # fmt: skip
    given = {name: getattr(o, name) for name in same} | resting
    rules = k.new_rules(sizing=SIZINGS.index(o.sizing), is_filled_short=o.fills_short, **given)
    state, log = k.new_state(len(prices[0]), o.cash), k.new_log(len(ts), capacity or 64)
    is_dense = bool(len(prices[0]) == 1 and not np.isnan(prices[0]).any())
    bars = k.Bars(ts, *prices, lasts(case) if last is None else last, is_dense)
    panel = new_panel()
    reached = 0
    while reached < len(ts):
        stop = min(len(ts), reached + chunk)
        reached = simulate(bars, signals, levels, rules, state, log, panel, reached, stop)
        if reached < stop:
            log = k.grown(log)
    close_all(rules, state, log, reached)
    return state, log


@settings(max_examples=1500, deadline=None)
@given(cases(), options(), st.sampled_from([1, 3, 1000]))
def test_every_trade_equals_that_of_the_reference(case, o, chunk):
    book = expected(case, o)
    state, log = compiled(case, o, chunk, capacity=16)
    account = state.account[0]
    rows = log.trades[: account["trades"]]
    assert len(rows) == len(book.trades)
    for row, trade in zip(rows, book.trades, strict=True):
        assert k.EXIT_REASONS[row["reason"]] == trade["reason"]
        assert (row["side"], row["entry_t"], row["exit_t"], row["bars"]) == (
            trade["side"], trade["entry"], trade["exit"], trade["bars"],
        )  # fmt: skip
        for name in ("quantity", "entry_price", "exit_price", "pnl", "commission", "borrow"):
            assert row[name] == pytest.approx(trade[name], rel=1e-9, abs=1e-9)
    incidents = [k.INCIDENTS[reason] for reason in log.incidents[: account["incidents"]]["reason"]]
    assert incidents == book.incidents
    assert log.equity == pytest.approx(book.equity, rel=1e-9, abs=1e-6)
    assert account["ruined_t"] == book.ruined
    assert account["shortfall"] == pytest.approx(book.shortfall, rel=1e-9, abs=1e-6)
    assert account["interest"] == pytest.approx(book.interest, rel=1e-9, abs=1e-9)


@settings(max_examples=300, deadline=None)
@given(cases(), options())
def test_money_is_neither_made_nor_lost(case, o):
    state, log = compiled(case, o, 1000)
    account = state.account[0]
    rows = log.trades[: account["trades"]]
    earned = rows["pnl"].sum() - account["interest"] + account["shortfall"]
    assert account["cash"] == pytest.approx(o.cash + earned, rel=1e-9, abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(cases(), options(), st.integers(1, 39))
def test_cutting_off_the_future_never_changes_the_past(case, o, cut):
    ts, prices, signals, distances = case
    cut = min(cut, len(ts))
    short = ts[:cut], tuple(p[:, :cut].copy() for p in prices), signals[:, :cut].copy(), {
        name: values[..., :cut].copy() for name, values in distances.items()
    }  # fmt: skip
    whole_state, whole = compiled(case, o, 1000)
    part_state, part = compiled(short, o, 1000, last=lasts(case))  # a pause is not an end
    settled = [row for row in part.trades[: part_state.account["trades"][0]] if row["reason"] != k.BY_END]
    for row, other in zip(settled, whole.trades[: whole_state.account["trades"][0]], strict=False):
        assert row == other
