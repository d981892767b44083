"""`pitboss schedules …`: runs that start by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from pitboss.cli.flags import grouped
from pitboss.cli.kinds import GivenParams
from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.cli.platform import platform_of
from pitboss.cli.render import short_time, table

app = typer.Typer(help="Have runs start by themselves; a server that runs keeps the schedules.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A schedule's name.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When a run starts, and what becomes of times that cannot be kept."""

    when: Annotated[
        str, typer.Option(help="'0 18 * * 1-5', '30m before the close of XNYS' or 'after each data update'.")
    ]
    zone: Annotated[str, typer.Option(help="Whose clocks a cron expression reads.")] = "UTC"
    priority: Annotated[str, typer.Option(help="low, normal, high or a number.")] = "normal"
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A tag of its runs; repeat for several.")] = None
    catch_up: Annotated[str, typer.Option(help="What was missed: skip, last or all.")] = "last"
    overlap: Annotated[str, typer.Option(help="While the run before still goes: skip or allow.")] = "skip"
    jitter: Annotated[float, typer.Option(help="Start up to so many seconds later.")] = 0.0


@app.command()
@grouped
def add(
    name: Name,
    kind: Annotated[str, typer.Argument(help="A kind of run; 'pitboss kinds list' names them.")],
    plan: Plan,
    given: GivenParams,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Have a run start whenever it is due. Its params are checked now, and again each time."""
    from pitboss.routine.schedules import Asked

    asked = Asked(
        name=name, kind=kind, params=given.read(), when=plan.when, zone=plan.zone, priority=plan.priority,
        tags=plan.tag or [], catch_up=plan.catch_up, overlap=plan.overlap, jitter_seconds=plan.jitter,
    )  # fmt: skip
    with platform_of(data_dir, takes_up=False) as platform:
        made = platform.schedules.described(platform.schedules.add(platform.who, asked))
    _show(made, as_json)


@app.command("list")
def list_schedules(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the schedules with the time each is due next."""
    with platform_of(data_dir, takes_up=False) as platform:
        found = [platform.schedules.described(each, 1) for each in platform.schedules.all(platform.who)]
    if as_json:
        print_json(found)
    elif found:
        rows = [[each["name"], each["kind"], each["when"], each["zone"], _next(each), _last(each)] for each in found]
        table(("name", "kind", "when", "zone", "next (UTC)", "last (UTC)"), rows)
    else:
        print("There are no schedules: 'pitboss schedules add NAME KIND --when …' makes one.")


@app.command()
def show(name: Name, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show a schedule with its next ten times, and what became of the last ten."""
    with platform_of(data_dir, takes_up=False) as platform:
        found = platform.schedules.described(platform.schedules.get(platform.who, name))
    _show(found, as_json)


@app.command()
def pause(name: Name, data_dir: DataDir = None) -> None:
    """Keep a schedule from being due until it is resumed."""
    _change(name, data_dir, {"is_paused": True}, "is paused")


@app.command()
def resume(name: Name, data_dir: DataDir = None) -> None:
    """Let a schedule be due again, from now on."""
    _change(name, data_dir, {"is_paused": False}, "goes on")


@app.command()
def remove(name: Name, data_dir: DataDir = None) -> None:
    """Remove a schedule; its runs stay."""
    with platform_of(data_dir, takes_up=False) as platform:
        platform.schedules.remove(platform.who, name)
    print(f"{name} is removed")


def _change(name: str, data_dir: Path | None, values: dict[str, Any], what: str) -> None:
    with platform_of(data_dir, takes_up=False) as platform:
        platform.schedules.change(platform.who, name, values)
    print(f"{name} {what}")


def _next(found: dict[str, Any]) -> str:
    if found["is_paused"]:
        return "paused"
    return short_time(found["next"][0]) if found["next"] else "when data comes"


def _last(found: dict[str, Any]) -> str:
    return f"{short_time(found['ticks'][0]['at'])} {found['ticks'][0]['state']}" if found["ticks"] else ""


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print(
        f"{found['name']}: {found['kind']}, {found['when']} ({found['zone']}){', paused' if found['is_paused'] else ''}"
    )
    table(("next (UTC)",), [[short_time(at)] for at in found["next"]])
    if found["ticks"]:
        rows = [[short_time(t["at"]), t["state"], (t["run_id"] or "")[-8:], t["note"]] for t in found["ticks"]]
        table(("was due (UTC)", "became", "run", ""), rows)
