"""`pitboss chains …`: runs that follow each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pitboss.cli.kinds import read_params_file
from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.cli.platform import platform_of
from pitboss.cli.render import short_time, table
from pitboss.core.errors import InvalidInput, NotFound
from pitboss.routine.chains import Chain

app = typer.Typer(help="Have runs follow each other, each made of what came of the one before.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A chain's id, or the start or end of it; latest.")]


@app.command()
def start(
    file: Annotated[Path, typer.Argument(help="A YAML or JSON file with name and links; - reads.")],
    notify: Annotated[bool, typer.Option("--notify", help="Tell the channels of the last run's end.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Start a chain; a server that runs has it go on."""
    given = read_params_file(file)
    links = given.get("links")
    if not isinstance(links, list) or not all(isinstance(link, dict) for link in links):
        raise InvalidInput("there are no links", "write links: and a list of {kind, params}", "links")
    with platform_of(data_dir, takes_up=False) as platform:
        made = platform.chains.start(platform.who, str(given.get("name", file.stem)), links, notify)
    _show(made.as_dict(), as_json)


@app.command("list")
def list_chains(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the latest chains."""
    with platform_of(data_dir, takes_up=False) as platform:
        found = [chain.as_dict() for chain in platform.chains.find(platform.who)]
    if as_json:
        print_json(found)
    elif found:
        rows = []
        for each in found:
            started = short_time(each["created_at"])
            rows.append([each["id"][-8:], each["name"], each["state"], _done(each), started, each["note"]])
        table(("chain", "name", "state", "runs", "started (UTC)", ""), rows)
    else:
        print("There are no chains: 'pitboss chains start FILE' starts one.")


@app.command()
def show(name: Name, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show a chain with its runs."""
    with platform_of(data_dir, takes_up=False) as platform:
        _show(_named(platform, name).as_dict(), as_json)


@app.command()
def cancel(
    name: Name,
    discard: Annotated[bool, typer.Option("--discard", help="Keep nothing of the run that goes on.")] = False,
    data_dir: DataDir = None,
) -> None:
    """End a chain, and the run that goes on."""
    with platform_of(data_dir, takes_up=False) as platform:
        ended = platform.chains.cancel(platform.who, _named(platform, name).id, not discard)
    print(f"{ended.name} is {ended.state}{': ' if ended.note else ''}{ended.note}")


def _named(platform: Any, name: str) -> Chain:
    found: list[Chain] = platform.chains.find(platform.who)
    alike = found[:1] if name == "latest" else [c for c in found if c.id.startswith(name) or c.id.endswith(name)]
    if len(alike) != 1:
        raise NotFound(f"there is no one chain '{name[:40]}'", "see 'pitboss chains list'")
    return alike[0]


def _done(found: dict[str, Any]) -> str:
    return f"{sum(link['run_id'] is not None for link in found['links'])} of {len(found['links'])}"


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print(f"{found['name']} is {found['state']}{': ' if found['note'] else ''}{found['note']}")
    rows = [[link["kind"], (link["run_id"] or "")[-8:] or "not yet"] for link in found["links"]]
    table(("kind", "run"), rows)
