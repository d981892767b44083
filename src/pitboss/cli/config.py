"""`pitboss config show`."""

from __future__ import annotations

import typer

from pitboss.cli.options import AsJson, DataDir, print_json, settings_of
from pitboss.cli.render import table
from pitboss.core.settings import describe_settings

app = typer.Typer(help="Settings.", no_args_is_help=True)


@app.callback()
def config() -> None:
    """Settings come from flags, PITBOSS_… variables, pitboss.toml in the data folder, and defaults."""


@app.command()
def show(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show every setting, its value and what it means."""
    described = describe_settings(settings_of(data_dir))
    if as_json:
        print_json(described)
        return
    table(("setting", "value", "meaning"), [[d["name"], str(d["value"]), d["meaning"]] for d in described])
