"""What a backtest leaves behind as Polars frames: trades, orders, equity, drawdown, months, candles."""

from __future__ import annotations

import numpy as np
import polars as pl

from pitboss.backtesting.engine import Outcome
from pitboss.kernel import account as k
from pitboss.kernel.series import drawdown_of

_TS = pl.Datetime("us", "UTC")
_STATUSES = {"reduced": "reduced", "expired": "expired"}
MOST_CANDLES = 2000  # of a symbol: more than a screen has columns
_ENTRY_TYPES = ("market", "limit", "stop", "stop_limit")
_ORDER_TYPES = {"stop_loss": "stop", "trailing_stop": "stop", "take_profit": "limit"}


def _moments(outcome: Outcome, column: np.ndarray) -> pl.Series:
    return pl.Series(outcome.universe.prices.ts[column.astype(np.int64)]).cast(_TS)


def _named(names: tuple[str, ...], column: np.ndarray) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(column.astype(np.int64))


def trades_frame(outcome: Outcome) -> pl.DataFrame:
    """Answer one row a trade, in the order of their exits.

    `pnl` is net of commission and borrow, `return` is pnl over the entry's notional, `bars` counts the
    symbol's bars from entry to exit; a timestamp is the opening of the bar in which the fill fell.
    """
    rows = outcome.log.trades[: outcome.state.counts[k.N_TRADES]]
    return pl.DataFrame(
        {
            "symbol": _named(outcome.universe.symbols, rows[:, k.T_SYMBOL]),
            "side": _named(("short", "long"), (rows[:, k.T_SIDE] > 0)),
            "quantity": rows[:, k.T_QUANTITY],
            "entry_ts": _moments(outcome, rows[:, k.T_ENTRY]),
            "entry_price": rows[:, k.T_ENTRY_PRICE],
            "exit_ts": _moments(outcome, rows[:, k.T_EXIT]),
            "exit_price": rows[:, k.T_EXIT_PRICE],
            "pnl": rows[:, k.T_PNL],
            "return": rows[:, k.T_PNL] / (rows[:, k.T_QUANTITY] * rows[:, k.T_ENTRY_PRICE]),
            "commission": rows[:, k.T_COMMISSION],
            "borrow": rows[:, k.T_BORROW],
            "exit_reason": _named(k.EXIT_REASONS, rows[:, k.T_REASON]),
            "bars": rows[:, k.T_BARS].astype(np.int64),
        }
    )


def orders_frame(outcome: Outcome) -> pl.DataFrame:
    """Answer one row an order: entries and exits that filled, and entries that did not, or not in full, and why."""
    rows = outcome.log.trades[: outcome.state.counts[k.N_TRADES]]
    incidents = outcome.log.incidents[: outcome.state.counts[k.N_INCIDENTS]]
    entry_type = _ENTRY_TYPES[outcome.order]
    long = rows[:, k.T_SIDE] > 0
    reasons = _named(k.EXIT_REASONS, rows[:, k.T_REASON])
    columns = ("symbol", "side", "type", "quantity", "placed_ts", "ts", "price", "status", "reason")

    def table(symbol: np.ndarray, *values: object) -> pl.DataFrame:
        names = _named(outcome.universe.symbols, symbol)
        return pl.DataFrame(dict(zip(columns, (names, *values), strict=True)), schema_overrides={"status": pl.String})

    count = len(rows)
    entries = table(
        rows[:, k.T_SYMBOL], _named(("sell", "buy"), long), pl.repeat(entry_type, count, eager=True),
        rows[:, k.T_QUANTITY], _moments(outcome, rows[:, k.T_ENTRY_SIGNAL]), _moments(outcome, rows[:, k.T_ENTRY]),
        rows[:, k.T_ENTRY_PRICE], pl.repeat("filled", count, eager=True), pl.repeat("entry", count, eager=True),
    )  # fmt: skip
    exits = table(
        rows[:, k.T_SYMBOL], _named(("buy", "sell"), long),
        reasons.replace_strict(_ORDER_TYPES, default="market", return_dtype=pl.String),
        rows[:, k.T_QUANTITY], _moments(outcome, rows[:, k.T_EXIT_SIGNAL]), _moments(outcome, rows[:, k.T_EXIT]),
        rows[:, k.T_EXIT_PRICE], pl.repeat("filled", count, eager=True), reasons,
    )  # fmt: skip
    kinds = _named(k.INCIDENTS, incidents[:, k.I_REASON])
    noted = table(
        incidents[:, k.I_SYMBOL],
        _named(("sell", "none", "buy"), incidents[:, k.I_SIDE] + 1),
        pl.repeat(entry_type, len(incidents), eager=True), incidents[:, k.I_QUANTITY],
        _moments(outcome, incidents[:, k.I_SIGNAL]), _moments(outcome, incidents[:, k.I_FILL]),
        incidents[:, k.I_PRICE],
        kinds.replace_strict(_STATUSES, default="rejected", return_dtype=pl.String), kinds,
    )  # fmt: skip
    return pl.concat([entries, exits, noted]).sort("ts", "placed_ts", maintain_order=True)


def equity_frame(outcome: Outcome) -> pl.DataFrame:
    """Answer `ts, equity, drawdown` at each bar's close; drawdown is a fraction, 0 or below."""
    equity = outcome.log.equity[: outcome.bars]
    return pl.DataFrame(
        {
            "ts": pl.Series(outcome.universe.prices.ts[: outcome.bars]).cast(_TS),
            "equity": equity,
            "drawdown": drawdown_of(equity, outcome.cash),
        }
    )


def monthly_frame(equity: pl.DataFrame, cash: float) -> pl.DataFrame:
    """Answer `year, month, return` of each calendar month (UTC) in `equity_frame`: a fraction of its first equity."""
    ends = (
        equity.group_by(pl.col("ts").dt.year().alias("year"), pl.col("ts").dt.month().alias("month"))
        .agg(pl.col("equity").last())
        .sort("year", "month")
    )
    before = pl.col("equity").shift(1, fill_value=cash)
    growth = pl.when(before > 0).then(pl.col("equity") / before - 1.0).otherwise(0.0)
    return ends.select("year", "month", growth.alias("return"))


def candles_frame(outcome: Outcome) -> pl.DataFrame:
    """Answer `symbol, ts, open, high, low, close` of what was traded: as many bars joined as make a chart, not more."""
    frames = []
    end = int(outcome.universe.timeline[outcome.bars - 1]) if outcome.bars else 0
    for symbol in outcome.universe.symbols:
        bars = outcome.universe.bars[symbol]
        seen = int(np.searchsorted(bars.ts, end, "right")) if outcome.bars else 0
        starts = np.arange(0, seen, max(1, -(-seen // MOST_CANDLES)))
        lasts = np.append(starts[1:], seen) - 1 if len(starts) else starts
        frames.append(
            pl.DataFrame(
                {
                    "symbol": pl.repeat(symbol, len(starts), dtype=pl.String, eager=True),
                    "ts": pl.Series(bars.ts[starts]).cast(_TS),
                    "open": bars.open[starts],
                    "high": np.maximum.reduceat(bars.high[:seen], starts) if seen else bars.high[:0],
                    "low": np.minimum.reduceat(bars.low[:seen], starts) if seen else bars.low[:0],
                    "close": bars.close[lasts],
                }
            )
        )
    return pl.concat(frames)
