"""`pitboss secrets …`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pitboss.cli.desk import desk_of
from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.cli.render import short_time, table

app = typer.Typer(help="Keep secrets that jobs need, such as keys of data sources.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Its name, such as POLYGON_KEY.")]


@app.command("set")
def set_secret(name: Name, data_dir: DataDir = None) -> None:
    """Keep a secret, asked for or read from standard input; it is sealed, and never shown again."""
    if sys.stdin.isatty():
        value = typer.prompt(name, hide_input=True, err=True)
    else:
        value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    with desk_of(data_dir, takes_up=False) as desk:
        desk.vault.put(desk.who, name, value)
    print(f"{name} is kept; a script asks for it with 'secrets: [{name}]' in its declaration")


@app.command("list")
def list_secrets(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the names of the secrets that there are."""
    with desk_of(data_dir, takes_up=False) as desk:
        found = [secret.as_dict() for secret in desk.vault.all(desk.who)]
    if as_json:
        print_json(found)
    elif found:
        table(("name", "set (UTC)"), [[each["name"], short_time(each["updated_at"])] for each in found])
    else:
        print("There are no secrets: 'pitboss secrets set NAME' keeps one.")


@app.command()
def remove(name: Name, data_dir: DataDir = None) -> None:
    """Remove a secret; runs that need it fail from then on."""
    with desk_of(data_dir, takes_up=False) as desk:
        desk.vault.remove(desk.who, name)
    print(f"{name} is removed")
