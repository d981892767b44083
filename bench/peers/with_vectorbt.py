"""vectorbt on the same bars and rules. Arguments: one|sweep bars.parquet runs. Prints seconds and peak MB as JSON."""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

warnings.simplefilter("ignore")
started = time.perf_counter()
import vectorbt as vbt  # noqa: E402

what, path, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
bars = pl.read_parquet(path)
index = pd.DatetimeIndex(bars["ts"].to_numpy())
close = pd.Series(bars["close"].to_numpy(), index=index)
opens = pd.Series(bars["open"].to_numpy(), index=index)
COSTS = {"fees": 0.0002, "slippage": 0.0001, "freq": "5min", "init_cash": 10_000}


def one():
    fast, slow = vbt.MA.run(close, 10, ewm=True), vbt.MA.run(close, 30, ewm=True)
    up, down = fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)
    portfolio = vbt.Portfolio.from_signals(
        close, up.shift(1, fill_value=False), down.shift(1, fill_value=False),
        short_entries=down.shift(1, fill_value=False), short_exits=up.shift(1, fill_value=False), price=opens, **COSTS,
    )  # fmt: skip
    return portfolio.stats()


def sweep():
    # vectorbt holds every variant's arrays at once: a hundred columns at a time keep it within this machine's memory
    answers = []
    for fast in range(5, 55, 5):
        slow = vbt.MA.run(close, list(range(60, 260, 2)), ewm=True, short_name="slow")
        quick = vbt.MA.run(close, [fast] * 100, ewm=True, short_name="fast", hide_params=None)
        up = pd.DataFrame(quick.ma.to_numpy() > slow.ma.to_numpy(), index=index)
        was = up.shift(1, fill_value=False)
        entries, exits = (up & ~was).shift(1, fill_value=False), (~up & was).shift(1, fill_value=False)
        portfolio = vbt.Portfolio.from_signals(
            close, entries, exits, short_entries=exits, short_exits=entries, price=opens, **COSTS
        )
        answers.append(np.asarray(portfolio.sharpe_ratio()))
        answers.append(np.asarray(portfolio.max_drawdown()))
        answers.append(np.asarray(portfolio.trades.count()))
    return answers


seconds = []
for _ in range(runs):
    start = time.perf_counter()
    one() if what == "one" else sweep()
    seconds.append(time.perf_counter() - start)
status = Path("/proc/self/status").read_text()
peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
print(json.dumps({"seconds": min(seconds), "first": time.perf_counter() - started, "peak_mb": peak}))
