"""`pitboss backtest` and `pitboss sweep`: submit, watch, show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pitboss.cli.options import (
    AsJson,
    DataDir,
    Detach,
    Symbols,
    TimeframeOption,
    pairs,
    platform_of,
    print_json,
)

if TYPE_CHECKING:
    from pitboss.bootstrap import Platform
    from pitboss.runs.model import Run

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
    options = _options(max_seconds, max_memory)
    with platform_of(data_dir) as platform:
        _submit(platform, "backtest", strategy, params, priority, tag or [], options, as_json, detach)


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
    options = _options(max_seconds, max_memory)
    with platform_of(data_dir) as platform:
        _submit(platform, "sweep", strategy, params, priority, tag or [], options, as_json, detach)


def _params(
    symbols: list[str], timeframe: str | None, start: str | None, end: str | None, cash: float,
    parameter: list[str] | None, cost: list[str] | None, size: list[str] | None,
) -> dict[str, Any]:  # fmt: skip
    given = {
        "symbols": symbols, "timeframe": timeframe, "start": start, "end": end, "cash": cash,
        "parameters": pairs(parameter, "--set"), "costs": pairs(cost, "--cost"), "sizing": pairs(size, "--size"),
    }  # fmt: skip
    return {name: value for name, value in given.items() if value not in (None, {})}


def _options(max_seconds: float | None, max_memory: float | None) -> dict[str, Any]:
    given = {"max_execution_seconds": max_seconds, "memory_limit_mb": max_memory}
    return {name: value for name, value in given.items() if value is not None}


def read_grid_option(given: list[str]) -> dict[str, Any]:
    """Read `fast=5:50:5` and `fast=5,10,20`."""
    from pitboss.core.errors import InvalidInput

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


def strategy_reference(platform: Platform, strategy: str) -> str:
    """Answer the text of a strategy file, or a stored name as it is."""
    from pitboss.core.errors import InvalidInput
    from pitboss.core.places import is_file
    from pitboss.strategy.reader import read_document_file

    path = Path(strategy)
    if not is_file(path, "strategy") and path.suffix not in (".yaml", ".yml"):
        if any(stored.name == strategy for stored in platform.strategies.list()):
            return strategy
        raise InvalidInput(f"there is no file and no stored strategy '{strategy[:60]}'", "check the path", "strategy")
    return read_document_file(path).text


def _submit(
    platform: Platform, kind: str, strategy: str, params: dict[str, Any], priority: str, tags: list[str],
    options: dict[str, Any], as_json: bool, detach: bool,
) -> None:  # fmt: skip
    from pitboss.runs.service import Submission

    reference = strategy_reference(platform, strategy)
    run = platform.service.submit(Submission(kind, {"strategy": reference, **params}, priority, tags, options))
    if "\n" in reference:  # a file that was run is kept, as the next version of its name
        platform.strategies.add(run.subject.removeprefix("strategy/"), reference, run.owner)
    platform.launcher.ensure()
    if detach:
        print_json({"id": run.id, "number": run.number}) if as_json else print(run.id)
        return
    finish(platform, run, as_json)


def finish(platform: Platform, run: Run, as_json: bool) -> None:
    """Watch a run to its end, show what came of it and leave with its exit code."""
    from pitboss.cli.runs import show_run
    from pitboss.cli.watching import EXIT_CODES, follow

    run = follow(platform, run, is_quiet=as_json)
    if as_json:
        print_json(run.as_dict())
    else:
        show_run(platform, run)
    code = EXIT_CODES[run.state.value]
    if code:
        raise typer.Exit(code)
