"""The registry of workers over SQL."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pitboss.runs.model import WorkerInfo
from pitboss.storage.database import Database
from pitboss.storage.tables import workers


def read_workers(connection: Connection) -> list[WorkerInfo]:
    """Answer every worker, oldest first."""
    rows = connection.execute(sa.select(workers).order_by(workers.c.started_at))
    return [WorkerInfo(**row._mapping) for row in rows]


class SqlWorkerRegistry:
    """Workers in a database; see `runs.ports.WorkerRegistry` for the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def register(self, worker: WorkerInfo, is_sole: bool, stale_after: float) -> bool:
        with self.database.writing() as connection:
            self.database.lock(connection, "workers")
            now = self.database.clock(connection)
            others = [w for w in read_workers(connection) if w.host == worker.host]
            if is_sole and any(now - other.renewed_at <= stale_after for other in others):
                return False
            values = {name: getattr(worker, name) for name in WorkerInfo.__dataclass_fields__}
            connection.execute(sa.insert(workers).values(**values | {"started_at": now, "renewed_at": now}))
        return True

    def list(self) -> list[WorkerInfo]:
        with self.database.reading() as connection:
            return read_workers(connection)

    def annotate(self, worker_id: str, note: str) -> None:
        """Say why a worker claims nothing; empty when it does."""
        with self.database.writing() as connection:
            connection.execute(sa.update(workers).where(workers.c.id == worker_id).values(note=note[:200]))

    def remove(self, worker_id: str) -> None:
        with self.database.writing() as connection:
            connection.execute(sa.delete(workers).where(workers.c.id == worker_id))
