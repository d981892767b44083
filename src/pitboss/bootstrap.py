"""The composition root: the only place that names concrete adapters."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from pitboss.core.errors import DiskFull, SchemaMismatch
from pitboss.core.files import Files, open_files
from pitboss.core.places import follow_folder, place_caches, unusable
from pitboss.core.settings import Settings
from pitboss.core.version import VERSION
from pitboss.launch.local import LocalLauncher, WorkerKeeper
from pitboss.launch.reconciler import Reconciler
from pitboss.runs.model import Limits
from pitboss.runs.ports import JobKind, Launcher
from pitboss.runs.service import Engine, Policy, RunService
from pitboss.storage.database import Database
from pitboss.storage.documents import BacktestShelf, StrategyShelf
from pitboss.storage.events import SqlEventLog
from pitboss.storage.figures import SqlFigures
from pitboss.storage.migrate import bring_up_to_date, obstacle
from pitboss.storage.pruning import Pruner
from pitboss.storage.runs import SqlRunStore
from pitboss.storage.workers import SqlStartRecord, SqlWorkerRegistry
from pitboss.worker.config import Entry, Upkeep, WorkerConfig
from pitboss.worker.worker import Worker

if TYPE_CHECKING:
    from pitboss.jobs.saved import SavedBacktests
    from pitboss.market.catalog import Catalog

SETTLE_SECONDS = 2.0
ENTRIES = {
    "backtest": Entry("pitboss.jobs.backtest:run", is_resumable=True),
    "sweep": Entry("pitboss.jobs.sweep:run", is_resumable=True),
}


class Kinds(Mapping[str, JobKind]):
    """The kinds of run by name. Their libraries (numba, polars) load at the first look, not with the program."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    @cached_property
    def _kinds(self) -> dict[str, JobKind]:
        from pitboss.jobs.backtest import BacktestKind
        from pitboss.jobs.sweep import SweepKind

        strategies = self._platform.strategies

        def lookup(name: str) -> str:
            return strategies.get(name).text

        return {kind.name: kind(self._platform.catalog, lookup) for kind in (BacktestKind, SweepKind)}

    def __getitem__(self, name: str) -> JobKind:
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(ENTRIES)

    def __len__(self) -> int:
        return len(ENTRIES)


@dataclass(frozen=True)
class Platform:
    """Everything that the interfaces use, wired for one data folder and database."""

    settings: Settings
    database: Database

    @cached_property
    def launcher(self) -> Launcher:
        if self.settings.broker_url:
            from pitboss.launch.celery import CeleryLauncher

            return CeleryLauncher(self.settings)
        return LocalLauncher(self.settings, SqlWorkerRegistry(self.database), self.starts)

    @cached_property
    def starts(self) -> SqlStartRecord:
        return SqlStartRecord(self.database)

    def take_up(self) -> None:
        """See to it that what is unfinished goes on: start a worker where none is, and wait a little for its word.

        What keeps it from starting is told where people look: in the queue, by doctor, and by readiness.
        """
        if self.database.is_read_only or not self.service.has_unfinished():
            return
        self.launcher.ensure()
        self.launcher.settle(SETTLE_SECONDS)

    @cached_property
    def keeper(self) -> WorkerKeeper | Reconciler:
        """What a server runs beside itself, so that somebody works on what is queued."""
        if isinstance(self.launcher, LocalLauncher) and self.settings.local_worker:
            return WorkerKeeper(self.launcher)
        return Reconciler(self.service)

    @cached_property
    def service(self) -> RunService:
        database = self.database
        engine = Engine(
            SqlRunStore(database), SqlEventLog(database), SqlWorkerRegistry(database), SqlFigures(database),
            self.launcher, Kinds(self),
        )  # fmt: skip
        policy = Policy(limits_of(self.settings), self.settings.max_queue_size, self.settings.lease_seconds)
        return RunService(engine, policy, self.check_room)

    def check_schema(self) -> None:
        """Raise SchemaMismatch when the database was migrated since it was opened."""
        reason = obstacle(self.database)
        if reason:
            raise SchemaMismatch(reason.partition(":")[0], "restart with the new pitboss")

    def check_room(self) -> None:
        """Raise DiskFull when less disk is free than a run needs to start, Misplaced when the folder was moved."""
        self.database.check_place()
        free = shutil.disk_usage(self.settings.data_dir).free >> 20
        if free < self.settings.min_free_disk_mb:
            raise DiskFull(
                f"only {free} MB of disk are free, {self.settings.min_free_disk_mb} are needed",
                "free some space, or lower min_free_disk_mb",
            )

    @cached_property
    def files(self) -> Files:
        return open_files(self.settings.data_dir, self.settings.files_url)

    @cached_property
    def strategies(self) -> StrategyShelf:
        return StrategyShelf(self.database)

    @cached_property
    def catalog(self) -> Catalog:
        from pitboss.market.catalog import Catalog

        return Catalog(self.files)

    @cached_property
    def backtests(self) -> SavedBacktests:
        from pitboss.jobs.saved import SavedBacktests

        return SavedBacktests(BacktestShelf(self.database), self.service)

    def close(self) -> None:
        self.database.close()


def open_platform(settings: Settings) -> Platform:
    """Open the database, migrating it where needed, and wire the services.

    Raises StorageUnavailable when it cannot be used, SchemaMismatch when it is newer than the program.
    """
    return Platform(settings, _open(settings))


def _open(settings: Settings) -> Database:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(settings.data_dir, error, "choose another --data-dir") from None
    follow_folder(settings.data_dir)
    place_caches(settings.data_dir)
    database = Database(settings.url, settings.listen_url)
    bring_up_to_date(database)
    return database


def make_worker(settings: Settings, is_automatic: bool, entries: dict[str, Entry] | None = None) -> Worker:
    """Answer a worker; an automatic one is the only one of its host and ends when it has been idle for long."""
    database = _open(settings)
    config = WorkerConfig(
        data_dir=settings.data_dir,
        slots=settings.slots,
        lease_seconds=settings.lease_seconds,
        renew_seconds=settings.renew_seconds,
        cancel_grace_seconds=settings.cancel_grace_seconds,
        shutdown_grace_seconds=settings.shutdown_grace_seconds,
        idle_exit_seconds=settings.idle_exit_seconds if is_automatic else None,
        max_execution_seconds=settings.max_execution_seconds,
        memory_limit_mb=settings.memory_limit_mb,
        min_free_memory_mb=settings.min_free_memory_mb,
        min_free_disk_mb=settings.min_free_disk_mb,
        limits=limits_of(settings),
        version=VERSION,
        is_sole=is_automatic,
        resources=tuple(settings.resources),
        checkpoint_seconds=settings.checkpoint_seconds,
        files_url=settings.files_url,
        python_path=tuple(map(str, settings.python_path)),
        shares_kernel=database.is_sqlite,
    )
    pruner = Pruner(database, open_files(settings.data_dir, settings.files_url), settings.thin_seconds)
    return Worker(
        config, SqlRunStore(database), SqlWorkerRegistry(database), database.changes(), entries or ENTRIES,
        Upkeep(partial(obstacle, database), database.check_place, pruner.thin),
    )  # fmt: skip


def limits_of(settings: Settings) -> Limits:
    """Answer the limits on active runs."""
    return Limits(settings.max_concurrent, settings.kind_limits, settings.owner_limit, settings.ageing_seconds)
