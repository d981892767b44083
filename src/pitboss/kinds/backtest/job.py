"""The backtest in its own process."""

from __future__ import annotations

from typing import Any

from pitboss.backtesting.engine import Outcome, Simulation, rules_of
from pitboss.backtesting.metrics import as_json, compute_metrics
from pitboss.backtesting.tables import (
    benchmark_frame,
    candles_frame,
    equity_frame,
    hours_frame,
    monthly_frame,
    orders_frame,
    trades_frame,
)
from pitboss.core.errors import RunCancelled
from pitboss.kernel.panel import panel_over
from pitboss.kinds.backtest.params import BacktestParams
from pitboss.kinds.documents.bars import digits_of, gaps_of, load_universe, save_frame
from pitboss.kinds.documents.prepare import Request, as_fixed, identity_of, read_request, source_of
from pitboss.runs.context import RunContext
from pitboss.runs.messages import Gauge
from pitboss.strategy.doubts import conditions_of

MOST_DOUBTS = 20
GAUGES = (Gauge("trade_count"), Gauge("equity", is_real=True))  # in the order of `kernel.panel`


def run(params: BacktestParams, context: RunContext) -> dict[str, Any]:
    """Simulate, then write trades, orders, equity and drawdown; see `runs.kinds.Kind`."""
    context.begin_stage("loading bars")
    request = read_request(as_fixed(params, context.snapshot), context.snapshot["strategy"]["text"])
    remarks: list[str] = []
    universe = load_universe(request, context.snapshot, context.resource("bars"), remarks.append)
    rules = rules_of(request.program, request.sizing, request.costs)
    simulation = Simulation(request.program, rules, universe, request.cash, panel_over(context.memory))
    saved = context.restore(identity_of(context.snapshot))
    if saved is not None:
        simulation.take_up(saved)
    context.begin_stage("simulating", simulation.end, simulation.reached, GAUGES)
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
    return results(simulation.outcome(), [*remarks, *doubts_of(request, simulation)], context)


def doubts_of(request: Request, simulation: Simulation) -> list[str]:
    """Answer what is odd about the strategy on these bars."""
    doubts = [f"'{name}' is defined in the document and never used" for name in request.document.unused]
    names_clock = request.program.windows or request.program.exit_at is not None
    for symbol in simulation.universe.symbols:
        if names_clock and not request.document.timezone and simulation.universe.times.followed(symbol) is None:
            doubts.append(f"windows and exit.at are read in UTC: neither the document nor {symbol} names a time zone")
        found = conditions_of(request.program, simulation.universe.scope(symbol, simulation.cache))
        doubts += [condition.doubt for condition in found if condition.doubt]
    return doubts[:MOST_DOUBTS]


def results(outcome: Outcome, doubts: list[str], context: RunContext) -> dict[str, Any]:
    """Write the artifacts of a backtest and answer its result."""
    equity = equity_frame(outcome)
    frames = {
        "trades": trades_frame(outcome),
        "orders": orders_frame(outcome),
        "equity": equity.select("ts", "equity"),
        "drawdown": equity.select("ts", "drawdown"),
    }
    artifacts = [save_frame(context, name, frame) for name, frame in frames.items()]
    for name, frame in (("monthly", monthly_frame(equity, outcome.cash)), ("candles", candles_frame(outcome)),
                        ("benchmark", benchmark_frame(outcome)), ("hours", hours_frame(frames["trades"]))):  # fmt: skip
        save_frame(context, name, frame)
    return {
        "metrics": as_json(compute_metrics(outcome)),
        "trades": len(frames["trades"]),
        "final_equity": float(equity["equity"][-1]) if len(equity) else outcome.cash,
        "artifacts": artifacts,
        "charts": ["benchmark", "hours"],
        "gaps": gaps_of(outcome.universe),
        "doubts": doubts,
        "digits": digits_of(outcome.universe),
        "source": source_of(context.snapshot),
    }
