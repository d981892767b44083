"""`pitboss serve` and `pitboss worker`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from pitboss.cli.options import DataDir, settings_of

Slots = Annotated[int | None, typer.Option(help="Runs at once.", show_default="the number of cores")]


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; without accounts a loopback one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
    slots: Slots = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the HTTP API, and keep a worker running beside it."""
    settings = settings_of(data_dir, slots=slots)
    # the API is an interface beside this one, not below it: it takes over the process
    environment = os.environ | {"PITBOSS_DATA_DIR": str(settings.data_dir), "PITBOSS_SLOTS": str(settings.slots)}
    command = [sys.executable, "-m", "pitboss.api.server", host, str(port)]
    os.execve(sys.executable, command, environment)


def worker(
    slots: Slots = None,
    automatic: Annotated[bool, typer.Option("--automatic", hidden=True)] = False,
    data_dir: DataDir = None,
) -> None:
    """Run a worker until it is told to stop."""
    from pitboss.bootstrap import make_worker
    from pitboss.core.logs import configure_logs

    settings = settings_of(data_dir, slots=slots)
    configure_logs(settings.log_level)
    if not make_worker(settings, automatic).run() and not automatic:
        raise typer.Exit(1)
