"""The library: `pitboss.backtest` and `pitboss.sweep` on Polars frames."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.progress import Progress

from pitboss.backtesting.engine import Outcome, rules_of, run
from pitboss.backtesting.grid import read_grid
from pitboss.backtesting.metrics import compute_metrics
from pitboss.backtesting.options import check_cash, resolve
from pitboss.backtesting.plot import Plot, plotted
from pitboss.backtesting.ranking import MIN_TRADES, SCORE, Ranking, read_ranking
from pitboss.backtesting.summary import METRICS, shown, summarize
from pitboss.backtesting.sweep import SweepJob, Variant, run_sweep
from pitboss.backtesting.tables import equity_frame, orders_frame, trades_frame
from pitboss.backtesting.universe import Universe, infer_timeframe
from pitboss.calendars.sessions import Session, joined
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import Timeframe, parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.kernel.panel import new_panel
from pitboss.market.frames import as_polars, to_arrays
from pitboss.strategy.document import Document
from pitboss.strategy.program import compile_document
from pitboss.strategy.reader import read_document
from pitboss.strategy.reference import StrategyRef
from pitboss.strategy.times import times_of

Bars = Any  # a frame of Polars or Pandas, or a mapping of them by symbol
_HEADLINES = ("total_return", "sharpe", "max_drawdown", "trade_count")


@dataclass(frozen=True, repr=False)
class BacktestResult:
    """A finished backtest: `metrics`, `trades`, `orders`, `equity`, a printable `summary()` and a `plot()`."""

    name: str
    outcome: Outcome
    metrics: dict[str, Any]

    @cached_property
    def trades(self) -> pl.DataFrame:
        """One row a trade, in the order of their exits."""
        return trades_frame(self.outcome)

    @cached_property
    def orders(self) -> pl.DataFrame:
        """One row an order, with what became of it."""
        return orders_frame(self.outcome)

    @cached_property
    def equity(self) -> pl.DataFrame:
        """`ts, equity, drawdown` at each bar's close."""
        return equity_frame(self.outcome)

    def summary(self) -> str:
        """Answer the metrics as aligned lines of text, per cent where a ratio reads better so."""
        return summarize(self.metrics)

    def plot(self) -> Plot:
        """Answer a picture of equity and drawdown: a notebook shows it, `.save("equity.svg")` writes it."""
        title = f"{self.name}, {', '.join(self.outcome.universe.symbols[:3])}"
        dates = [str(self.metrics.get(end, ""))[:10] for end in ("start", "end")]
        return plotted(title, dates, self.equity["equity"].to_numpy(), self.equity["drawdown"].to_numpy())

    def __repr__(self) -> str:
        said = ", ".join(f"{name} {shown(name, self.metrics.get(name))}" for name in _HEADLINES)
        return f"<backtest of {self.name}: {said}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(METRICS[name].label)}</th><td>{escape(shown(name, value))}</td></tr>"
            for name, value in self.metrics.items()
            if name in METRICS
        )
        return f"<h4>{escape(self.name)}</h4>{self.plot().svg}<table>{rows}</table>"


@dataclass(frozen=True, repr=False)
class SweepResult:
    """A sweep: `variants` in the order of the grid, and `best` of them by `ranking`; `total` is how many the grid has,
    more than there are where it was interrupted."""

    name: str
    variants: list[Variant]
    ranking: Ranking
    total: int

    @property
    def best(self) -> Variant:
        """The first variant by the ranking. Raises InvalidInput when there is none."""
        if not self.variants:
            raise InvalidInput("no variant was computed", "let the sweep go on for longer", "variants")
        return self.ranking.sorted(self.variants)[0]

    @cached_property
    def table(self) -> pl.DataFrame:
        """One row a variant: its parameters and its metrics, best first."""
        return variants_frame(self.variants, self.ranking)

    def __repr__(self) -> str:
        done = f"{len(self.variants):,} of {self.total:,} variants"
        if not self.variants:
            return f"<sweep of {self.name}: {done}>"
        chosen = ", ".join(f"{name}={value:g}" for name, value in self.best.parameters.items())
        value = shown(self.ranking.text, self.ranking.value(self.best.metrics))
        return f"<sweep of {self.name}: {done}, best {self.ranking.text} {value} with {chosen}>"

    def _repr_html_(self) -> str:
        names = [*(self.variants[0].parameters if self.variants else {}), self.ranking.column, *_HEADLINES]
        return f"<p>{escape(repr(self)[1:-1])}</p>{self.table.select(*dict.fromkeys(names)).head(10)._repr_html_()}"


