"""How a command that is about this machine gets at the platform."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pitboss.bootstrap import Platform, open_platform
from pitboss.cli.options import URL, settings_of
from pitboss.core.errors import InvalidInput, NotFound, StorageUnavailable
from pitboss.storage.database import is_made


@contextmanager
def platform_of(data_dir: Path | None, takes_up: bool = True) -> Iterator[Platform]:
    """Open the platform for a command that is about this machine; see `opened_here`. Raises InvalidInput where a server
    elsewhere is named."""
    if os.environ.get(URL):
        raise InvalidInput("this command works on the server's own machine", f"leave out --url and {URL}", "--url")
    with opened_here(data_dir, takes_up) as platform:
        yield platform


@contextmanager
def opened_here(data_dir: Path | None, takes_up: bool) -> Iterator[Platform]:
    """Open the platform for one command; what others have left unfinished is taken up, unless the command is about
    the engine itself."""
    platform = open_platform(settings_of(data_dir))
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
    settings = settings_of(data_dir)
    if not is_made(settings.url):
        raise NotFound(f"there is no database at {settings.url}", "name the right folder with --data-dir")
    with platform_of(data_dir, takes_up=False) as platform:
        yield platform
