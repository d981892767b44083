"""`pitboss backtest` and `pitboss sweep`: submit, watch, show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from pitboss.bootstrap import Platform
from pitboss.cli.options import AsJson, DataDir, Detach, Symbols, TimeframeOption, options_of, pairs
from pitboss.cli.platform import platform_of
from pitboss.cli.render import subject
from pitboss.cli.watching import follow_submitted
from pitboss.core.errors import InvalidInput, NotFound
from pitboss.core.principal import LOCAL
from pitboss.runs.service import Submission
from pitboss.strategy.reference import Means, StrategyRef

Strategy = Annotated[str, typer.Argument(help="A document's file, or the name of a stored strategy.")]
From = Annotated[str | None, typer.Option("--from", help="First date, such as 2018-01-31.")]
To = Annotated[str | None, typer.Option("--to", help="Last date, included.")]
Cash = Annotated[float, typer.Option(help="Cash at the start.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Override a parameter: fast_period=10.")]
Cost = Annotated[list[str] | None, typer.Option("--cost", help="Override a cost: commission=0.02%.")]
Size = Annotated[list[str] | None, typer.Option("--size", help="Override the sizing: value=25%.")]
Priority = Annotated[str, typer.Option(help="low, normal, high or a number.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="A tag; repeat for several.")]
MaxSeconds = Annotated[float | None, typer.Option("--max-seconds", help="Time limit of the run.")]
MaxMemory = Annotated[float | None, typer.Option("--max-memory", help="Memory limit of the run, MB.")]


def backtest(
    strategy: Strategy, symbol: Symbols, timeframe: TimeframeOption = None, start: From = None, end: To = None,
    cash: Cash = 10_000, parameter: Set = None, cost: Cost = None, size: Size = None, priority: Priority = "normal",
    tag: Tags = None, max_seconds: MaxSeconds = None, max_memory: MaxMemory = None, data_dir: DataDir = None,
    as_json: AsJson = False, detach: Detach = False,
) -> None:  # fmt: skip
    """Backtest a strategy document over stored bars."""
    params = _params(symbol, timeframe, start, end, cash, parameter, cost, size)
    request = Submission(
        kind="backtest", params=params, priority=priority, tags=tag or [], options=options_of(max_seconds, max_memory)
    )
    _run_document(strategy, request, data_dir, as_json, detach)


def sweep(
    strategy: Strategy, symbol: Symbols,
    grid: Annotated[list[str], typer.Option(help="Values of a parameter: fast=5:50:5 or fast=5,10,20.")],
    metric: Annotated[str, typer.Option(help="What the best variant has most of.")] = "sharpe",
    timeframe: TimeframeOption = None, start: From = None, end: To = None, cash: Cash = 10_000,
    parameter: Set = None, cost: Cost = None, size: Size = None, priority: Priority = "normal", tag: Tags = None,
    max_seconds: MaxSeconds = None, max_memory: MaxMemory = None, data_dir: DataDir = None,
    as_json: AsJson = False, detach: Detach = False,
) -> None:  # fmt: skip
    """Backtest every combination of a grid of parameters."""
    params = _params(symbol, timeframe, start, end, cash, parameter, cost, size)
    params |= {"grid": read_grid_option(grid), "metric": metric}
    request = Submission(
        kind="sweep", params=params, priority=priority, tags=tag or [], options=options_of(max_seconds, max_memory)
    )
    _run_document(strategy, request, data_dir, as_json, detach)


def _params(
    symbols: list[str], timeframe: str | None, start: str | None, end: str | None, cash: float,
    parameter: list[str] | None, cost: list[str] | None, size: list[str] | None,
) -> dict[str, Any]:  # fmt: skip
    given = {
        "symbols": symbols, "timeframe": timeframe, "start": start, "end": end, "cash": cash,
        "parameters": pairs(parameter, "--set"), "costs": pairs(cost, "--cost"), "sizing": pairs(size, "--size"),
    }  # fmt: skip
    return {name: value for name, value in given.items() if value not in (None, {})}


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


def _run_document(strategy: str, request: Submission, data_dir: Path | None, as_json: bool, detach: bool) -> None:
    """Run a document that is named as people at this machine do; a file that was run is kept, as the next version of
    its name."""
    reference = StrategyRef.local(strategy)
    with platform_of(data_dir) as platform:
        if reference.means is Means.NAME:
            _require_stored(platform, strategy)
        text = reference.text() if reference.means is Means.FILE else strategy
        run = platform.service.submit(LOCAL, replace(request, params={"strategy": text, **request.params}))
        if reference.means is Means.FILE:
            platform.strategies.add(run.owner, subject(run.subject), text)
        follow_submitted(platform, run, as_json, detach)


def _require_stored(platform: Platform, name: str) -> None:
    try:
        platform.strategies.get(LOCAL.name, name)
    except NotFound:
        what = f"there is no file and no stored strategy '{name[:60]}'"
        raise InvalidInput(what, "check the path", "strategy") from None
