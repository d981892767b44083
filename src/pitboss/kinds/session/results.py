"""What a session leaves behind: decisions, orders, trades, equity and candles, and the figures over them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from pitboss.backtesting.tables import trades_frame
from pitboss.core.clock import micros_to_iso
from pitboss.kernel.series import drawdown_of
from pitboss.kinds.documents.bars import save_frame
from pitboss.kinds.session.rules import RulesAgent
from pitboss.runs.context import RunContext
from pitboss.sessions.session import Session, round_trips
from pitboss.trading.model import OrderAnswer
from pitboss.trading.ports import Step

_TS = pl.Datetime("us", "UTC")
TRADES: dict[str, Any] = {
    "symbol": pl.String, "side": pl.String, "quantity": pl.Float64, "entry_ts": _TS, "entry_price": pl.Float64,
    "exit_ts": _TS, "exit_price": pl.Float64, "pnl": pl.Float64, "return": pl.Float64, "commission": pl.Float64,
    "borrow": pl.Float64, "exit_reason": pl.String,
}  # fmt: skip
ORDERS: dict[str, Any] = {
    "ts": _TS, "side": pl.String, "symbol": pl.String, "quantity": pl.Float64, "price": pl.Float64, "fee": pl.Float64,
    "gain": pl.Float64, "status": pl.String, "reason": pl.String, "cash": pl.Float64, "position": pl.Float64,
    "source": pl.String,
}  # fmt: skip
TRANSCRIPTS = "transcripts.jsonl"
DRAWS = 1000


def result_of(session: Session, rules: RulesAgent | None, context: RunContext) -> dict[str, Any]:
    """Write the artifacts of a session and answer its result."""
    if session.is_over:  # else people want to see how far it came
        context.begin_stage("results")
    steps, orders, account = session.desk.steps(), session.desk.orders(), session.desk.account()
    opening = float(account.opening)
    decisions = decisions_frame(steps)
    equity = equity_frame(steps, opening, float(account.equity) if session.is_over else None)
    is_exact = rules is not None and session.is_over and not context.snapshot["is_mixed"]
    trades = trades_frame(rules.outcome()) if rules is not None and is_exact else trips_frame(orders)
    frames = {
        "decisions": decisions, "orders": orders_frame(orders), "trades": trades, "equity": equity,
        "candles": candles_frame(session),
    }  # fmt: skip
    saved = [save_frame(context, name, frame) for name, frame in frames.items()]
    context.save_artifact(TRANSCRIPTS, partial(_write_transcripts, steps), "application/x-ndjson")
    if session.is_over:
        context.end_stage()
    return {
        "metrics": metrics_of(session, equity, trades, orders, opening) | compared(session, trades, opening),
        "decisions": {
            "made": int((decisions["failure"] == "").sum()), "none": _reasons(decisions), "steps": len(session.ticks),
        },
        "positions": [position.as_dict() for position in account.positions.values()],
        "mcp": list(context.snapshot["agent"].get("mcp", ())),
        "artifacts": [*saved, TRANSCRIPTS],
    }  # fmt: skip


def metrics_of(
    session: Session, equity: pl.DataFrame, trades: pl.DataFrame, orders: Sequence[OrderAnswer], opening: float
) -> dict[str, Any]:
    """Answer the figures of a session; fractions are fractions, money is the account's, `model_cost` US dollars."""
    filled = [order for order in orders if order.is_filled]
    final = float(equity["equity"][-1]) if len(equity) else opening
    pnl, spent = trades["pnl"], session.spent
    return {
        "final_equity": final, "total_return": final / opening - 1.0,
        "max_drawdown": float(equity["drawdown"].min()) if len(equity) else 0.0,  # type: ignore[arg-type]
        "trade_count": len(trades), "win_rate": float((pnl > 0).mean()) if len(trades) else None,  # type: ignore[arg-type]
        "orders_filled": len(filled), "orders_refused": len(orders) - len(filled),
        "fees": float(sum(order.fee for order in filled)), "tokens": spent.tokens,
        "model_calls": spent.calls, "model_seconds": spent.seconds, "model_cost": spent.cost,
    }  # fmt: skip


def compared(session: Session, trades: pl.DataFrame, opening: float) -> dict[str, Any]:
    """Answer what holding the symbols in equal parts would have returned, and what trading at random as often, as long
    and as large would have: the mean of many draws, and the share of them that did worse."""
    terms, first = session.desk.account().terms, session.ticks[0].at
    cost = terms.costs.commission + terms.costs.slippage
    growth, curves = [], []
    for symbol in session.gate.bars:
        seen = session.gate.known(symbol)
        part = seen.where(seen.ts >= first)
        if len(part.ts) > 1:
            curves.append(part.open)
            growth.append(float(part.close[-1] / part.open[0]) * (1 - cost) / (1 + cost) - 1.0)
    if not curves:
        return {"buy_and_hold": None, "random_return": None, "better_than_random": None}
    held = float(np.mean(growth))
    if not len(trades):
        return {"buy_and_hold": held, "random_return": 0.0, "better_than_random": None}
    steps = np.array([tick.at for tick in session.ticks])
    entries, exits = (np.searchsorted(steps, trades[name].to_physical()) for name in ("entry_ts", "exit_ts"))
    shares = (trades["quantity"] * trades["entry_price"]).to_numpy() / opening
    drawn = random_returns(curves, np.maximum(1, exits - entries), shares, cost, terms.rules.short)
    total = float(trades["pnl"].sum()) / opening
    return {
        "buy_and_hold": held, "random_return": float(drawn.mean()),
        "better_than_random": float((drawn < total).mean()),
    }  # fmt: skip


