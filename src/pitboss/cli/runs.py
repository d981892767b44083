"""`pitboss runs …` and `pitboss queue`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pitboss.cli.options import AsJson, DataDir, pairs, platform_of, print_json

if TYPE_CHECKING:
    from pitboss.bootstrap import Platform
    from pitboss.runs.model import Run

app = typer.Typer(help="List, watch, cancel, retry and export runs.", no_args_is_help=True)
Reference = Annotated[str, typer.Argument(help="A run's id, the start or the end of it, or 'latest'.")]


@app.command("list")
def list_runs(
    state: Annotated[str | None, typer.Option(help="Only runs in this state.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only runs of this kind.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only runs with this tag.")] = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.")] = 20,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    from pitboss.cli.render import RUN_COLUMNS, run_rows, table
    from pitboss.runs.model import RunQuery

    query = RunQuery(states=read_states(state), kind=kind, tag=tag, limit=limit)
    with platform_of(data_dir) as platform:
        found = platform.service.find(query)
        if as_json:
            print_json([run.as_dict() for run in found])
        elif found:
            table(RUN_COLUMNS, run_rows(found))
        else:
            narrowed = any((state, kind, tag))
            print("No run matches." if narrowed else "There are no runs yet: start one with 'pitboss backtest'.")


def read_states(text: str | None) -> tuple[Any, ...]:
    """Read the name of a state, or `active`. Raises InvalidInput."""
    from pitboss.core.errors import InvalidInput, suggest
    from pitboss.runs.states import State

    if text is None:
        return ()
    if text == "active":
        return tuple(state for state in State if not state.is_terminal)
    if text not in list(State):
        raise InvalidInput(f"unknown state '{text[:40]}'", suggest(text, [*State, "active"]), "--state")
    return (State(text),)


@app.command()
def show(
    run: Reference,
    log: Annotated[bool, typer.Option("--log", help="Print what its process wrote.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show one run: its state, result, metrics and trades."""
    with platform_of(data_dir) as platform:
        found = platform.service.resolve(run)
        if log:
            from pitboss.core.logs import run_log

            path = run_log(platform.settings.data_dir, found.id)
            print(path.read_text(errors="replace") if path.exists() else "", end="")
        elif as_json:
            print_json(found.as_dict(platform.service.place(found)))
        else:
            show_run(platform, found)


def show_run(platform: Platform, run: Run) -> None:
    """Print a run for people."""
    from rich.text import Text

    from pitboss.cli import render

    title = Text.assemble(
        (f"{run.kind} {run.number}", "bold"), f" of {run.subject.removeprefix('strategy/')}  ",
        render.state(run.state.value), f"{' (partial)' if run.partial else ''}  attempt {run.attempt}  {run.id}",
    )  # fmt: skip
    render.console.print(title)
    place = platform.service.place(run)
    if place:
        print(f"position {place.position} in the queue: {place.waiting_reason}")
    elif waits_for := platform.service.waits_for(run):
        print(f"waits: {waits_for}")
    unconfirmed = platform.service.unconfirmed(run)
    if unconfirmed:
        print(unconfirmed)
    if run.snapshot.get("is_synthetic"):
        print("on synthetic bars")
    if run.error:
        render.console.print(Text.assemble((run.error["kind"], "red"), f": {run.error['message']}"))
        print(f"  → {run.error['remedy']}")
    if run.partial and run.result is None:
        print(f"its finished items and its last checkpoint are kept: pitboss runs resume {run.id} goes on from there")
    if run.result:
        _show_result(platform, run, run.result)


