"""`pitboss backtest`, `pitboss sweep` and `pitboss train`: submit, watch, show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from pitboss.cli.desk import Desk, desk_of
from pitboss.cli.flags import Launch, grouped
from pitboss.cli.options import Symbols, TimeframeOption, pairs
from pitboss.cli.watching import follow_submitted
from pitboss.core.errors import InvalidInput, NotFound
from pitboss.core.parquet import rows_of
from pitboss.runs.model import Run
from pitboss.runs.submission import Submission
from pitboss.runs.wording import subject
from pitboss.strategy.reader import inspect_document
from pitboss.strategy.reference import Means, StrategyRef

STRATEGY = "A document's file, or the name of a stored strategy."
Strategy = Annotated[str, typer.Argument(help=STRATEGY)]


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Which bars, and what is changed of the document for them."""

    symbol: Symbols = None
    timeframe: TimeframeOption = None
    start: Annotated[str | None, typer.Option("--from", help="First date, such as 2018-01-31.")] = None
    end: Annotated[str | None, typer.Option("--to", help="Last date, included.")] = None
    parameter: Annotated[list[str] | None, typer.Option("--set", help="Override a parameter: fast_period=10.")] = None

    def params(self) -> dict[str, Any]:
        """Answer the params that say so."""
        given = {
            "symbols": self.symbol, "timeframe": self.timeframe, "start": self.start, "end": self.end,
            "parameters": pairs(self.parameter, "--set"),
        }  # fmt: skip
        return {name: value for name, value in given.items() if value not in (None, {})}


@dataclass(frozen=True, kw_only=True)
class Trading(Bars):
    """What is traded, when, and what is changed of the document for that."""

    cash: Annotated[float | None, typer.Option(help="Cash at the start.", show_default="10,000")] = None
    cost: Annotated[list[str] | None, typer.Option("--cost", help="Override a cost: commission=0.02%.")] = None
    size: Annotated[list[str] | None, typer.Option("--size", help="Override the sizing: value=25%.")] = None

    def params(self) -> dict[str, Any]:
        given = {
            "cash": self.cash, "costs": pairs(self.cost, "--cost"), "sizing": pairs(self.size, "--size")
        }  # fmt: skip
        return super().params() | {name: value for name, value in given.items() if value not in (None, {})}


@grouped
def backtest(
    trading: Trading,
    launch: Launch,
    strategy: Annotated[str | None, typer.Argument(help=STRATEGY)] = None,
    variant: Annotated[str | None, typer.Option(help="A variant of a sweep, by run and number: trend#3:17.")] = None,
) -> None:
    """Backtest a strategy document over stored bars, or one of the variants of a sweep."""
    if variant is not None:
        if strategy is not None:
            raise InvalidInput("a variant has its sweep's strategy", "leave one of them out", "--variant")
        _run_variant(variant, trading.params(), launch)
    elif strategy is None:
        raise InvalidInput("no strategy is given", "name a document's file, or --variant RUN:N", "strategy")
    else:
        _run_document(strategy, "backtest", trading.params(), launch)


@grouped
def sweep(
    strategy: Strategy,
    grid: Annotated[list[str], typer.Option(help="Values of a parameter: fast=5:50:5 or fast=5,10,20.")],
    trading: Trading,
    launch: Launch,
    metric: Annotated[str, typer.Option(help="What the best has most of: sharpe, sharpe * trade_count, …")] = "sharpe",
    min_trades: Annotated[int, typer.Option(help="Variants with fewer trades are ranked after all others.")] = 30,
) -> None:
    """Backtest every combination of a grid of parameters."""
    ranking = {"metric": metric, "min_trades": min_trades}
    _run_document(strategy, "sweep", trading.params() | {"grid": read_grid_option(grid), **ranking}, launch)


@grouped
def train(
    strategy: Strategy,
    bars: Bars,
    launch: Launch,
    twin: Annotated[bool, typer.Option(help="Whether the same with shuffled labels is queued behind it.")] = True,
) -> None:
    """Train the model of a document on stored bars."""
    _run_document(strategy, "training", bars.params() | ({} if twin else {"twin": False}), launch)


