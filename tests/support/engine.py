"""A real engine for tests: a database in a folder, worker processes, and ways to wait for what they do."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil

from pitboss.bootstrap import Platform, limits_of, open_platform, run_worker
from pitboss.core.logs import configure_logs
from pitboss.core.principal import LOCAL
from pitboss.core.settings import Settings, load_settings
from pitboss.runs.kinds import Kinds
from pitboss.runs.model import Run
from pitboss.runs.service import Policy, Ports, RunService
from pitboss.runs.submission import Submission
from pitboss.storage.events import SqlEventLog
from pitboss.storage.figures import SqlFigures
from pitboss.storage.remarks import SqlRemarks
from pitboss.storage.runs import SqlRunStore
from pitboss.storage.workers import SqlWorkerRegistry
from support.jobs import KINDS, MARK

TESTS = Path(__file__).parents[1]
ALL_KINDS = Kinds([*Kinds().values(), *KINDS.values()])


class NoLauncher:
    """Tests start workers themselves."""

    def ensure(self) -> None: ...

    def settle(self, seconds: float) -> None: ...

    def ring(self, resource: str = "default") -> None: ...


class Engine:
    """Starts workers over one data folder and asks the service about their runs."""

    def __init__(self, data_dir: Path, **settings: object) -> None:
        defaults = {
            "python_path": [TESTS],
            "slots": 2,
            "lease_seconds": 15.0,
            "min_free_disk_mb": 0,
            "min_free_memory_mb": 0,
        }
        self.settings: Settings = load_settings(data_dir=data_dir, **(defaults | settings))
        self.platform: Platform = open_platform(self.settings)
        database = self.platform.database
        self.store = SqlRunStore(database)
        self.figures = SqlFigures(database)
        ports = Ports(
            store=self.store, log=SqlEventLog(database), registry=SqlWorkerRegistry(database), figures=self.figures,
            launcher=NoLauncher(), remarks=SqlRemarks(database), kinds=ALL_KINDS, sources=self.platform.sources,
        )  # fmt: skip
        policy = Policy(limits_of(self.settings), self.settings.max_queue_size, self.settings.lease_seconds)
        self.service = RunService(ports, policy)
        self.workers: list[subprocess.Popen] = []

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()
        self.platform.close()
        for pid in marked_processes():
            os.kill(pid, signal.SIGKILL)

    def start_worker(
        self, waits: bool = True, on: Callable[[list[str]], list[str]] = list, **environment: str
    ) -> subprocess.Popen:
        """Start a worker process, `on` another host where given; by default wait until it has signed on."""
        settings = self.settings.model_dump_json()
        with (self.settings.data_dir / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                on([sys.executable, "-m", "support.engine", settings]), cwd=TESTS, stdout=log, stderr=log,
                env=os.environ | {"PYTHONPATH": str(TESTS)} | environment,
            )  # fmt: skip
        self.workers.append(worker)
        if waits:
            until(lambda: any(w.pid == worker.pid for w in self.service.workers()), 20, "a worker signs on")
        return worker

    def freeze(self, worker: subprocess.Popen) -> None:
        """Stop a worker where it is not writing: SQLite's file would be held by it, and nobody else could write."""
        path = self.settings.data_dir / "pitboss.db"
        while True:
            os.kill(worker.pid, signal.SIGSTOP)
            with closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as connection:
                try:
                    connection.executescript("BEGIN IMMEDIATE; ROLLBACK")
                    return
                except sqlite3.OperationalError:
                    os.kill(worker.pid, signal.SIGCONT)

    def submit(self, kind: str, params: dict | None = None, **fields: object) -> Run:
        return self.service.submit(LOCAL, Submission(kind=kind, params=params or {}, **fields))

    def wait(self, run: Run, *states: str, seconds: float = 20.0) -> Run:
        """Wait until the run is in one of the states, by default any terminal one."""

        def reached() -> Run | None:
            now = self.service.get(LOCAL, run.id)
            return now if (now.state.value in states if states else now.state.is_terminal) else None

        found = until(reached, seconds, f"{run.kind} gets to {states or 'its end'}")
        assert isinstance(found, Run)
        return found

    def wait_progress(self, run: Run, stage: str = "", done: int = 0, seconds: float = 20.0) -> Run:
        """Wait until the run has reported that much of a stage."""

        def reached() -> Run | None:
            now = self.service.get(LOCAL, run.id)
            progress = now.progress or {}
            return now if progress.get("stage", "").startswith(stage) and progress.get("done", -1) >= done else None

        found = until(reached, seconds, f"{run.kind} reports {stage} {done}")
        assert isinstance(found, Run)
        return found

    def wait_attempt(self, run: Run, attempt: int, seconds: float = 20.0) -> Run:
        """Wait until that attempt of the run is under way."""

        def reached() -> Run | None:
            now = self.service.get(LOCAL, run.id)
            return now if now.attempt == attempt and now.state.value == "running" else None

        found = until(reached, seconds, f"attempt {attempt} of {run.kind} runs")
        assert isinstance(found, Run)
        return found

    def events(self, run: Run) -> list:
        """Answer all events of a run, after checking that their numbers have no gap."""
        found = self.service.events(LOCAL, run.id, limit=100_000)
        assert [event.seq for event in found] == list(range(1, len(found) + 1))
        return found


def until(condition: Callable[[], object], seconds: float, what: str) -> object:
    """Ask a hundred times a second until the answer is truthy; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s until {what}"
        time.sleep(0.01)
    return answer


def marked_processes() -> list[int]:
    """Answer the grandchildren of jobs that are alive."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if MARK in (process.info["cmdline"] or []) and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def is_gone(pid: int) -> bool:
    """Answer whether a process has ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def main() -> None:
    settings = Settings.model_validate_json(sys.argv[1])
    configure_logs("INFO")
    run_worker(settings, is_automatic=False, kinds=ALL_KINDS)


if __name__ == "__main__":
    main()
