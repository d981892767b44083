"""`pitboss doctor`: what is installed, writable and reachable, and how to mend what is not."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.text import Text

from pitboss.bootstrap import Platform, open_platform
from pitboss.cli.options import AsJson, DataDir, print_json, settings_of
from pitboss.cli.render import console
from pitboss.core.errors import StorageUnavailable
from pitboss.core.files import open_files
from pitboss.core.machine import free_memory
from pitboss.core.settings import Settings
from pitboss.core.version import VERSION
from pitboss.market.catalog import all_series
from pitboss.runs.kinds import Kinds
from pitboss.runs.model import WorkerInfo
from pitboss.storage.database import Database, is_made
from pitboss.storage.inspection import Damage, broken_logs, stuck_runs
from pitboss.storage.migrate import HEAD, schema_version
from pitboss.storage.transfer import absent_files, promised_files


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    is_well: bool
    details: str
    remedy: str = ""


def doctor(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Examine the installation, the data folder, the database and the workers."""
    findings = examine(settings_of(data_dir))
    if as_json:
        print_json([finding.__dict__ for finding in findings])
    else:
        for finding in findings:
            mark = Text("ok  ", "green") if finding.is_well else Text("ill ", "red")
            console.print(Text.assemble(mark, f" {finding.what:<18} {finding.details}"))
            if not finding.is_well:
                console.print(Text(f"       → {finding.remedy}"))
    if not all(finding.is_well for finding in findings):
        raise typer.Exit(1)


def examine(settings: Settings) -> list[Finding]:
    """Answer what was found, one finding for each check; a check that raises is ill."""
    checks: dict[str, Callable[[Settings], Finding]] = {
        "program": _program,
        "libraries": _libraries,
        "data folder": _folder,
        "space": _space,
        "files": _files,
        "database": _database,
        "broker": _broker,
        "workers": _workers,
        "runs": _runs,
        "kinds": _kinds,
        "leases": _leases,
        "events": _events,
        "artifacts": _artifacts,
    }
    findings = []
    for what, check in checks.items():
        try:
            findings.append(check(settings))
        except Exception as error:
            findings.append(Finding(what, False, str(error), "mend this first; the other checks may depend on it"))
    return findings


def _program(_settings: Settings) -> Finding:
    return Finding("program", True, f"pitboss {VERSION} on Python {platform.python_version()}")


def _libraries(settings: Settings) -> Finding:
    import numba
    import polars
    import talib

    details = f"numba {numba.__version__}, polars {polars.__version__}, ta-lib {talib.__version__}"
    if settings.url.startswith("postgres") and importlib.util.find_spec("psycopg") is None:
        return Finding("libraries", False, "psycopg is not installed", "pip install 'pitboss[postgres]'")
    return Finding("libraries", True, details)


def _folder(settings: Settings) -> Finding:
    folder: Path = settings.data_dir
    if not folder.exists():
        return Finding("data folder", True, f"{folder} does not exist yet; the first command makes it")
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding("data folder", False, f"{folder}: {error.strerror}", f"make it writable for user {os.getuid()}")
    return Finding("data folder", True, f"{folder} is writable")


def _space(settings: Settings) -> Finding:
    folder = settings.data_dir if settings.data_dir.exists() else Path.cwd()
    disk = shutil.disk_usage(folder).free >> 20
    memory = free_memory() >> 20
    details = f"{disk:,} MB of disk and {memory:,} MB of memory are free"
    is_well = disk >= settings.min_free_disk_mb and memory >= settings.min_free_memory_mb
    return Finding("space", is_well, details, "no run starts below min_free_disk_mb or min_free_memory_mb")


def _files(settings: Settings) -> Finding:
    names = all_series(open_files(settings.data_dir, settings.files_url))
    return Finding("files", True, f"{len(names)} series of bars in {settings.files_url or settings.data_dir}")


