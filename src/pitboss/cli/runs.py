"""`pitboss runs …` and `pitboss queue`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pitboss.cli import render, reports
from pitboss.cli.desk import desk_of
from pitboss.cli.exporting import copy_file, write_frame
from pitboss.cli.options import AsJson, DataDir, pairs, print_json, read_params
from pitboss.cli.platform import platform_of
from pitboss.cli.watching import EXIT_CODES, ended, finish, news
from pitboss.core.duration import seconds_of
from pitboss.core.errors import InvalidInput, NotFound, suggest
from pitboss.runs.model import PARQUET, RunQuery
from pitboss.runs.states import State
from pitboss.storage.pruning import Pruner

app = typer.Typer(help="List, watch, cancel, retry and export runs.", no_args_is_help=True)
Reference = Annotated[
    str, typer.Argument(help="A run's id, the start or the end of it, its strategy and number (trend#3), or 'latest'.")
]


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
    query = RunQuery(states=read_states(state), kind=kind, tag=tag, limit=limit)
    with desk_of(data_dir) as desk:
        found = desk.service.find(desk.who, query)
        if as_json:
            print_json([run.as_dict() for run in found])
        elif found:
            reports.list_runs(desk, found)
        else:
            narrowed = any((state, kind, tag))
            first = "start one with 'pitboss backtest' or 'pitboss run'"
            where = desk.place
            print("No run matches." if narrowed else f"There are no runs yet in {where}: {first}.")


def read_states(text: str | None) -> tuple[Any, ...]:
    """Read the name of a state, or `active`. Raises InvalidInput."""
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
    """Show one run: how it stands, and its report."""
    with desk_of(data_dir) as desk:
        found = desk.service.resolve(desk.who, run)
        if log:
            print(desk.log_of(found), end="")
        elif as_json:
            print_json(found.as_dict(desk.service.place(found)))
        else:
            reports.show_run(desk, found)


@app.command()
def watch(run: Reference, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Watch a run to its end; with --json one event a line. Ctrl-C leaves it going unless something else is chosen."""
    with desk_of(data_dir) as desk:
        found = desk.service.resolve(desk.who, run)
        if not as_json:
            finish(desk, found, as_json, at_interrupt="l")
            return
        for event in news(desk, found):
            if event is not None:
                print_json(event.as_dict())
        code = EXIT_CODES[ended(desk, found).state.value]
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
    with desk_of(data_dir) as desk:
        answer = desk.service.cancel(desk.who, desk.service.resolve(desk.who, run).id, not discard, reason)
        print_json(answer.run.as_dict() | {"message": answer.message}) if as_json else print(answer.message)


