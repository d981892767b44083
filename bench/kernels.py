"""The library's figures: a million bars, a thousand variants, the first backtest, and what progress costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from before import checked_out
from table import Row

from pitboss.backtesting.engine import PIECE, rules_of, signals_and_levels
from pitboss.backtesting.library import backtest, universe_of
from pitboss.backtesting.options import resolve
from pitboss.core.timeframe import parse_timeframe
from pitboss.kernel.account import new_log, new_state
from pitboss.kernel.panel import new_panel
from pitboss.kernel.simulate import simulate
from pitboss.market.synth import synthesize
from pitboss.strategy.evaluate import ArrayCache
from pitboss.strategy.program import compile_document
from pitboss.strategy.reader import read_document

HERE = Path(__file__).parent
PEERS = HERE.parent / ".bench-venv" / "bin" / "python"
CROSS = """
name: cross
timeframe: 5m
indicators: {fast: "ema(close, f)", slow: "ema(close, s)"}
entry: {long: "crosses_above(fast, slow)", short: "crosses_below(fast, slow)"}
exit: {long: "crosses_below(fast, slow)", short: "crosses_above(fast, slow)"}
costs: {commission: 0.02%, slippage: 0.01%, borrow: 1%}
parameters: {f: {default: 10, low: 2, high: 400}, s: {default: 30, low: 2, high: 400}}
"""
SWEEP = """
import json, sys, time
import polars as pl
import pitboss
bars = pl.read_parquet(sys.argv[1])
grid = {"f": {"low": 5, "high": 50, "step": 5}, "s": {"low": 60, "high": 258, "step": 2}}
seconds = []
for _ in range(3):
    start = time.perf_counter()
    result = pitboss.sweep(open(sys.argv[2]).read(), bars, grid=grid)
    seconds.append(time.perf_counter() - start)
assert len(result.variants) == 1000
# not ru_maxrss: that one is inherited from whoever started the process
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"seconds": min(seconds), "peak_mb": peak / 1024}))
"""
ONE = """
import json, sys, time
import polars as pl
import pitboss
bars, text = pl.read_parquet(sys.argv[1]).rechunk(), open(sys.argv[2]).read()
pitboss.backtest(text, bars.head(10_000))
seconds = []
for _ in range(9):
    start = time.perf_counter()
    pitboss.backtest(text, bars)
    seconds.append(time.perf_counter() - start)