def random_returns(
    curves: Sequence[np.ndarray], holding: np.ndarray, shares: np.ndarray, cost: float, can_short: bool
) -> np.ndarray:
    """Answer the returns of DRAWS sessions that trade at random: each of its trades lasts `holding` bars, takes its
    share of the cash, and pays `cost`, a fraction of the price, at both ends."""
    dice = np.random.default_rng(len(curves[0]))
    totals = np.zeros(DRAWS)
    for bars, share in zip(holding, shares, strict=True):
        prices = curves[int(dice.integers(len(curves)))]
        last = len(prices) - 1
        bars = min(int(bars), last)
        starts = dice.integers(0, max(1, last - bars + 1), DRAWS)
        sides = dice.choice((1.0, -1.0), DRAWS) if can_short else np.ones(DRAWS)
        totals += share * (sides * (prices[starts + bars] / prices[starts] - 1.0) - 2.0 * cost)
    return totals


def decisions_frame(steps: Sequence[Step]) -> pl.DataFrame:
    """Answer one row a step: what was decided, and what that took."""
    rows = [_row(step) for step in steps]
    schema: dict[str, Any] = {
        "minute": pl.Int64, "ts": _TS, "action": pl.String, "orders": pl.String, "reason": pl.String,
        "failure": pl.String, "seconds": pl.Float64, "tokens": pl.Int64, "input_tokens": pl.Int64,
        "output_tokens": pl.Int64, "calls": pl.Int64, "tool_calls": pl.Int64, "cost": pl.Float64,
        "equity": pl.Float64, "shown_until": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _row(step: Step) -> dict[str, Any]:
    kept, usage = step.decision, step.decision["usage"]
    orders = [{name: each[name] for name in ("action", "symbol", "quantity")} for each in kept["intents"]]
    return {
        "minute": step.number, "ts": step.at, "action": kept["action"], "orders": json.dumps(orders),
        "reason": kept["reason"], "failure": kept["failure"], "seconds": usage["seconds"],
        "tokens": usage["input_tokens"] + usage["output_tokens"], "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"], "calls": usage["calls"], "tool_calls": usage["tool_calls"],
        "cost": usage["cost"], "equity": kept["equity"],
        "shown_until": max((each["latest"] for each in kept["shown"] if each["latest"]), default=None),
    }  # fmt: skip


def equity_frame(steps: Sequence[Step], opening: float, final: float | None) -> pl.DataFrame:
    """Answer `ts, equity, drawdown` at each step's end; the last pays what it cost to close all that was open."""
    values = np.array([step.decision["equity"] for step in steps], np.float64)
    if final is not None and len(values):
        values[-1] = final
    moments = pl.Series([step.at for step in steps], dtype=pl.Int64).cast(_TS)
    return pl.DataFrame({"ts": moments, "equity": values, "drawdown": drawdown_of(values, opening)})


def orders_frame(orders: Sequence[OrderAnswer]) -> pl.DataFrame:
    """Answer one row an order, in the order in which they were given."""
    rows = [{**order.as_dict(), "ts": order.at} for order in orders]
    return pl.DataFrame([{name: row[name] for name in ORDERS} for row in rows], schema=ORDERS, orient="row")


def trips_frame(orders: Sequence[OrderAnswer]) -> pl.DataFrame:
    """Answer one row for each close of a position, by the columns of a backtest's trades."""
    return pl.DataFrame(round_trips(orders), schema=TRADES, orient="row")


def candles_frame(session: Session) -> pl.DataFrame:
    """Answer `symbol, ts, open, high, low, close` of the bars that the session has seen."""
    first = session.ticks[0].at
    frames = []
    for symbol in session.gate.bars:
        seen = session.gate.known(symbol)
        part = seen.where(seen.ts >= first)
        prices = {name: getattr(part, name) for name in ("open", "high", "low", "close")}
        names = pl.repeat(symbol, len(part.ts), dtype=pl.String, eager=True)
        frames.append(pl.DataFrame({"symbol": names, "ts": pl.Series(part.ts).cast(_TS), **prices}))
    return pl.concat(frames)


def _reasons(decisions: pl.DataFrame) -> dict[str, int]:
    found: dict[str, int] = {}
    for reason in decisions["failure"]:
        if reason:
            found[reason[:120]] = found.get(reason[:120], 0) + 1
    return dict(sorted(found.items(), key=lambda pair: -pair[1])[:10])


def _write_transcripts(steps: Sequence[Step], path: Any) -> None:
    with path.open("w", encoding="utf-8") as file:
        for step in steps:
            said: Mapping[str, Any] = {
                "minute": step.number, "at": micros_to_iso(step.at), "transcript": step.decision["transcript"],
                "shown": step.decision["shown"],
            }  # fmt: skip
            file.write(json.dumps(said) + "\n")
