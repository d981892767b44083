"""`pitboss serve` and `pitboss worker`."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from pitboss.cli.options import AsJson, DataDir, existing_platform_of, platform_of, print_json, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from pitboss.core.settings import Settings
    from pitboss.runs.model import WorkerInfo

worker_app = typer.Typer(help="Run, drain and list workers.", invoke_without_command=True)

Slots = Annotated[int | None, typer.Option(help="Runs at once.", show_default="the number of cores")]


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; without accounts a loopback one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
    slots: Slots = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Workers are started elsewhere.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Serve the HTTP API, and keep a worker running beside it."""
    settings = settings_of(data_dir, slots=slots)
    # the API is an interface beside this one, not below it: it takes over the process
    environment = os.environ | {"PITBOSS_DATA_DIR": str(settings.data_dir), "PITBOSS_SLOTS": str(settings.slots)}
    if no_worker:
        environment["PITBOSS_LOCAL_WORKER"] = "false"
    command = [sys.executable, "-m", "pitboss.api.server", host, str(port)]
    os.execve(sys.executable, command, environment)


@worker_app.callback()
def worker(
    context: typer.Context,
    slots: Slots = None,
    resource: Annotated[list[str] | None, typer.Option(help="What it serves, such as gpu; repeat for several.")] = None,
    drain: Annotated[bool, typer.Option("--drain", help="Have the workers finish what runs, then end.")] = False,
    celery: Annotated[bool, typer.Option("--celery", help="Run under Celery, woken through broker_url.")] = False,
    automatic: Annotated[bool, typer.Option("--automatic", hidden=True)] = False,
    parent: Annotated[int | None, typer.Option("--parent", hidden=True)] = None,
    data_dir: DataDir = None,
) -> None:
    """Run a worker until it is told to stop; what runs then saves its state and goes on under the next one."""
    from pitboss.core.errors import InvalidInput

    if context.invoked_subcommand:
        return
    settings = settings_of(data_dir, slots=slots, resources=resource or None)
    if drain and celery:
        raise InvalidInput("--drain and --celery exclude each other", "drain first, then start anew", "--drain")
    if drain:
        _drain(data_dir)
    elif celery:
        _become_celery(settings)
    else:
        _work(settings, automatic, parent)


def _work(settings: Settings, automatic: bool, parent: int | None) -> None:
    from pitboss.bootstrap import make_worker
    from pitboss.core.logs import configure_logs
    from pitboss.worker.processes import die_with_parent

    configure_logs(settings.log_level)
    made = make_worker(settings, automatic)
    if parent is not None:
        die_with_parent(parent, signal.SIGTERM)
    if not made.run() and not automatic:
        raise typer.Exit(1)


def _become_celery(settings: Settings) -> None:
    """Replace this process by a Celery worker with these settings."""
    import importlib.util

    from pitboss.core.errors import InvalidInput

    if importlib.util.find_spec("celery") is None:
        raise InvalidInput("Celery is not installed", "pip install 'pitboss[cluster]'", "--celery")
    if not settings.broker_url:
        raise InvalidInput("there is no broker", "set PITBOSS_BROKER_URL, such as redis://host/0", "broker_url")
    environment = os.environ | {
        "PITBOSS_DATA_DIR": str(settings.data_dir), "PITBOSS_SLOTS": str(settings.slots),
        "PITBOSS_RESOURCES": json.dumps(settings.resources),
    }  # fmt: skip
    command = [sys.executable, "-m", "celery", "-A", "pitboss.launch.celery", "worker", "--loglevel", "WARNING"]
    os.execve(sys.executable, command, environment)


def _drain(data_dir: Path | None) -> None:
    """Ask every worker to finish what runs, and wait until they have ended."""
    with existing_platform_of(data_dir) as platform:
        asked = {worker.id for worker in platform.service.workers() if _is_alive(worker, platform.settings)}
        platform.service.registry.drain(list(asked))
        while left := [w for w in platform.service.workers() if w.id in asked and _is_alive(w, platform.settings)]:
            active = sum(run.worker_id in asked for run in platform.service.store.queue().active)
            print(f"\r{len(left)} workers finish {active} runs …  ", end="", file=sys.stderr, flush=True)
            time.sleep(0.5)
    print(f"{len(asked)} workers have ended" if asked else "No worker was running.")


def _is_alive(worker: WorkerInfo, settings: Settings) -> bool:
    """Answer whether a worker can still do what it is asked: not one that was killed here, or fell silent elsewhere."""
    from pitboss.worker.processes import is_same_process, machine

    if worker.machine == machine() and not is_same_process(worker.pid, worker.process_started_at):
        return False
    return worker.silent_seconds <= settings.lease_seconds


@worker_app.command("list")
def list_workers(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the workers: host, slots, what runs there, last renewal, version."""
    from pitboss.cli.render import duration, table
    from pitboss.runs.model import worker_document

    with platform_of(data_dir) as platform:
        snapshot = platform.service.store.queue()
        found = [worker_document(worker, snapshot) for worker in snapshot.workers]
    if as_json:
        print_json(found)
        return
    if not found:
        print("No worker is running; one starts when there is work, or with 'pitboss worker'.")
        return
    columns = ("host", "pid", "slots", "serves", "runs", "renewed", "version", "note")
    rows = [
        [w["host"], w["pid"], f"{len(w['runs'])} of {w['slots']}", ", ".join(w["resources"]),
         ", ".join(run[-8:] for run in w["runs"]) or "–", f"{duration(w['silent_seconds'])} ago", w["version"],
         "drains" if w["is_draining"] else w["note"]]
        for w in found
    ]  # fmt: skip
    table(columns, rows)
