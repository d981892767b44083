"""The registry of workers over SQL."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pitboss.runs.model import WorkerInfo
from pitboss.storage.database import Database
from pitboss.storage.tables import workers


def read_workers(connection: Connection, now: sa.ColumnElement[float]) -> list[WorkerInfo]:
    """Answer every worker, oldest first; `now` is the expression of the database's clock."""
    columns = (*workers.c, (now - workers.c.renewed_at).label("silent_seconds"))
    rows = connection.execute(sa.select(*columns).order_by(workers.c.started_at))
    return [WorkerInfo(**row._mapping) for row in rows]


class SqlWorkerRegistry:
    """Workers in a database; see `runs.ports.WorkerRegistry` for the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def register(self, worker: WorkerInfo, is_sole: bool, stale_after: float) -> bool:
        with self.database.writing() as connection:
            self.database.lock(connection, "workers")
            now = self.database.clock(connection)
            others = [w for w in read_workers(connection, self.database.now()) if w.host == worker.host]
            if is_sole and any(other.silent_seconds <= stale_after for other in others):
                return False
            values = {name: getattr(worker, name) for name in WorkerInfo.__dataclass_fields__ if name in workers.c}
            connection.execute(sa.insert(workers).values(**values | {"started_at": now, "renewed_at": now}))
        return True

    def list(self) -> list[WorkerInfo]:
        with self.database.reading() as connection:
            return read_workers(connection, self.database.now())

    def annotate(self, worker_id: str, note: str) -> None:
        with self.database.writing() as connection:
            connection.execute(sa.update(workers).where(workers.c.id == worker_id).values(note=note[:200]))

    def drain(self, worker_ids: Sequence[str]) -> None:
        with self.database.writing() as connection:
            connection.execute(sa.update(workers).where(workers.c.id.in_(list(worker_ids))).values(is_draining=True))

    def remove(self, worker_id: str) -> None:
        with self.database.writing() as connection:
            connection.execute(sa.delete(workers).where(workers.c.id == worker_id))
