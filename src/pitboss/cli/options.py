"""Options that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pitboss.core.errors import InvalidInput
from pitboss.core.places import at_home
from pitboss.core.settings import Settings, load_settings

URL = "PITBOSS_URL"  # of a server to work at instead of this machine


def _named_path(text: str) -> Path:
    if not text:
        raise typer.BadParameter("the path is empty: name a folder, or leave the flag out")

    return at_home(text)


DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Folder of the database, bars and results.",
        show_default="./pitboss-data",
        parser=_named_path,
        metavar="PATH",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]
Slots = Annotated[int | None, typer.Option(help="Runs at once.", show_default="the number of cores")]
Detach = Annotated[bool, typer.Option("--detach", help="Queue the run and print its id.")]
Symbols = Annotated[list[str] | None, typer.Option("--symbol", "-s", help="Symbol to trade; repeat for several.")]
TimeframeOption = Annotated[
    str | None,
    typer.Option("--timeframe", "-t", help="Length of a bar: 5m, 1h, 1d.", show_default="the document's"),
]


def settings_of(data_dir: Path | None, **flags: Any) -> Settings:
    """Read the settings with what the flags say."""
    return load_settings(data_dir=data_dir, **flags)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    print(json.dumps(value, default=str))


def pairs(given: list[str] | None, flag: str) -> dict[str, str]:
    """Read `name=value` options. Raises InvalidInput for one without an equals sign."""
    found = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise InvalidInput(f"'{text[:60]}' is not name=value", f"write {flag} NAME=VALUE", flag)
        found[name.strip()] = value.strip()
    return found


def read_params(given: list[str] | None, flag: str) -> dict[str, Any]:
    """Read `name=value` options; a value that is JSON is what it says, any other is a text. Raises InvalidInput."""
    return {name: _value(text) for name, text in pairs(given, flag).items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def options_of(max_seconds: float | None, max_memory: float | None, resource: str | None = None) -> dict[str, Any]:
    """Answer the options of a run that were given."""
    given = {"max_execution_seconds": max_seconds, "memory_limit_mb": max_memory, "resource": resource}
    return {name: value for name, value in given.items() if value is not None}
