"""The backtest as a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pitboss.backtesting.engine import Outcome, Simulation, resolve, rules_of
from pitboss.backtesting.engine import run as simulate
from pitboss.backtesting.metrics import compute_metrics
from pitboss.backtesting.tables import equity_frame, orders_frame, trades_frame
from pitboss.backtesting.universe import Universe
from pitboss.core.errors import RunCancelled
from pitboss.core.timeframe import parse_timeframe
from pitboss.jobs.request import fix_sources, identity_of, load_universe, read_request, source_of, strategy_text
from pitboss.kernel.bars import CLEAN, BarArrays, fault_of
from pitboss.kernel.panel import new_panel, panel_over
from pitboss.kernel.series import drawdown_of
from pitboss.market.catalog import Catalog
from pitboss.runs.context import RunContext
from pitboss.runs.ports import Prepared
from pitboss.strategy.program import compile_document
from pitboss.strategy.reader import read_document

WARM_UP_STRATEGY = """
name: warm-up
timeframe: 1h
indicators: {fast: "ema(close, 3)", slow: "on('4h', close)"}
entry: {long: "crosses_above(close, fast) and slow > 0", short: "crosses_below(close, fast[1])"}
exit: {long: "crosses_below(close, fast)"}
risk: {stop_loss: 1%, take_profit: 2%, trailing_stop: "atr(3)", max_bars: 5}
costs: {commission: 0.01%, borrow: 1%}
"""


class BacktestKind:
    """Runs one strategy document over stored bars."""

    name = "backtest"

    def __init__(self, catalog: Catalog, lookup: Callable[[str], str]) -> None:
        self.catalog = catalog
        self.lookup = lookup

    def prepare(self, params: Mapping[str, Any]) -> Prepared:
        """Check everything that can be checked without reading bars."""
        request = read_request(params, strategy_text(params.get("strategy"), self.lookup))
        snapshot = fix_sources(request, self.catalog)
        return Prepared(f"strategy/{request.document.name}", dict(params), snapshot)

    def identity(self, snapshot: Mapping[str, Any]) -> dict[str, str]:
        """Answer digests of the strategy and the bars, and the versions that are installed now."""
        return identity_of(snapshot)

    def pinned(self, params: Mapping[str, Any], snapshot: Mapping[str, Any]) -> dict[str, Any]:
        """Name the strategy by the text that was run, not by a name that may mean another by now."""
        return {**params, "strategy": snapshot["strategy"]["text"]}


def run(params: dict[str, Any], context: RunContext) -> dict[str, Any]:
    """Simulate, then write trades, orders, equity and drawdown; see `runs.ports.JobKind`."""
    context.begin_stage("loading bars")
    request = read_request(params, context.snapshot["strategy"]["text"])
    universe = load_universe(request, context.snapshot, Catalog(context.files))
    program = compile_document(request.document, request.parameters)
    rules = rules_of(program, *resolve(request.document, request.sizing, request.costs))
    simulation = Simulation(program, rules, universe, request.cash, panel_over(context.memory))
    saved = context.restore(identity_of(context.snapshot))
    if saved is not None:
        simulation.take_up(saved)
    context.begin_stage("simulating", simulation.end, simulation.reached)
    while simulation.advance():
        if context.is_checkpoint_due:
            context.checkpoint(simulation.saved())
    context.end_stage(simulation.reached)
    if simulation.reached == simulation.end:
        context.begin_results()
    elif context.keeps_partial:
        context.checkpoint_at_cancel(simulation.saved())
    else:
        raise RunCancelled("the backtest was cancelled")
    return results(simulation.outcome(), context)


def results(outcome: Outcome, context: RunContext) -> dict[str, Any]:
    """Write the artifacts of a backtest and answer its result."""
    equity = equity_frame(outcome)
    frames = {
        "trades": trades_frame(outcome),
        "orders": orders_frame(outcome),
        "equity": equity.select("ts", "equity"),
        "drawdown": equity.select("ts", "drawdown"),
    }
    artifacts = [save_frame(context, f"{name}.parquet", frame) for name, frame in frames.items()]
    return {
        "metrics": compute_metrics(outcome),
        "trades": len(frames["trades"]),
        "final_equity": float(equity["equity"][-1]) if len(equity) else outcome.cash,
        "artifacts": artifacts,
        "source": source_of(context.snapshot),
    }


def save_frame(context: RunContext, name: str, frame: pl.DataFrame) -> str:
    """Save a frame as an artifact in Parquet and answer its name."""

    def write(path: Path) -> None:
        frame.write_parquet(path, compression="zstd")

    return str(context.save_artifact(name, write)["name"])


def warm_up() -> None:
    """Call every kernel once, so that a run finds them compiled.

    On arrays alone: a Polars query would start threads, and threads do not survive a fork.
    """
    count = 300
    close = 100 + np.cumsum(np.random.default_rng(1).standard_normal(count))
    first = np.concatenate((close[:1], close[:-1]))
    ts = np.arange(count, dtype=np.int64) * 3_600_000_000
    bars = BarArrays(ts, first, np.maximum(first, close) + 0.1, np.minimum(first, close) - 0.1, close, np.ones(count))
    document = read_document(WARM_UP_STRATEGY)
    program = compile_document(document)
    universe = Universe(("WARM",), {"WARM": bars}, parse_timeframe("1h"))
    assert fault_of(bars) == CLEAN
    outcome = simulate(program, rules_of(program, *resolve(document, None, None)), universe, 10_000.0, new_panel())
    compute_metrics(outcome)
    drawdown_of(outcome.log.equity, outcome.cash)
