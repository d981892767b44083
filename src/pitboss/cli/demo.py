"""`pitboss demo`: the main job from end to end on synthetic bars, in under a minute."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pitboss.bootstrap import Platform
from pitboss.cli.options import DataDir
from pitboss.cli.platform import platform_of
from pitboss.cli.render import console
from pitboss.cli.reports import list_runs, show_run
from pitboss.cli.server import serve
from pitboss.cli.watching import LiveLine, follow
from pitboss.core.timeframe import parse_timeframe
from pitboss.runs.model import Run, RunQuery
from pitboss.runs.submission import Submission

STRATEGY = """\
name: demo-ema-cross
timeframe: 5m
indicators:
  fast: ema(close, fast_period)
  slow: ema(close, slow_period)
  vol: atr(14)
entry:
  long: crosses_above(fast, slow) and rsi(close, 14) < 70
  short: crosses_below(fast, slow) and rsi(close, 14) > 30
exit:
  long: crosses_below(fast, slow)
  short: crosses_above(fast, slow)
risk: {stop_loss: 3 * vol, max_bars: 240}
sizing: {type: percent_equity, value: 25%}
costs: {commission: 0.002%, slippage: 0.001%}
parameters:
  fast_period: {default: 12, low: 5, high: 100}
  slow_period: {default: 48, low: 10, high: 400}
"""
USUAL_PORT = 8000
SYMBOLS = ("DEMO-A", "DEMO-B", "DEMO-C")
GRID = {"fast_period": {"low": 5, "high": 50, "step": 5}, "slow_period": {"low": 60, "high": 240, "step": 20}}
LARGE_GRID = {
    "fast_period": {"low": 5, "high": 54, "step": 1},
    "slow_period": {"low": 60, "high": 296, "step": 4},
}


def demo(
    data_dir: DataDir = None,
    serves: Annotated[
        bool, typer.Option("--serve/--no-serve", help="End by serving the desk with these runs.")
    ] = False,
) -> None:
    """Make bars, run a backtest and a sweep, cancel a second sweep half-way, and show the history."""
    with platform_of(data_dir or Path("demo-data")) as platform:
        _say("Two years of synthetic 5-minute bars for three symbols")
        _make_bars(platform)
        _say("A backtest")
        _show(platform, follow(platform, _submit(platform, "backtest", [SYMBOLS[0]]), is_quiet=False))
        _say("A backtest of three symbols that share one account")
        _show(platform, follow(platform, _submit(platform, "backtest", list(SYMBOLS)), is_quiet=False))
        _say("A sweep of 100 variants")
        _show(platform, follow(platform, _submit(platform, "sweep", [SYMBOLS[0]], grid=GRID), is_quiet=False))
        _say("A sweep of 3,000 variants, cancelled on the way; what is done is kept")
        _show(platform, _cancel_on_the_way(platform, _submit(platform, "sweep", [SYMBOLS[0]], grid=LARGE_GRID)))
        _say("The history")
        list_runs(platform, platform.service.find(platform.who, RunQuery(limit=10)))
        folder = platform.settings.data_dir
    if not serves:
        print(f"\nSee them in the browser: script/serve --data-dir {folder}, then http://127.0.0.1:8000/")
        return
    port = _free_port()
    print(f"\nThe desk, with these runs: http://127.0.0.1:{port}/  (Ctrl-C ends it)", flush=True)
    serve(port=port, data_dir=folder)


def _free_port() -> int:
    """Answer the usual port, or any where that is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", USUAL_PORT))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _say(text: str) -> None:
    console.print(f"\n[bold]── {text}[/]")


def _make_bars(platform: Platform) -> None:
    from pitboss.market.store import Nature
    from pitboss.market.synth import synthesize

    timeframe = parse_timeframe("5m")
    for seed, symbol in enumerate(SYMBOLS, start=1):
        frame = synthesize(timeframe, datetime(2022, 1, 1, tzinfo=UTC), 730, seed)
        series = platform.bars.store(frame, symbol, timeframe, Nature(f"synthetic, seed {seed}", is_synthetic=True))
        print(f"{symbol}: {series.rows:,} bars")


def _submit(platform: Platform, kind: str, symbols: list[str], **more: Any) -> Run:
    params = {"strategy": STRATEGY, "symbols": symbols, "timeframe": "5m", **more}
    run = platform.service.submit(platform.who, Submission(kind=kind, params=params, tags=("demo",)))
    platform.launcher.ensure()
    return run


def _show(platform: Platform, run: Run) -> None:
    show_run(platform, run)


def _cancel_on_the_way(platform: Platform, run: Run) -> Run:
    """Watch until 300 variants are done, cancel, and watch to the end."""
    is_cancelled = False
    with LiveLine(is_quiet=False) as line:
        for event in platform.service.watch(platform.who, run.id):
            if event is None:
                platform.launcher.ensure()
                continue
            line.show(event.type, event.payload)
            if event.type == "progress" and event.payload["done"] >= 300 and not is_cancelled:
                is_cancelled = True
                print(platform.service.cancel(platform.who, run.id, True, "the demo has seen enough").message)
    return platform.service.get(platform.who, run.id)
