"""`pitboss backtest` and `pitboss sweep`: submit, watch, show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from pitboss.bootstrap import Platform
from pitboss.cli.flags import Launch, grouped
from pitboss.cli.options import Symbols, TimeframeOption, pairs
from pitboss.cli.platform import platform_of
from pitboss.cli.render import subject
from pitboss.cli.watching import follow_submitted
from pitboss.core.errors import InvalidInput, NotFound
from pitboss.core.principal import LOCAL
from pitboss.runs.service import Submission
from pitboss.strategy.reference import Means, StrategyRef

Strategy = Annotated[str, typer.Argument(help="A document's file, or the name of a stored strategy.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trading:
    """What is traded, when, and what is changed of the document for that."""

    symbol: Symbols
    timeframe: TimeframeOption = None
    start: Annotated[str | None, typer.Option("--from", help="First date, such as 2018-01-31.")] = None
    end: Annotated[str | None, typer.Option("--to", help="Last date, included.")] = None
    cash: Annotated[float, typer.Option(help="Cash at the start.")] = 10_000
    parameter: Annotated[list[str] | None, typer.Option("--set", help="Override a parameter: fast_period=10.")] = None
    cost: Annotated[list[str] | None, typer.Option("--cost", help="Override a cost: commission=0.02%.")] = None
    size: Annotated[list[str] | None, typer.Option("--size", help="Override the sizing: value=25%.")] = None

    def params(self) -> dict[str, Any]:
        """Answer the params that say so."""
        given = {
            "symbols": self.symbol, "timeframe": self.timeframe, "start": self.start, "end": self.end,
            "cash": self.cash, "parameters": pairs(self.parameter, "--set"), "costs": pairs(self.cost, "--cost"),
            "sizing": pairs(self.size, "--size"),
        }  # fmt: skip
        return {name: value for name, value in given.items() if value not in (None, {})}


@grouped
def backtest(strategy: Strategy, trading: Trading, launch: Launch) -> None:
    """Backtest a strategy document over stored bars."""
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
    with platform_of(launch.data_dir) as platform:
        if reference.means is Means.NAME:
            _require_stored(platform, strategy)
        text = reference.text() if reference.means is Means.FILE else strategy
        request = Submission(kind=kind, params={"strategy": text, **params}, **launch.fields_of_submission())
        run = platform.service.submit(LOCAL, request)
        if reference.means is Means.FILE:
            platform.strategies.add(run.owner, subject(run.subject), text)
        follow_submitted(platform, run, launch.as_json, launch.detach)


def _require_stored(platform: Platform, name: str) -> None:
    try:
        platform.strategies.get(LOCAL.name, name)
    except NotFound:
        what = f"there is no file and no stored strategy '{name[:60]}'"
        raise InvalidInput(what, "check the path", "strategy") from None