def read_grid_option(given: list[str]) -> dict[str, Any]:
    """Read `fast=5:50:5` and `fast=5,10,20`."""
    grid: dict[str, Any] = {}
    for name, text in pairs(given, "--grid").items():
        parts = text.split(":")
        if len(parts) == 3:
            grid[name] = dict(zip(("low", "high", "step"), parts, strict=True))
        elif len(parts) == 1:
            grid[name] = [part.strip() for part in text.split(",")]
        else:
            raise InvalidInput(f"'{text[:40]}' is no range", "write low:high:step, or values with commas", "--grid")
    return grid


def _run_document(strategy: str, kind: str, params: dict[str, Any], launch: Launch) -> None:
    """Run a document that is named as people at this machine do; a file that was run is kept, as the next version of
    its name."""
    reference = StrategyRef.local(strategy)
    with desk_of(launch.data_dir) as desk:
        if reference.means is Means.NAME:
            _require_stored(desk, strategy)
        text = reference.text() if reference.means is Means.FILE else strategy
        desk.bring(_symbols_of(text, params), launch.data_dir)
        request = Submission(kind=kind, params={"strategy": text, **params}, **launch.fields_of_submission())
        run = desk.service.submit(desk.who, request)
        if reference.means is Means.FILE:
            desk.strategies.add(run.owner, subject(run.subject), text)
        follow_submitted(desk, run, launch.as_json, launch.detach)


def _symbols_of(text: str, params: dict[str, Any]) -> set[str]:
    """Answer the symbols that a run trades or looks at, as far as that can be told here."""
    document, _ = inspect_document(text)
    return {*params.get("symbols", ()), *(document.symbols if document else ())}


def _run_variant(text: str, changed: dict[str, Any], launch: Launch) -> None:
    """Run what a sweep's variant was, with the params that are `changed`."""
    reference, _, number = text.rpartition(":")
    if not number.isdigit():
        raise InvalidInput(f"'{text[:60]}' names no variant", "write RUN:N, such as trend#3:17", "--variant")
    with desk_of(launch.data_dir) as desk:
        sweep = desk.service.resolve(desk.who, reference)
        kinds = desk.service.kinds
        known, own = kinds.get("backtest"), kinds.get(sweep.kind)
        assert known is not None
        given = own.pinned(sweep.params, sweep.snapshot) if own and sweep.snapshot else sweep.params
        params = {name: value for name, value in given.items() if name in known.params.model_fields} | changed
        several = (given.get("parameters"), _parameters_of(desk, sweep, int(number)), changed.get("parameters"))
        params["parameters"] = {name: value for part in several for name, value in (part or {}).items()}
        request = Submission(kind="backtest", params=params, **launch.fields_of_submission())
        follow_submitted(desk, desk.service.submit(desk.who, request), launch.as_json, launch.detach)


def _parameters_of(desk: Desk, sweep: Run, number: int) -> dict[str, Any]:
    """Answer the parameters of a sweep's variant. Raises InvalidInput where there is none."""
    names = list(sweep.params.get("grid") or {})
    path = desk.files.fetch(desk.service.artifact(desk.who, sweep.id, "variants").path) if names else None
    if path is None:
        raise InvalidInput(f"run {sweep.id} has no variants", "name a sweep that has ended", "--variant")
    found = {row[0]: row[1:] for row in rows_of(path, ["variant", *names])}
    if number not in found:
        raise InvalidInput(f"there is no variant {number}", f"the run has {len(found):,} of them", "--variant")
    return dict(zip(names, found[number], strict=True))


def _require_stored(desk: Desk, name: str) -> None:
    try:
        desk.strategies.get(desk.who.name, name)
    except NotFound:
        what = f"there is no file and no stored strategy '{name[:60]}'"
        raise InvalidInput(what, "check the path", "strategy") from None
