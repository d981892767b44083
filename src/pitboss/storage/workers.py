"""The registry of workers over SQL."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pitboss.runs.model import FailedStart, WorkerInfo
from pitboss.storage.database import Database
from pitboss.storage.tables import failed_starts, workers


def read_workers(connection: Connection, now: sa.ColumnElement[float]) -> list[WorkerInfo]:
    """Answer every worker, oldest first; `now` is the expression of the database's clock."""
    columns = (*workers.c, (now - workers.c.renewed_at).label("silent_seconds"))
    rows = connection.execute(sa.select(*columns).order_by(workers.c.started_at))
    return [WorkerInfo(**row._mapping) for row in rows]


def read_failed_starts(connection: Connection) -> list[FailedStart]:
    """Answer the hosts on which the last start of a worker failed."""
    return [FailedStart(**row._mapping) for row in connection.execute(sa.select(failed_starts))]


class SqlWorkerRegistry:
    """Workers in a database; see `runs.ports.WorkerRegistry` for the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def register(self, worker: WorkerInfo, is_sole: bool, stale_after: float) -> bool:
        with self.database.writing() as connection:
            self.database.lock(connection, "workers")
            now = self.database.clock(connection)
            others = [w for w in read_workers(connection, self.database.now()) if w.host == worker.host]
            if is_sole and any(other.has_renewed(stale_after) for other in others):
                return False
            values = {name: getattr(worker, name) for name in WorkerInfo.__dataclass_fields__ if name in workers.c}
            connection.execute(sa.insert(workers).values(**values | {"started_at": now, "renewed_at": now}))
            connection.execute(sa.delete(failed_starts).where(failed_starts.c.host == worker.host))
        return True

    def all(self) -> list[WorkerInfo]:
        with self.database.reading() as connection:
            return read_workers(connection, self.database.now())

    def annotate(self, worker_id: str, note: str) -> None:
        with self.database.writing() as connection:
            connection.execute(sa.update(workers).where(workers.c.id == worker_id).values(note=note[:200]))

    def note_kernel_kills(self, worker_id: str, count: int) -> None:
        with self.database.writing() as connection:
            connection.execute(sa.update(workers).where(workers.c.id == worker_id).values(kernel_kills=count))

    def drain(self, worker_ids: Sequence[str]) -> None:
        with self.database.writing() as connection:
            connection.execute(sa.update(workers).where(workers.c.id.in_(list(worker_ids))).values(is_draining=True))

    def remove(self, worker_id: str) -> None:
        with self.database.writing() as connection:
            connection.execute(sa.delete(workers).where(workers.c.id == worker_id))


class SqlStartRecord:
    """Failed starts in a database; see `runs.ports.StartRecord` for the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def note(self, host: str, reason: str, retry_seconds: float) -> FailedStart:
        with self.database.writing() as connection:
            self.database.lock(connection, "workers")
            now = self.database.clock(connection)
            ours = failed_starts.c.host == host
            before = connection.execute(sa.select(failed_starts.c.count).where(ours)).scalar_one_or_none() or 0
            failed = FailedStart(host, reason[:500], before + 1, now, now + retry_seconds)
            connection.execute(sa.delete(failed_starts).where(ours))
            values = {name: getattr(failed, name) for name in FailedStart.__dataclass_fields__}
            connection.execute(sa.insert(failed_starts).values(**values))
        return failed

    def find(self) -> list[FailedStart]:
        with self.database.reading() as connection:
            return read_failed_starts(connection)