def backtest(
    strategy: str | Path,
    bars: Bars,
    cash: float = 10_000,
    parameters: Mapping[str, Any] | None = None,
    costs: Mapping[str, Any] | None = None,
    sizing: Mapping[str, Any] | None = None,
    timeframe: str | None = None,
) -> BacktestResult:
    """Backtest a strategy document, given as its text or its path, over bars.

    `bars` is a frame of Polars or Pandas, `ts, open, high, low, close, volume` (ts the bar's opening, UTC, or Pandas'
    index), or a dict of them by symbol, all traded in that order from one account. Bars shorter than the document's
    timeframe are joined when that `timeframe` is named. `costs` and `sizing` override fields of the document.
    Raises InvalidInput with every mistake in the document or the arguments.
    """
    document = load(strategy)
    universe = universe_of(document, bars, timeframe)
    program = compile_document(document, parameters)
    rules = rules_of(program, *resolve(document, sizing, costs, parameters))
    outcome = run(program, rules, universe, check_cash(cash), new_panel())
    return BacktestResult(document.name, outcome, compute_metrics(outcome))


def sweep(
    strategy: str | Path,
    bars: Bars,
    grid: Mapping[str, Any],
    metric: str = "sharpe",
    cash: float = 10_000,
    parameters: Mapping[str, Any] | None = None,
    costs: Mapping[str, Any] | None = None,
    sizing: Mapping[str, Any] | None = None,
    min_trades: int = MIN_TRADES,
    timeframe: str | None = None,
    threads: int | None = None,
) -> SweepResult:
    """Backtest every combination of `grid` (lists, or `{"low": 5, "high": 50, "step": 5}`) by parameter.

    They are ranked by `metric`, or an expression of metrics such as `sharpe * trade_count`, those with fewer than
    `min_trades` after all others. The other arguments are those of `backtest`; `threads` defaults to the number of
    cores. A terminal or a notebook shows how far it is; Ctrl-C ends it and answers what is done.
    """
    document, ranking = load(strategy), read_ranking(metric, min_trades)
    universe = universe_of(document, bars, timeframe)
    job = SweepJob(document, universe, check_cash(cash), sizing, costs, parameters or {})
    combinations = read_grid(document, grid, parameters)
    variants = []
    with Progress(console=Console(stderr=True), transient=True, disable=not _is_watched()) as progress:
        task = progress.add_task(document.name, total=len(combinations))
        try:
            for variant in run_sweep(job, combinations, threads or os.cpu_count() or 1):
                variants.append(variant)
                progress.advance(task)
        except KeyboardInterrupt:
            job.stop()
    in_order = sorted(variants, key=lambda variant: variant.index)
    return SweepResult(document.name, in_order, ranking, len(combinations))


def _is_watched() -> bool:
    """Answer whether somebody sees a bar that moves: at a terminal, or in a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def load(strategy: str | Path) -> Document:
    """Read a document from its text, or from a path when it is one line that names a file."""
    if not isinstance(strategy, str | Path):
        raise InvalidInput("the strategy is no text and no path", "give a document's text or its file", "strategy")
    return read_document(StrategyRef.local(strategy).text())


def universe_of(document: Document, bars: Bars, timeframe: str | None = None) -> Universe:
    """Answer the bars at their own timeframe, or joined into that which is named. Raises InvalidInput where they are
    not of the document's."""
    frames = bars if isinstance(bars, Mapping) else {"BARS": bars}
    arrays = {symbol: to_arrays(as_polars(frame)) for symbol, frame in frames.items()}
    if not arrays or not all(len(own.ts) for own in arrays.values()):
        raise InvalidInput("there are no bars", "give a frame with rows", "bars")
    named = parse_timeframe(timeframe) if timeframe is not None else None
    if named and document.timeframe and named != document.timeframe:
        what = f"the strategy is of {document.timeframe} bars, not of {named}"
        raise InvalidInput(what, "change its timeframe, or leave yours out", "timeframe")
    wanted = named or document.timeframe or max(infer_timeframe(own) for own in arrays.values())
    times = times_of(document)
    arrays = {symbol: _at(own, wanted, times.session, named is not None) for symbol, own in arrays.items()}
    return Universe(tuple(arrays), arrays, wanted, times)


def _at(bars: BarArrays, wanted: Timeframe, session: Session | None, is_joined: bool) -> BarArrays:
    """Answer bars of `wanted` timeframe, made of shorter ones where that is asked for. Raises InvalidInput."""
    own = infer_timeframe(bars) if len(bars.ts) > 1 else wanted
    if own == wanted:
        return bars
    if not wanted.is_made_of(own):
        raise InvalidInput(f"{own} bars cannot make {wanted} bars", "give bars of that timeframe or shorter", "bars")
    if not is_joined:
        what = f"the bars are of {own}, the strategy is of {wanted}"
        raise InvalidInput(what, f'pass timeframe="{wanted}" to have them joined', "bars")
    return joined(bars, own, wanted, session)


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