def _database(settings: Settings) -> Finding:
    if not is_made(settings.url):
        return Finding("database", True, "none yet; the first command makes it")
    database = Database(settings.url)
    version = schema_version(database)
    database.close()
    kind = "SQLite" if database.is_sqlite else "PostgreSQL"
    if version == HEAD:
        return Finding("database", True, f"{kind}, schema {version}")
    return Finding(
        "database", False, f"schema {version}, this program's is {HEAD}", "update pitboss, or run any command"
    )


def _broker(settings: Settings) -> Finding:
    if not settings.broker_url:
        return Finding("broker", True, "none: workers of this machine look for themselves")
    if importlib.util.find_spec("celery") is None:
        return Finding("broker", False, "Celery is not installed", "pip install 'pitboss[cluster]'")
    from pitboss.launch.celery import reach

    try:
        reach(settings)
    except StorageUnavailable as error:
        return Finding("broker", False, error.message, error.remedy)
    return Finding("broker", True, "it answers")


def _workers(settings: Settings) -> Finding:
    with _opened(settings) as platform:
        workers = platform.service.workers() if platform else []
        obstacle = platform.service.obstacle() if platform else ""
    if obstacle:
        return Finding("workers", False, obstacle, "mend that: the next worker, or the next try, goes on by itself")
    stale = [worker for worker in workers if not worker.has_renewed(settings.lease_seconds)]
    if stale:
        names = ", ".join(f"{w.host}:{w.pid} for {w.silent_seconds:.0f} s" for w in stale)
        return Finding("workers", False, f"silent: {names}", "end or restart it; its runs go on elsewhere")
    shown = ", ".join(f"{w.host}:{w.pid} ({_slots(w)})" for w in workers)
    return Finding("workers", True, shown or "none; one starts when there is work")


def _slots(worker: WorkerInfo) -> str:
    return ", ".join(f"{count} {name} slots" for name, count in worker.capacity.items()) or f"{worker.slots} slots"


def _runs(settings: Settings) -> Finding:
    with _opened(settings) as platform:
        counts = platform.service.statistics(platform.who)["by_state"] if platform else {}
    return Finding("runs", True, ", ".join(f"{n} {state}" for state, n in counts.items() if n) or "none yet")


def _kinds(settings: Settings) -> Finding:
    with _opened(settings) as platform:
        kinds = platform.kinds if platform else Kinds()
        faults = platform.service.kind_faults(platform.who) if platform else kinds.faults
    if not faults:
        return Finding("kinds", True, ", ".join(kinds))
    told = "; ".join(f"{fault.name} of {fault.source or '?'}: {fault.reason}" for fault in faults)
    return Finding("kinds", False, told, "update or remove that package; the other kinds work without it")


def _leases(settings: Settings) -> Finding:
    with _opened(settings) as platform:
        found = stuck_runs(platform.database, settings.lease_seconds) if platform else []
    return _finding("leases", found, "every active run is held")


def _events(settings: Settings) -> Finding:
    with _opened(settings) as platform:
        found = broken_logs(platform.database, settings.thin_seconds) if platform else []
    return _finding("events", found, "no sequence has a gap")


def _finding(what: str, damages: list[Damage], well: str) -> Finding:
    if not damages:
        return Finding(what, True, well)
    more = f", and {len(damages) - 3} more" if len(damages) > 3 else ""
    return Finding(what, False, "; ".join(damage.what for damage in damages[:3]) + more, damages[0].remedy)


def _artifacts(settings: Settings) -> Finding:
    with _opened(settings) as platform:
        promised = promised_files(platform.database) if platform else []
        missing = absent_files(platform.database, platform.files) if platform else []
    if missing:
        shown = ", ".join(missing[:3]) + (f", and {len(missing) - 3} more" if len(missing) > 3 else "")
        return Finding("artifacts", False, f"missing: {shown}", "restore a backup, or rerun those runs")
    return Finding("artifacts", True, f"{len(promised)} files are in their places")


@contextmanager
def _opened(settings: Settings) -> Iterator[Platform | None]:
    """The platform, None where there is no database yet: looking must not make one."""
    if not is_made(settings.url):
        yield None
        return
    platform = open_platform(settings)
    try:
        with suppress(StorageUnavailable):
            platform.take_up()
        yield platform
    finally:
        platform.close()