print(json.dumps({"seconds": min(seconds)}))
"""
FIRST = """
import sys, polars as pl, pitboss
pitboss.backtest(open(sys.argv[2]).read(), pl.read_parquet(sys.argv[1]))
"""


def best(function, runs=7):
    """Answer the least of several timings: what the machine can do when nothing disturbs it."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def peer(script, *arguments):
    """Answer what a peer's script printed, None with a word on standard error when it is absent or fails."""
    done = subprocess.run([PEERS, HERE / "peers" / script, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        print(f"bench: {script} is left out: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def rows():
    with tempfile.TemporaryDirectory() as folder:
        yield from _rows(Path(folder))


def _rows(folder):
    start = datetime(2015, 1, 1, tzinfo=UTC)
    million = synthesize(parse_timeframe("5m"), start, 3473, seed=1, session="always").head(1_000_000)
    hundred = million.head(100_000)
    for name, frame in (("million", million), ("hundred", hundred)):
        frame.write_parquet(folder / f"{name}.parquet")
    (folder / "cross.yaml").write_text(CROSS)
    backtest(CROSS, hundred)
    one = json.loads(fresh(ONE, folder, "million"))["seconds"]
    yield Row("backtest, 1,000,000 bars, metrics included", one * 1e3, "ms", 10, "limit")
    yield Row("the same", one * 1e3, "ms", bare_loop(million) * 1e3, "bare compiled loop without metrics")
    if answer := peer("with_vectorbt.py", "one", folder / "million.parquet", 3):
        yield Row("the same", one * 1e3, "ms", answer["seconds"] * 1e3, "vectorbt")
    if answer := peer("with_backtesting.py", folder / "million.parquet", 1):
        yield Row("the same", one * 1e3, "ms", answer["seconds"] * 1e3, "backtesting.py")
    before = folder / "before"
    has_before = checked_out(before)
    if has_before:
        was = json.loads(fresh(ONE, folder, "million", before))["seconds"]
        yield Row("the same", one * 1e3, "ms", was * 1e3, "the version before")
    first = best(lambda: fresh(FIRST, folder), 3)
    yield Row("first backtest in a fresh process, 100,000 bars", first, "s", 1.5, "limit")
    done = json.loads(fresh(SWEEP, folder))
    yield Row("sweep, 1,000 variants of 100,000 bars", done["seconds"], "s", 0.5, "limit")
    yield Row("the same, peak memory", done["peak_mb"], "MB", 150, "limit")
    if has_before:
        was = json.loads(fresh(SWEEP, folder, source=before))
        yield Row("the same", done["seconds"], "s", was["seconds"], "the version before")
        yield Row("the same, peak memory", done["peak_mb"], "MB", was["peak_mb"], "the version before")
    if answer := peer("with_vectorbt.py", "sweep", folder / "hundred.parquet", 1):
        yield Row("the same", done["seconds"], "s", answer["seconds"], "vectorbt")
        yield Row("the same, peak memory", done["peak_mb"], "MB", answer["peak_mb"], "vectorbt")
    yield Row("progress and cancel inside the kernel", panel_cost(million), "%", 1, "limit")


def fresh(code, folder, bars="hundred", source=None):
    """Run code in a fresh interpreter with bars and the strategy, on another version's source where one is given."""
    command = [sys.executable, "-c", code, str(folder / f"{bars}.parquet"), str(folder / "cross.yaml")]
    other = {"PYTHONPATH": str(source / "src")} if source else {}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | other).stdout


def bare_loop(frame):
    """The least that a compiled loop can do: two averages, their crossings, positions and equity."""
    from numba import njit

    @njit
    def loop(first, close, f, s, commission, slippage):
        a, b = 2 / (f + 1), 2 / (s + 1)
        fast = slow = close[0]
        cash, quantity, due = 10_000.0, 0.0, 0
        equity = np.empty(len(close))
        for i in range(len(close)):
            if due:
                price = first[i]
                cash += quantity * price * (1 - commission - slippage)
                quantity = due * cash / (price * (1 + commission + slippage))
                cash -= quantity * price
                due = 0
            was = fast > slow
            fast += a * (close[i] - fast)
            slow += b * (close[i] - slow)
            if (fast > slow) != was:
                due = 1 if fast > slow else -1
            equity[i] = cash + quantity * close[i]
        return equity

    first, close = frame["open"].to_numpy(), frame["close"].to_numpy()
    loop(first, close, 10, 30, 0.0002, 0.0001)
    return best(lambda: loop(first, close, 10, 30, 0.0002, 0.0001))


def panel_cost(frame):
    """Answer by how many per cent the loop is slower when it is looked at: one call against many."""
    document = read_document(CROSS)
    universe = universe_of(document, frame)
    program = compile_document(document)
    rules = rules_of(program, *resolve(document, None, None))
    signals, levels = signals_and_levels(program, universe, ArrayCache())
    bars, count = universe.prices, len(frame)

    def run(chunk):
        state, log, panel = new_state(1, 10_000.0), new_log(count, 100_000), new_panel()
        start = time.perf_counter()
        for begin in range(0, count, chunk):
            simulate(bars, signals, levels, rules, state, log, panel, begin, min(count, begin + chunk))
        return time.perf_counter() - start

    run(count)
    watched, whole = zip(*((run(PIECE), run(count)) for _ in range(15)), strict=True)
    return max(0.0, 100 * (min(watched) / min(whole) - 1))