def _show_result(platform: Platform, run: Run, result: dict[str, Any]) -> None:
    from pitboss.backtesting.summary import shown, summarize
    from pitboss.cli import render

    if "variants" in result:
        metric = result["metric"]
        rows = [
            [
                ", ".join(f"{name}={value:g}" for name, value in best["parameters"].items()),
                shown(metric, best["metrics"].get(metric)),
                shown("total_return", best["metrics"].get("total_return")),
                shown("max_drawdown", best["metrics"].get("max_drawdown")), best["metrics"].get("trade_count"),
            ]
            for best in result["best"]
        ]  # fmt: skip
        print(f"{result['variants']} of {result['total']} variants, best by {metric}:")
        render.table(("parameters", metric, "return", "drawdown", "trades"), rows)
    elif "metrics" in result:
        print(summarize(result["metrics"]))
        _show_trades(platform, run)
    else:
        print_json(result)
        return
    what = "variants" if "variants" in result else "trades"
    print(f"\nMore: pitboss runs export {run.id} --what {what} --to FILE.csv")


def _show_trades(platform: Platform, run: Run, count: int = 5) -> None:
    from pitboss.cli import render
    from pitboss.market.frames import read_parquet

    path = platform.files.fetch(f"artifacts/{run.id}/trades.parquet")
    if path is None:
        return
    trades = read_parquet(path)
    columns = ("symbol", "side", "entry_ts", "entry_price", "exit_ts", "exit_price", "pnl", "exit_reason")
    rows = [
        [value.strftime("%Y-%m-%d %H:%M") if hasattr(value, "strftime") else value for value in row]
        for row in trades.tail(count).select(columns).iter_rows()
    ]
    print(f"\nThe last {len(rows)} of {len(trades):,} trades:")
    render.table(columns, rows)


