"""Compiles every kernel, so that a process that is forked from here finds them compiled."""

from __future__ import annotations

import numpy as np

from pitboss.backtesting.engine import rules_of, run
from pitboss.backtesting.metrics import compute_metrics
from pitboss.backtesting.options import resolve
from pitboss.backtesting.universe import Universe
from pitboss.core.timeframe import parse_timeframe
from pitboss.kernel.bars import CLEAN, BarArrays, fault_of
from pitboss.kernel.panel import new_panel
from pitboss.kernel.series import drawdown_of
from pitboss.strategy.program import compile_document
from pitboss.strategy.reader import read_document

STRATEGY = """
name: warm-up
timeframe: 1h
indicators: {fast: "ema(close, 3)", slow: "on('4h', close)"}
entry: {long: "crosses_above(close, fast) and slow > 0", short: "crosses_below(close, fast[1])"}
exit: {long: "crosses_below(close, fast)"}
risk: {stop_loss: 1%, take_profit: 2%, trailing_stop: "atr(3)", max_bars: 5}
costs: {commission: 0.01%, borrow: 1%}
"""


def warm_up() -> None:
    """Call every kernel once, so that a run finds them compiled.

    On arrays alone: a Polars query would start threads, and threads do not survive a fork.
    """
    count = 300
    close = 100 + np.cumsum(np.random.default_rng(1).standard_normal(count))
    first = np.concatenate((close[:1], close[:-1]))
    ts = np.arange(count, dtype=np.int64) * 3_600_000_000
    bars = BarArrays(ts, first, np.maximum(first, close) + 0.1, np.minimum(first, close) - 0.1, close, np.ones(count))
    document = read_document(STRATEGY)
    program = compile_document(document)
    universe = Universe(("WARM",), {"WARM": bars}, parse_timeframe("1h"))
    assert fault_of(bars, False) == CLEAN
    outcome = run(program, rules_of(program, *resolve(document, None, None)), universe, 10_000.0, new_panel())
    compute_metrics(outcome)
    drawdown_of(outcome.log.equity, outcome.cash)
