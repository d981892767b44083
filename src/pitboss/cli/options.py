"""Options that several commands share, and how a command gets at the platform.

Imports of services stand inside functions throughout `cli`: `pitboss --help` must not wait for numba.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pitboss.bootstrap import Platform
    from pitboss.core.settings import Settings


def _named_path(text: str) -> Path:
    if not text:
        raise typer.BadParameter("the path is empty: name a folder, or leave the flag out")
    from pitboss.core.places import at_home

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
Detach = Annotated[bool, typer.Option("--detach", help="Queue the run and print its id.")]
Symbols = Annotated[list[str], typer.Option("--symbol", "-s", help="Symbol to trade; repeat for several.")]
TimeframeOption = Annotated[
    str | None,
    typer.Option("--timeframe", "-t", help="Length of a bar: 5m, 1h, 1d.", show_default="the document's"),
]


def settings_of(data_dir: Path | None, **flags: Any) -> Settings:
    """Read the settings with what the flags say."""
    from pitboss.core.settings import load_settings

    return load_settings(data_dir=data_dir, **flags)


@contextmanager
def platform_of(data_dir: Path | None, takes_up: bool = True) -> Iterator[Platform]:
    """Open the platform for one command; what others have left unfinished is taken up, unless the command is about
    the engine itself."""
    from pitboss.bootstrap import open_platform
    from pitboss.core.errors import StorageUnavailable
    from pitboss.core.logs import configure_logs

    settings = settings_of(data_dir)
    configure_logs("ERROR")
    platform = open_platform(settings)
    try:
        if takes_up:
            with suppress(StorageUnavailable):  # what keeps a worker from working is told where it matters
                platform.take_up()
        yield platform
    finally:
        platform.close()


@contextmanager
def existing_platform_of(data_dir: Path | None) -> Iterator[Platform]:
    """The same for a command that is pointless without a database: it does not make one. Raises NotFound."""
    from pitboss.core.errors import NotFound
    from pitboss.storage.database import is_made

    settings = settings_of(data_dir)
    if not is_made(settings.url):
        raise NotFound(f"there is no database at {settings.url}", "name the right folder with --data-dir")
    with platform_of(data_dir, takes_up=False) as platform:
        yield platform


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    print(json.dumps(value, default=str))


def pairs(given: list[str] | None, flag: str) -> dict[str, str]:
    """Read `name=value` options. Raises InvalidInput for one without an equals sign."""
    from pitboss.core.errors import InvalidInput

    found = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise InvalidInput(f"'{text[:60]}' is not name=value", f"write {flag} fast_period=10", flag)
        found[name.strip()] = value.strip()
    return found
