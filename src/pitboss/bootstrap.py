"""The composition root: the only place that names concrete adapters."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pitboss.accounts.overseer import AuditedOverseer
from pitboss.accounts.service import AccountService
from pitboss.accounts.vault import Vault
from pitboss.belongings import OwnDocuments, OwnModels, OwnQuotes, OwnSecrets, OwnTraders, Sources
from pitboss.core.errors import DiskFull, SchemaMismatch
from pitboss.core.files import Files, open_files
from pitboss.core.places import follow_folder, place_caches, run_log, unusable
from pitboss.core.principal import LOCAL, Principal
from pitboss.core.sealing import Seal
from pitboss.core.settings import Settings
from pitboss.core.version import VERSION
from pitboss.launch.local import LocalLauncher, WorkerKeeper
from pitboss.launch.reconciler import Reconciler
from pitboss.learning.registry import Registry
from pitboss.market.catalog import LOCAL as LOCAL_BARS
from pitboss.market.catalog import Catalog, home_of
from pitboss.runs.kinds import Family, Kinds
from pitboss.runs.model import Limits, Run, RunQuery
from pitboss.runs.ports import Launcher
from pitboss.runs.presets import Presets
from pitboss.runs.service import Policy, Ports, RunService
from pitboss.runs.sharing import Sharing
from pitboss.storage import tables
from pitboss.storage.accounts import SqlAccountStore
from pitboss.storage.audit import SqlAudit
from pitboss.storage.database import Database
from pitboss.storage.documents import BacktestShelf, DocumentShelf
from pitboss.storage.events import SqlEventLog
from pitboss.storage.figures import SqlFigures
from pitboss.storage.migrate import bring_up_to_date, obstacle
from pitboss.storage.models import SqlModels
from pitboss.storage.presets import SqlPresets
from pitboss.storage.pruning import Pruner
from pitboss.storage.remarks import SqlRemarks
from pitboss.storage.runs import SqlRunStore
from pitboss.storage.secrets import SqlSecrets
from pitboss.storage.shares import SqlShares
from pitboss.storage.trading import SqlTrading
from pitboss.storage.workers import SqlStartRecord, SqlWorkerRegistry
from pitboss.trading.service import TradingService

if TYPE_CHECKING:
    from pitboss.kinds.backtest.saved import SavedBacktests
    from pitboss.kinds.session.bench import Bench
    from pitboss.market.store import BarStore
    from pitboss.routine.chains import Chainer, Chains
    from pitboss.routine.channels import Channel, Channels
    from pitboss.routine.herald import Herald
    from pitboss.routine.scheduler import Scheduler
    from pitboss.routine.schedules import Schedules
    from pitboss.worker.worker import Worker

SETTLE_SECONDS = 2.0
MOST_EARLIER = 1000
_NUMERIC = (
    "numpy", "polars", "pitboss.backtesting.warming", "pitboss.screening.worth", "pitboss.kinds.documents.bars",
)  # fmt: skip
FAMILIES: dict[Family, tuple[str, ...]] = {
    Family.BARE: (),
    Family.NUMERIC: _NUMERIC,
    Family.LEARNING: (*_NUMERIC, "pitboss.learning.warming"),
    Family.AGENTS: (*_NUMERIC, "pitboss.sessions.agents.warming"),
}


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
        return Reconciler(self.service, self.launcher)

    @cached_property
    def schedules(self) -> Schedules:
        from pitboss.routine.schedules import Schedules
        from pitboss.storage.schedules import SqlSchedules

        return Schedules(SqlSchedules(self.database), self.service)

    @cached_property
    def presets(self) -> Presets:
        return Presets(SqlPresets(self.database), self.service)

    @cached_property
    def chains(self) -> Chains:
        from pitboss.routine.chains import Chains
        from pitboss.storage.chains import SqlChains

        return Chains(SqlChains(self.database), self.service)

    @cached_property
    def channels(self) -> Channels:
        from pitboss.routine.channels import Channels
        from pitboss.routine.sending import check_address, send
        from pitboss.storage.channels import SqlChannels

        return Channels(SqlChannels(self.database), self.vault, send, check_address)

    @cached_property
    def routine(self) -> tuple[Scheduler, Chainer, Herald]:
        """What a server runs beside itself, so that schedules are kept, chains go on, and people are told."""
        from pitboss.routine.chains import Chainer
        from pitboss.routine.herald import Herald
        from pitboss.routine.scheduler import Scheduler
        from pitboss.routine.sending import send
        from pitboss.storage.chains import SqlChains
        from pitboss.storage.channels import SqlChannels
        from pitboss.storage.schedules import SqlSchedules

        def address(channel: Channel) -> str:
            return self.vault.values(channel.owner, [channel.secret])[channel.secret]

        database, link = self.database, self.settings.public_url.rstrip("/")
        return (
            Scheduler(SqlSchedules(database), self.service, self.accounts.owner),
            Chainer(SqlChains(database), self.service, self.accounts.owner),
            Herald(SqlChannels(database), self.kinds, address, send, link),
        )

    @cached_property
    def log(self) -> SqlEventLog:
        return SqlEventLog(self.database)

    @cached_property
    def remarks(self) -> SqlRemarks:
        return SqlRemarks(self.database)

    @cached_property
    def service(self) -> RunService:
        database = self.database
        ports = Ports(
            store=SqlRunStore(database), log=self.log, registry=SqlWorkerRegistry(database),
            figures=SqlFigures(database), launcher=self.launcher, kinds=self.kinds, remarks=self.remarks,
            sources=self.sources, shares=SqlShares(database), overseer=self.overseer,
        )  # fmt: skip
        policy = Policy(limits_of(self.settings), self.settings.max_queue_size, self.settings.lease_seconds)
        return RunService(ports, policy, self.check_room)

    @property
    def place(self) -> str:
        """Where this is, in words."""
        return str(self.settings.data_dir)

    def log_of(self, run: Run) -> str:
        """Answer what a run's process wrote."""
        path = run_log(self.settings.data_dir, run.id)
        return path.read_text(errors="replace") if path.exists() else ""

    def bring(self, _symbols: Collection[str], _data_dir: Path | None) -> None:
        """Whatever bars are at hand are here."""

    def prove(self) -> None:
        """Whoever works here is known."""

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
    def strategies(self) -> DocumentShelf:
        return DocumentShelf(self.database, tables.strategies, "strategy")

    @cached_property
    def screens(self) -> DocumentShelf:
        return DocumentShelf(self.database, tables.screens, "screen")

    @cached_property
    def accounts(self) -> AccountService:
        return AccountService(SqlAccountStore(self.database), SqlAudit(self.database))

    @cached_property
    def overseer(self) -> AuditedOverseer:
        return AuditedOverseer(self.accounts)

    @cached_property
    def vault(self) -> Vault:
        return Vault(SqlSecrets(self.database), Seal(self.settings.key_file), self.accounts.audit)

    @cached_property
    def models(self) -> Registry:
        return Registry(SqlModels(self.database))

    @cached_property
    def trading(self) -> TradingService:
        def check(agent: Mapping[str, Any]) -> dict[str, Any]:
            from pitboss.sessions.agents.spec import read_agent

            return read_agent(agent).model_dump(mode="json")

        return TradingService(SqlTrading(self.database), check)

    @cached_property
    def bench(self) -> Bench:
        from pitboss.kinds.session.bench import Bench

        return Bench(self.service, self.trading)

    @cached_property
    def sharing(self) -> Sharing:
        return Sharing(SqlShares(self.database), self.service, self.accounts.audit, self.accounts.is_enabled)

    @cached_property
    def who(self) -> Principal:
        """Whom commands on this machine work for."""
        return self.accounts.local()

    def sources(self, who: Principal, seen: Mapping[str, Any] | None = None) -> Sources:
        """Answer where kinds find what somebody's params name; `seen` is the snapshot of a run that is done again."""
        from pitboss.kinds.script.registry import Scripts

        scripts = Scripts(self.settings.script_folders, who)
        return Sources(
            OwnDocuments(self.strategies, who), OwnDocuments(self.screens, who), self.catalog_of(who), scripts,
            OwnSecrets(self.vault, who), self.settings.sources, partial(self._earlier, who),
            OwnTraders(self.trading, who), partial(self.service.resolve, who), OwnModels(self.models, who), seen or {},
        )  # fmt: skip

    def _earlier(self, who: Principal, subject: str) -> list[Run]:
        return self.service.find(who, RunQuery(subject=subject, limit=MOST_EARLIER))

    @cached_property
    def kinds(self) -> Kinds:
        """The kinds of run that are installed; packages load at the first look."""
        return Kinds()

    @cached_property
    def catalog(self) -> Catalog:
        return Catalog(self.files)

    def home_of(self, who: Principal) -> str:
        """Answer the folder of somebody's own bars: whoever works on this machine has those of before there were
        accounts."""
        return LOCAL_BARS if who == LOCAL or who.name == self.accounts.heir() else home_of(who.name)

    def catalog_of(self, who: Principal) -> Catalog:
        """Answer the bars that somebody may use."""
        return Catalog(self.files, self.home_of(who))

    @cached_property
    def bars(self) -> BarStore:
        """The catalog with its rows, for which polars and numba load."""
        from pitboss.market.store import BarStore

        return BarStore(self.files)

    def quotes_of(self, who: Principal) -> OwnQuotes:
        """Answer the prices of the bars that somebody may use."""
        return OwnQuotes(self.files, self.home_of(who))

    @cached_property
    def backtests(self) -> SavedBacktests:
        from pitboss.kinds.backtest.saved import SavedBacktests

        return SavedBacktests(BacktestShelf(self.database), self.service, self.remarks, SqlShares(self.database))

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


