"""`pitboss serve`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pitboss.cli.options import DataDir, Slots, settings_of
from pitboss.core.firstprocess import reap_as_the_first
from pitboss.core.python import command_of, own_environment


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond loopback it takes accounts and TLS.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
    slots: Slots = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate to serve https with, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's key, PEM.")] = None,
    behind_proxy: Annotated[
        list[str] | None, typer.Option(help="Address of a proxy that does the TLS; repeat for several.")
    ] = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Workers are started elsewhere.")] = False,
    root_path: Annotated[str | None, typer.Option(help="Path under which a proxy serves it, such as /pitboss.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the HTTP API, and keep a worker running beside it."""
    settings = settings_of(
        data_dir,
        slots=slots,
        root_path=root_path,
        tls_cert=tls_cert,
        tls_key=tls_key,
        behind_proxy=behind_proxy or None,
    )
    reap_as_the_first()
    # the API is an interface beside this one, not below it: it takes over the process
    environment = own_environment(
        PITBOSS_DATA_DIR=str(settings.data_dir),
        PITBOSS_SLOTS=json.dumps(settings.slots),
        PITBOSS_ROOT_PATH=settings.root_path,
        PITBOSS_BEHIND_PROXY=json.dumps(settings.behind_proxy),
        PITBOSS_TLS_CERT=str(settings.tls_cert or ""),
        PITBOSS_TLS_KEY=str(settings.tls_key or ""),
    )
    if no_worker:
        environment["PITBOSS_LOCAL_WORKER"] = "false"
    os.execve(sys.executable, command_of("pitboss.serving.server", host, str(port)), environment)
