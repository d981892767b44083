"""The library: `pitboss.backtest` and `pitboss.sweep` on Polars frames."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from pitboss.backtesting.engine import Outcome, rules_of, run
from pitboss.backtesting.grid import read_grid
from pitboss.backtesting.metrics import compute_metrics
from pitboss.backtesting.options import check_cash, resolve
from pitboss.backtesting.ranking import MIN_TRADES, SCORE, Ranking, read_ranking
from pitboss.backtesting.summary import summarize
from pitboss.backtesting.sweep import SweepJob, Variant, run_sweep
from pitboss.backtesting.tables import equity_frame, orders_frame, trades_frame
from pitboss.backtesting.universe import Universe, infer_timeframe
from pitboss.calendars.sessions import Session, joined
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import Timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.kernel.panel import new_panel
from pitboss.market.frames import to_arrays
from pitboss.strategy.document import Document
from pitboss.strategy.program import compile_document
from pitboss.strategy.reader import read_document
from pitboss.strategy.reference import StrategyRef
from pitboss.strategy.times import times_of

BarFrames = pl.DataFrame | Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class BacktestResult:
    """A finished backtest: `metrics`, `trades`, `orders`, `equity` and a printable `summary()`."""

    outcome: Outcome
    metrics: dict[str, Any]

    @cached_property
    def trades(self) -> pl.DataFrame:
        return trades_frame(self.outcome)

    @cached_property
    def orders(self) -> pl.DataFrame:
        return orders_frame(self.outcome)

    @cached_property
    def equity(self) -> pl.DataFrame:
        return equity_frame(self.outcome)

    def summary(self) -> str:
        """Answer the metrics as aligned lines of text, per cent where a ratio reads better so."""
        return summarize(self.metrics)


@dataclass(frozen=True)
class SweepResult:
    """A finished sweep: `variants` in the order of the grid, and `best` of them by `ranking`."""

    variants: list[Variant]
    ranking: Ranking

    @property
    def best(self) -> Variant:
        return self.ranking.sorted(self.variants)[0]

    @cached_property
    def table(self) -> pl.DataFrame:
        """One row a variant: its parameters and its metrics, best first."""
        return variants_frame(self.variants, self.ranking)


def backtest(
    strategy: str | Path,
    bars: BarFrames,
    cash: float = 10_000,
    parameters: Mapping[str, Any] | None = None,
    costs: Mapping[str, Any] | None = None,
    sizing: Mapping[str, Any] | None = None,
) -> BacktestResult:
    """Backtest a strategy document, given as its text or its path, over bars.

    `bars` is a frame `ts, open, high, low, close, volume` (ts the bar's opening, UTC) or a dict of them by
    symbol, all traded in that order from one account. `costs` and `sizing` override fields of the document.
    Raises InvalidInput with every mistake in the document or the arguments.
    """
    document = load(strategy)
    universe = universe_of(document, bars)
    program = compile_document(document, parameters)
    rules = rules_of(program, *resolve(document, sizing, costs))
    outcome = run(program, rules, universe, check_cash(cash), new_panel())
    return BacktestResult(outcome, compute_metrics(outcome))


def sweep(
    strategy: str | Path,
    bars: BarFrames,
    grid: Mapping[str, Any],
    metric: str = "sharpe",
    cash: float = 10_000,
    parameters: Mapping[str, Any] | None = None,
    costs: Mapping[str, Any] | None = None,
    sizing: Mapping[str, Any] | None = None,
    min_trades: int = MIN_TRADES,
    threads: int | None = None,
) -> SweepResult:
    """Backtest every combination of `grid` (lists, or `{"low": 5, "high": 50, "step": 5}`) by parameter.

    They are ranked by `metric`, or an expression of metrics such as `sharpe * trade_count`, those with fewer than
    `min_trades` after all others. The other arguments are those of `backtest`; `threads` defaults to the number of
    cores.
    """
    document, ranking = load(strategy), read_ranking(metric, min_trades)
    universe = universe_of(document, bars)
    job = SweepJob(document, universe, check_cash(cash), sizing, costs, parameters or {})
    variants = list(run_sweep(job, read_grid(document, grid, parameters), threads or os.cpu_count() or 1))
    return SweepResult(sorted(variants, key=lambda variant: variant.index), ranking)


def load(strategy: str | Path) -> Document:
    """Read a document from its text, or from a path when it is one line that names a file."""
    if not isinstance(strategy, str | Path):
        raise InvalidInput("the strategy is no text and no path", "give a document's text or its file", "strategy")
    return read_document(StrategyRef.local(strategy).text())


def universe_of(document: Document, bars: BarFrames) -> Universe:
    """Answer the bars at the document's timeframe, or at their own when it names none."""
    frames = {"BARS": bars} if isinstance(bars, pl.DataFrame) else bars
    if not isinstance(frames, Mapping) or not all(isinstance(frame, pl.DataFrame) for frame in frames.values()):
        raise InvalidInput("the bars are no Polars frame", "give a frame, or a dict of frames by symbol", "bars")
    arrays = {symbol: to_arrays(frame) for symbol, frame in frames.items()}
    if not arrays or not all(len(own.ts) for own in arrays.values()):
        raise InvalidInput("there are no bars", "give a frame with rows", "bars")
    timeframe: Timeframe = document.timeframe or max(infer_timeframe(series) for series in arrays.values())
    times = times_of(document)
    arrays = {symbol: _at(series, timeframe, times.session) for symbol, series in arrays.items()}
    return Universe(tuple(arrays), arrays, timeframe, times)


def _at(bars: BarArrays, timeframe: Timeframe, session: Session | None) -> BarArrays:
    """Answer bars at `timeframe`, made of shorter ones where they have to be. Raises InvalidInput."""
    own = infer_timeframe(bars)
    if own == timeframe:
        return bars
    if not timeframe.is_made_of(own):
        raise InvalidInput(f"{own} bars cannot make {timeframe} bars", "give bars of that timeframe or shorter", "bars")
    return joined(bars, own, timeframe, session)


def variants_frame(variants: list[Variant], ranking: Ranking) -> pl.DataFrame:
    """Answer variants as a table, best first: parameters, then every metric that is a single number or text."""
    rows = [
        {"variant": variant.index}
        | dict(variant.parameters)
        | ({SCORE: ranking.value(variant.metrics)} if ranking.column == SCORE else {})
        | {name: value for name, value in variant.metrics.items() if not isinstance(value, dict)}
        for variant in ranking.sorted(variants)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)
