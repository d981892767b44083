"""`pitboss worker …`."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import signal
import socket
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from pitboss.bootstrap import open_platform, run_worker
from pitboss.cli.options import AsJson, DataDir, Slots, print_json, settings_of
from pitboss.cli.platform import existing_platform_of, platform_of
from pitboss.cli.render import table
from pitboss.core.errors import InvalidInput, PitbossError
from pitboss.core.firstprocess import reap_as_the_first
from pitboss.core.logs import configure_logs
from pitboss.core.machine import raise_descriptor_limit
from pitboss.core.report import exit_code
from pitboss.core.settings import SQLITE, Settings
from pitboss.launch.workerprocess import Report
from pitboss.runs.model import WorkerInfo, worker_document
from pitboss.runs.wording import duration
from pitboss.worker.presence import Presence, presence
from pitboss.worker.processes import die_with_parent

worker_app = typer.Typer(help="Run, drain and list workers.", invoke_without_command=True)


@worker_app.callback()
def worker(
    context: typer.Context,
    slots: Slots = None,
    resource: Annotated[list[str] | None, typer.Option(help="What it serves, such as gpu; repeat for several.")] = None,
    drain: Annotated[bool, typer.Option("--drain", help="Have the workers finish what runs, then end.")] = False,
    celery: Annotated[bool, typer.Option("--celery", help="Run under Celery, woken through broker_url.")] = False,
    automatic: Annotated[bool, typer.Option("--automatic", hidden=True)] = False,
    parent: Annotated[int | None, typer.Option("--parent", hidden=True)] = None,
    report: Annotated[int | None, typer.Option("--report", hidden=True)] = None,
    data_dir: DataDir = None,
) -> None:
    """Run a worker until it is told to stop; what runs then saves its state and goes on under the next one."""
    if context.invoked_subcommand:
        return
    told = Report(report)
    settings = told.during(lambda: settings_of(data_dir, slots=slots, resources=resource or None))
    if drain and celery:
        raise InvalidInput("--drain and --celery exclude each other", "drain first, then start anew", "--drain")
    if drain:
        _drain(data_dir)
    elif celery:
        reap_as_the_first()
        _serve_celery(settings)
    else:
        reap_as_the_first()
        _work(settings, automatic, parent, told)


def _work(settings: Settings, automatic: bool, parent: int | None, told: Report) -> None:
    configure_logs(settings.log_level)
    raise_descriptor_limit()
    if parent is not None:
        die_with_parent(parent, signal.SIGTERM)
    try:
        was_needed = told.during(lambda: run_worker(settings, automatic, on_ready=told.ready))
    except PitbossError as error:
        if not told.is_wanted:
            raise
        # what started it has been told; its log is lines of JSON and nothing else
        details = {"because": error.message, "remedy": error.remedy}
        logging.getLogger("pitboss.worker").critical("worker failed", extra=details)
        raise typer.Exit(exit_code(error)) from None
    if not was_needed and not automatic:
        raise typer.Exit(1)


def _serve_celery(settings: Settings) -> None:
    """Be a Celery worker with these settings; what it starts reads them from the environment."""
    if importlib.util.find_spec("celery") is None:
        raise InvalidInput("Celery is not installed", "pip install 'pitboss[cluster]'", "--celery")
    if not settings.broker_url:
        raise InvalidInput("there is no broker", "set PITBOSS_BROKER_URL, such as redis://host/0", "broker_url")
    os.environ |= {
        "PITBOSS_DATA_DIR": str(settings.data_dir), "PITBOSS_SLOTS": json.dumps(settings.slots),
        "PITBOSS_RESOURCES": json.dumps(settings.resources), "PITBOSS_DATABASE_URL": settings.url,
    }  # fmt: skip
    configure_logs(settings.log_level)
    from pitboss.launch.celery import serve as serve_celery

    with closing(open_platform(settings)) as platform:
        serve_celery(settings, platform.starts)


def _drain(data_dir: Path | None) -> None:
    """Ask every worker to finish what runs, and wait until they have ended."""
    with existing_platform_of(data_dir) as platform:
        asked = {worker.id for worker in platform.service.workers() if _is_alive(worker, platform.settings)}
        platform.service.drain(list(asked))
        while left := [w for w in platform.service.workers() if w.id in asked and _is_alive(w, platform.settings)]:
            active = sum(run.worker_id in asked for run in platform.service.snapshot().active)
            print(f"\r{len(left)} workers finish {active} runs …  ", end="", file=sys.stderr, flush=True)
            time.sleep(0.5)
    print(f"{len(asked)} workers have ended" if asked else "No worker was running.")


def _is_alive(worker: WorkerInfo, settings: Settings) -> bool:
    """Answer whether a worker can still do what it is asked: not one that was killed here, or fell silent elsewhere."""
    seen = presence(worker, socket.gethostname(), settings.url.startswith(SQLITE))
    return seen is not Presence.GONE and worker.has_renewed(settings.lease_seconds)


@worker_app.command("list")
def list_workers(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the workers: host, slots, what runs there, last renewal, version."""
    with platform_of(data_dir, takes_up=False) as platform:
        snapshot = platform.service.snapshot()
        found = [worker_document(worker, snapshot) for worker in snapshot.workers]
    if as_json:
        print_json(found)
        return
    if not found:
        print("No worker is running; one starts when there is work, or with 'pitboss worker'.")
        return
    columns = ("host", "pid", "slots", "runs", "renewed", "version", "note")
    rows = [
        [w["host"], w["pid"],
         ", ".join(f"{w['busy'][name]} of {count} {name}" for name, count in w["capacity"].items()),
         ", ".join(run[-8:] for run in w["runs"]) or "–", f"{duration(w['silent_seconds'])} ago", w["version"],
         "drains" if w["is_draining"] else w["note"]]
        for w in found
    ]  # fmt: skip
    table(columns, rows)