@app.command()
def watch(run: Reference, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Watch a run to its end; with --json one event a line."""
    from pitboss.cli.launch import finish
    from pitboss.cli.watching import EXIT_CODES, ended, news

    with platform_of(data_dir) as platform:
        found = platform.service.resolve(run)
        if not as_json:
            finish(platform, found, as_json)
            return
        for event in news(platform, found):
            if event is not None:
                print_json(event.as_dict())
        code = EXIT_CODES[ended(platform, found).state.value]
    if code:
        raise typer.Exit(code)


@app.command()
def cancel(
    run: Reference,
    discard: Annotated[bool, typer.Option("--discard", help="Do not keep partial results.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a run; what it has done so far is kept unless --discard."""
    with platform_of(data_dir) as platform:
        answer = platform.service.cancel(platform.service.resolve(run).id, not discard, reason)
        print_json(answer.run.as_dict() | {"message": answer.message}) if as_json else print(answer.message)


@app.command()
def retry(run: Reference, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Queue a failed or cancelled run again, as a new run."""
    with platform_of(data_dir) as platform:
        again = platform.service.retry(platform.service.resolve(run).id)
        platform.launcher.ensure()
        print_json(again.as_dict()) if as_json else print(again.id)


@app.command()
def resume(run: Reference, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Go on from where a failed or cancelled run last saved its state, as a new run."""
    with platform_of(data_dir) as platform:
        again = platform.service.resume(platform.service.resolve(run).id)
        platform.launcher.ensure()
        print_json(again.as_dict()) if as_json else print(again.id)


@app.command()
def rerun(
    run: Reference,
    parameter: Annotated[list[str] | None, typer.Option("--set", help="Override a parameter: fast_period=10.")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", help="Override a param: cash=5000.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Queue any run again with some things changed, as a new run."""
    with platform_of(data_dir) as platform:
        found = platform.service.resolve(run)
        overrides: dict[str, Any] = {name: _value(text) for name, text in pairs(param, "--param").items()}
        if parameter:
            overrides["parameters"] = {**found.params.get("parameters", {}), **pairs(parameter, "--set")}
        again = platform.service.rerun(found.id, overrides)
        platform.launcher.ensure()
        print_json(again.as_dict()) if as_json else print(again.id)


def _value(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text


@app.command()
def prune(
    older_than: Annotated[str, typer.Option(help="Age since the run's end: 30d, 12h, 90m, 0d.")],
    keep_artifacts: Annotated[bool, typer.Option("--keep-artifacts", help="Keep the results of runs.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Thin the progress of old runs, remove their artifacts, checkpoints and logs; the runs themselves stay."""
    from pitboss.storage.pruning import Pruner

    age = read_age(older_than)
    with platform_of(data_dir) as platform:
        pruner = Pruner(platform.database, platform.files, age)
        done = pruner.prune(keep_artifacts)
        pruner.remove_logs(platform.settings.data_dir)
    if as_json:
        print_json(done.__dict__)
        return
    print(f"{done.runs:,} runs thinned by {done.events:,} events; {done.files:,} files removed; "
          f"nobody waited longer than {1e3 * done.longest_lock_seconds:.0f} ms")  # fmt: skip


def read_age(text: str) -> float:
    """Read an age such as 30d as seconds. Raises InvalidInput."""
    from pitboss.core.errors import InvalidInput

    seconds = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
    number, unit = text.strip()[:-1], text.strip()[-1:]
    if not number.isdigit() or len(number) > 6 or unit not in seconds or not number.isascii():
        raise InvalidInput(f"'{text[:40]}' is no age", "write 30d, 12h, 90m or 0d", "--older-than")
    return int(number) * seconds[unit]


@app.command()
def export(
    run: Reference,
    what: Annotated[str, typer.Option(help="trades, orders, equity, drawdown or variants.")] = "trades",
    to: Annotated[Path | None, typer.Option(help="A .csv, .parquet or .json file; standard output without.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write a run's trades, orders, equity, drawdown or variants to a file."""
    import sys

    from pitboss.core.errors import NotFound, suggest
    from pitboss.market.frames import read_parquet

    with platform_of(data_dir) as platform:
        found = platform.service.resolve(run)
        names = {artifact.name.removesuffix(".parquet"): artifact for artifact in platform.service.artifacts(found.id)}
        if what not in names:
            raise NotFound(
                f"run {found.id} has no {what[:40]}",
                suggest(what, names) if names else "it left no results, or they were pruned",
            )
        path = platform.files.fetch(names[what].path)
        if path is None:
            raise NotFound(f"the file {names[what].path} is missing", "restore it from a backup, or rerun")
        frame = read_parquet(path)
    if to is None:
        sys.stdout.write(frame.write_csv())
        return
    write_frame(frame, to)
    print(f"{len(frame):,} rows → {to}", file=sys.stderr)


def write_frame(frame: Any, to: Path) -> None:
    """Write a frame in the format of the file's ending. Raises InvalidInput, DiskFull."""
    from pitboss.core.errors import DiskFull, InvalidInput
    from pitboss.core.places import absolute, elsewhere

    writers = {".csv": frame.write_csv, ".parquet": frame.write_parquet, ".json": frame.write_json}
    to = absolute(to, "--to")
    if to.suffix.lower() not in writers:
        raise InvalidInput(f"unknown file type '{to.suffix}'", "use .csv, .parquet or .json", "--to")
    try:
        with elsewhere(), to.open("wb") as file:  # opened here: a name is no pattern and no address
            writers[to.suffix.lower()](file)
    except OSError as error:
        raise DiskFull(f"cannot write {to}: {error.strerror or error}", "check the folder and the space") from None


def queue(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show what waits and why, what runs, and who works."""
    from pitboss.cli import render

    with platform_of(data_dir) as platform:
        active, queued = platform.service.store.queue().active, platform.service.queued()
    if as_json:
        print_json(
            {
                "queued": [run.as_dict(place) for run, place in queued],
                "active": [run.as_dict() for run in active],
            }
        )
        return
    if active:
        render.table(render.RUN_COLUMNS, render.run_rows(active), title="Running")
    rows = [[place.position, run.id, run.kind, run.priority, place.waiting_reason] for run, place in queued]
    if rows:
        render.table(("position", "id", "kind", "priority", "waits because"), rows, title="Queued")
    if not rows and not active:
        print("Nothing runs and nothing waits.")
