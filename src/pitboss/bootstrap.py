"""The composition root: the only place that names concrete adapters."""

from __future__ import annotations

from dataclasses import dataclass

import pitboss
from pitboss.core.settings import Settings
from pitboss.jobs.backtest import BacktestKind
from pitboss.jobs.saved import SavedBacktests
from pitboss.jobs.sweep import SweepKind
from pitboss.launch.local import LocalLauncher
from pitboss.market.catalog import Catalog
from pitboss.runs.model import Limits
from pitboss.runs.ports import JobKind
from pitboss.runs.service import RunService
from pitboss.storage.database import Database
from pitboss.storage.documents import BacktestShelf, StrategyShelf
from pitboss.storage.events import SqlEventLog
from pitboss.storage.migrate import bring_up_to_date
from pitboss.storage.runs import SqlRunStore
from pitboss.storage.workers import SqlWorkerRegistry
from pitboss.worker.worker import Entry, Worker, WorkerConfig

ENTRIES = {
    "backtest": Entry("pitboss.jobs.backtest:run", is_resumable=True),
    "sweep": Entry("pitboss.jobs.sweep:run", is_resumable=True),
}


@dataclass(frozen=True)
class Platform:
    """Everything that the interfaces use, wired for one data folder and database."""

    settings: Settings
    database: Database
    service: RunService
    launcher: LocalLauncher
    catalog: Catalog
    strategies: StrategyShelf
    backtests: SavedBacktests

    def close(self) -> None:
        self.database.close()


def open_platform(settings: Settings) -> Platform:
    """Open the database, migrating it where needed, and wire the services.

    Raises StorageUnavailable when it cannot be used, SchemaMismatch when it is newer than the program.
    """
    database = Database(settings.url)
    bring_up_to_date(database)
    registry = SqlWorkerRegistry(database)
    launcher = LocalLauncher(settings, registry)
    catalog = Catalog(settings.data_dir / "bars")
    strategies = StrategyShelf(database)

    def lookup(name: str) -> str:
        return strategies.get(name).text

    kinds: dict[str, JobKind] = {kind.name: kind for kind in (BacktestKind(catalog, lookup), SweepKind(catalog, lookup))}
    service = RunService(
        SqlRunStore(database), SqlEventLog(database), registry, launcher, kinds, limits_of(settings),
        settings.max_queue_size, settings.lease_seconds,
    )  # fmt: skip
    saved = SavedBacktests(BacktestShelf(database), service)
    return Platform(settings, database, service, launcher, catalog, strategies, saved)


def make_worker(settings: Settings, is_automatic: bool, entries: dict[str, Entry] | None = None) -> Worker:
    """Answer a worker; an automatic one is the only one of its host and ends when it has been idle for long."""
    database = Database(settings.url)
    bring_up_to_date(database)
    config = WorkerConfig(
        settings.data_dir, settings.slots, settings.lease_seconds, settings.renew_seconds,
        settings.cancel_grace_seconds, settings.shutdown_grace_seconds,
        settings.idle_exit_seconds if is_automatic else None, settings.max_execution_seconds,
        settings.memory_limit_mb, settings.min_free_memory_mb, settings.min_free_disk_mb, limits_of(settings),
        pitboss.__version__, is_automatic,
    )  # fmt: skip
    return Worker(config, SqlRunStore(database), SqlWorkerRegistry(database), database.changes(), entries or ENTRIES)


def limits_of(settings: Settings) -> Limits:
    """Answer the limits on active runs."""
    return Limits(settings.max_concurrent, settings.kind_limits, settings.owner_limit, settings.ageing_seconds)
