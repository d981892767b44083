"""`pitboss presets …`: params that are kept under a name."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pitboss.cli.flags import grouped
from pitboss.cli.kinds import GivenParams
from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.cli.platform import platform_of
from pitboss.cli.render import table

app = typer.Typer(help="Keep params under a name: 'pitboss run KIND --preset NAME' begins with them.",
                  no_args_is_help=True)  # fmt: skip
Kind = Annotated[str, typer.Argument(help="A kind of run; 'pitboss kinds list' names them.")]
Name = Annotated[str, typer.Argument(help="A preset's name.")]


@app.command()
@grouped
def put(kind: Kind, name: Name, given: GivenParams, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Keep params under a name, in place of those that were."""
    with platform_of(data_dir, takes_up=False) as platform:
        kept = platform.presets.put(platform.who, kind, name, given.read())
    described = {"kind": kept.kind, "name": kept.name, "params": dict(kept.params)}
    print_json(described) if as_json else print(f"{kind} {name}: {', '.join(kept.params) or 'nothing'}")


@app.command("list")
def list_presets(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the presets."""
    with platform_of(data_dir, takes_up=False) as platform:
        found = platform.presets.all(platform.who)
    if as_json:
        print_json([{"kind": each.kind, "name": each.name, "params": dict(each.params)} for each in found])
    elif found:
        table(("kind", "name", "params"), [[each.kind, each.name, json.dumps(each.params)] for each in found])
    else:
        print("There are no presets: 'pitboss presets put KIND NAME -p …' keeps one.")


@app.command()
def remove(kind: Kind, name: Name, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Remove a preset. Runs that began with it keep their params."""
    with platform_of(data_dir, takes_up=False) as platform:
        platform.presets.remove(platform.who, kind, name)
    print_json({"removed": [kind, name]}) if as_json else print(f"removed {kind} {name}")
