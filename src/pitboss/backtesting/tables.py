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
    return pl.Series(outcome.universe.prices.ts[column]).cast(_TS)


def _named(names: tuple[str, ...], column: np.ndarray) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(column)


def trades_frame(outcome: Outcome) -> pl.DataFrame:
    """Answer one row a trade, in the order of their exits.

    `pnl` is net of commission and borrow, `return` is pnl over the entry's notional, `bars` counts the
    symbol's bars from entry to exit; a timestamp is the opening of the bar in which the fill fell.
    """
    rows = outcome.trades
    return pl.DataFrame(
        {
            "symbol": _named(outcome.universe.symbols, rows["symbol"]),
            "side": _named(("short", "long"), (rows["side"] > 0)),
            "quantity": rows["quantity"],
            "entry_ts": _moments(outcome, rows["entry_t"]),
            "entry_price": rows["entry_price"],
            "exit_ts": _moments(outcome, rows["exit_t"]),
            "exit_price": rows["exit_price"],
            "pnl": rows["pnl"],
            "return": rows["pnl"] / (rows["quantity"] * rows["entry_price"]),
            "commission": rows["commission"],
            "borrow": rows["borrow"],
            "exit_reason": _named(k.EXIT_REASONS, rows["reason"]),
            "bars": rows["bars"],
        }
    )


def orders_frame(outcome: Outcome) -> pl.DataFrame:
    """Answer one row an order: entries and exits that filled, and entries that did not, or not in full, and why."""
    rows = outcome.trades
    incidents = outcome.incidents
    entry_type = _ENTRY_TYPES[outcome.order]
    long = rows["side"] > 0
    reasons = _named(k.EXIT_REASONS, rows["reason"])
    columns = ("symbol", "side", "type", "quantity", "placed_ts", "ts", "price", "status", "reason")

    def table(symbol: np.ndarray, *values: object) -> pl.DataFrame:
        names = _named(outcome.universe.symbols, symbol)
        return pl.DataFrame(dict(zip(columns, (names, *values), strict=True)), schema_overrides={"status": pl.String})

    count = len(rows)
    entries = table(
        rows["symbol"], _named(("sell", "buy"), long), pl.repeat(entry_type, count, eager=True),
        rows["quantity"], _moments(outcome, rows["entry_signal_t"]), _moments(outcome, rows["entry_t"]),
        rows["entry_price"], pl.repeat("filled", count, eager=True), pl.repeat("entry", count, eager=True),
    )  # fmt: skip
    parts = pl.col("quantity").sum()  # several targets close one position
    entries = entries.group_by("symbol", "ts", maintain_order=True).agg(parts, pl.exclude("quantity").first())
    entries = entries.select(columns)
    exits = table(
        rows["symbol"], _named(("buy", "sell"), long),
        reasons.replace_strict(_ORDER_TYPES, default="market", return_dtype=pl.String),
        rows["quantity"], _moments(outcome, rows["exit_signal_t"]), _moments(outcome, rows["exit_t"]),
        rows["exit_price"], pl.repeat("filled", count, eager=True), reasons,
    )  # fmt: skip
    kinds = _named(k.INCIDENTS, incidents["reason"])
    noted = table(
        incidents["symbol"],
        _named(("sell", "none", "buy"), incidents["side"] + 1),
        pl.repeat(entry_type, len(incidents), eager=True), incidents["quantity"],
        _moments(outcome, incidents["signal_t"]), _moments(outcome, incidents["fill_t"]),
        incidents["price"],
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


def benchmark_frame(outcome: Outcome) -> pl.DataFrame:
    """Answer `ts, buy_and_hold` at each day's end: the starting cash in equal parts of the symbols, held."""
    ends = outcome.universe.day_ends
    seen = ends < outcome.bars
    worth = outcome.cash * outcome.universe.benchmark
    return pl.DataFrame({"ts": pl.Series(outcome.universe.timeline[ends[seen]]).cast(_TS), "buy_and_hold": worth[seen]})


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


def hours_frame(trades: pl.DataFrame) -> pl.DataFrame:
    """Answer `weekday, hour, pnl, trades` of a `trades_frame` by when they were entered (UTC): Monday is 1."""
    at = pl.col("entry_ts").dt
    grouped = trades.group_by(at.weekday().alias("weekday"), at.hour().alias("hour"))
    return grouped.agg(pl.col("pnl").sum(), pl.len().alias("trades")).sort("weekday", "hour")


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