@app.command("stop-all")
def stop_all(
    discard: Annotated[bool, typer.Option("--discard", help="Do not keep partial results.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Cancel everything that waits or runs, whatever its kind: the emergency stop."""
    with desk_of(data_dir) as desk:
        stopped = [run.id for run in desk.service.stop_everything(desk.who, not discard)]
    print_json({"cancelled": len(stopped), "runs": stopped}) if as_json else print(f"{len(stopped)} runs are cancelled")


@app.command()
def priority(
    run: Reference,
    to: Annotated[str, typer.Argument(metavar="PRIORITY", help="low, normal, high, or -1000 to 1000.")] = "high",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Move a queued run forward or back."""
    with desk_of(data_dir) as desk:
        moved = desk.service.prioritize(desk.who, desk.service.resolve(desk.who, run).id, to)
        place = desk.service.place(moved)
        shown = f"place {place.position} in the queue" if place else moved.state.value
        print_json(moved.as_dict(place)) if as_json else print(shown)


@app.command()
def retry(run: Reference, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Queue a failed or cancelled run again, as a new run."""
    with desk_of(data_dir) as desk:
        again = desk.service.retry(desk.who, desk.service.resolve(desk.who, run).id)
        desk.launcher.ensure()
        print_json(again.as_dict()) if as_json else print(again.id)


@app.command()
def resume(run: Reference, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Go on from where a failed or cancelled run last saved its state, as a new run."""
    with desk_of(data_dir) as desk:
        again = desk.service.resume(desk.who, desk.service.resolve(desk.who, run).id)
        desk.launcher.ensure()
        print_json(again.as_dict()) if as_json else print(again.id)


@app.command()
def rerun(
    run: Reference,
    parameter: Annotated[list[str] | None, typer.Option("--set", help="Override a parameter: fast_period=10.")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", help="Override a param: cash=5000.")] = None,
    newest: Annotated[bool, typer.Option("--newest", help="On the newest bars, not on those that it saw.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Queue any run again with some things changed, as a new run."""
    with desk_of(data_dir) as desk:
        found = desk.service.resolve(desk.who, run)
        overrides = read_params(param, "--param")
        if parameter:
            overrides["parameters"] = {**found.params.get("parameters", {}), **pairs(parameter, "--set")}
        again = desk.service.rerun(desk.who, found.id, overrides, newest=newest)
        desk.launcher.ensure()
        print_json(again.as_dict()) if as_json else print(again.id)


@app.command()
def prune(
    older_than: Annotated[str, typer.Option(help="Age since the run's end: 30d, 12h, 90m, 0d.")],
    keep_artifacts: Annotated[bool, typer.Option("--keep-artifacts", help="Keep the results of runs.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Thin the progress of old runs, remove their artifacts, checkpoints and logs; the runs themselves stay."""
    age = seconds_of(older_than, "--older-than")
    with platform_of(data_dir) as platform:
        pruner = Pruner(platform.database, platform.files, age)
        done = pruner.prune(keep_artifacts)
        pruner.remove_logs(platform.settings.data_dir)
    if as_json:
        print_json(done.__dict__)
        return
    print(f"{done.runs:,} runs thinned by {done.events:,} events; {done.files:,} files removed; "
          f"nobody waited longer than {1e3 * done.longest_lock_seconds:.0f} ms")  # fmt: skip


@app.command()
def export(
    run: Reference,
    what: Annotated[str, typer.Option(help="The name of a table: trades, orders, equity, variants….")] = "trades",
    to: Annotated[Path | None, typer.Option(help="A .csv, .parquet or .json file; standard output without.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write what a run left behind to a file: a table, such as its trades or its equity, or any other file as it is."""
    with desk_of(data_dir) as desk:
        found = desk.service.resolve(desk.who, run)
        artifact = desk.service.artifact(desk.who, found.id, what)
        path = desk.files.fetch(artifact.path)
        if path is None:
            raise NotFound(f"the file {artifact.path} is missing", "restore it from a backup, or rerun")
        if artifact.media_type != PARQUET:
            copy_file(path, to)
            return
        from pitboss.market.frames import read_parquet

        frame = read_parquet(path)
    if to is None:
        sys.stdout.write(frame.write_csv())
        return
    write_frame(frame, to)
    print(f"{len(frame):,} rows → {to}", file=sys.stderr)


def queue(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show what waits and why, what runs, and who works."""
    with desk_of(data_dir) as desk:
        active, queued = desk.service.active(desk.who), desk.service.queued(desk.who)
        if active and not as_json:
            reports.list_runs(desk, active, title="Running")
    if as_json:
        print_json(
            {
                "queued": [run.as_dict(place) for run, place in queued if run is not None],
                "active": [run.as_dict() for run in active],
            }
        )
        return
    rows = [
        [place.position, run.id, run.kind, run.priority, place.waiting_reason] if run is not None
        else [place.position, "another's run", "", "", ""]
        for run, place in queued
    ]  # fmt: skip
    if rows:
        render.table(("position", "id", "kind", "priority", "waits because"), rows, title="Queued")
    if not rows and not active:
        print("Nothing runs and nothing waits.")