def run_worker(
    settings: Settings, is_automatic: bool, kinds: Kinds | None = None, on_ready: Callable[[], None] = lambda: None
) -> bool:
    """Be a worker until it is stopped; an automatic one is the only one of its host and ends when idle for long.

    False when another one serves this host already. Raises what opening the database and `Worker.run` do.
    """
    with closing(_open(settings)) as database:
        return _make_worker(settings, database, is_automatic, kinds or Kinds()).run(on_ready)


def _make_worker(settings: Settings, database: Database, is_automatic: bool, kinds: Kinds) -> Worker:
    from pitboss.worker.config import Upkeep, WorkerConfig  # the commands that list need none of it
    from pitboss.worker.worker import Worker

    vault = Vault(SqlSecrets(database), Seal(settings.key_file), SqlAudit(database))
    config = WorkerConfig(
        data_dir=settings.data_dir,
        slots=settings.capacity,
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
        checkpoint_seconds=settings.checkpoint_seconds,
        files_url=settings.files_url,
        python_path=tuple(map(str, settings.python_path)),
        shares_kernel=database.is_sqlite,
        database_url=settings.url,
        families=FAMILIES,
        secrets=vault.values,
    )
    pruner = Pruner(database, open_files(settings.data_dir, settings.files_url), settings.thin_seconds)
    return Worker(
        config, SqlRunStore(database), SqlWorkerRegistry(database), database.changes(), kinds,
        Upkeep(partial(obstacle, database), database.check_place, pruner.thin),
    )  # fmt: skip


def limits_of(settings: Settings) -> Limits:
    """Answer the limits on active runs."""
    return Limits(settings.max_concurrent, settings.kind_limits, settings.owner_limit, settings.ageing_seconds)
