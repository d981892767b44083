"""The event log over SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pitboss.runs.model import StoredEvent
from pitboss.storage.database import Database
from pitboss.storage.tables import run_events, runs

RUNS_AT_ONCE = 50  # in one statement
_COLUMNS = (run_events.c.run_id, run_events.c.seq, run_events.c.ts, run_events.c.type, run_events.c.payload)


class SqlEventLog:
    """Events in a database; see `runs.ports.EventLog` for the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def read(self, run_id: str, after: int = 0, limit: int = 1000, types: Collection[str] = ()) -> list[StoredEvent]:
        statement = sa.select(*_COLUMNS).where(run_events.c.run_id == run_id, run_events.c.seq > after)
        if types:
            return self._read_of(types, statement.order_by(run_events.c.seq).limit(limit))[:limit]
        return self._read(statement.order_by(run_events.c.seq).limit(limit))

    def latest(self, run_id: str, count: int, types: Collection[str], until: int | None = None) -> list[StoredEvent]:
        statement = sa.select(*_COLUMNS).where(run_events.c.run_id == run_id)
        if until is not None:
            statement = statement.where(run_events.c.seq <= until)
        return self._read_of(types, statement.order_by(run_events.c.seq.desc()).limit(count))[-count:]

    def sample(self, run_id: str, count: int, type: str, until: int) -> list[StoredEvent]:
        seq, found = run_events.c.seq, (run_events.c.run_id == run_id, run_events.c.type == type)
        ends = sa.select(sa.func.min(seq), sa.func.max(seq)).where(*found, seq <= until)
        with self.database.reading() as connection:
            first, last = connection.execute(ends).one()
            if first is None:
                return []
            width = (last - first) // count + 1
            picked = sa.select(sa.func.max(seq)).where(*found, seq <= last).group_by((last - seq) // width)
            statement = sa.select(*_COLUMNS).where(run_events.c.run_id == run_id, seq.in_(picked)).order_by(seq)
            return [StoredEvent(*row) for row in connection.execute(statement)]

    def _read_of(self, types: Collection[str], statement: sa.Select[Any]) -> list[StoredEvent]:
        """Answer in order what a limited statement finds of each type: a walk along the index for each, without a sort
        of all that there is."""
        each = [sa.select(statement.where(run_events.c.type == type).subquery()) for type in types]
        return sorted(self._read(sa.union_all(*each)), key=lambda event: event.seq)

    def _read(self, statement: sa.Executable) -> list[StoredEvent]:
        with self.database.reading() as connection:
            return [StoredEvent(*row) for row in connection.execute(statement)]

    def tail(self, after: Mapping[str, int], limit: int = 1000) -> list[StoredEvent]:
        found: list[StoredEvent] = []
        positions = list(after.items())
        with self.database.reading() as connection:
            for start in range(0, len(positions), RUNS_AT_ONCE):
                beyond = [
                    sa.and_(run_events.c.run_id == run_id, run_events.c.seq > seq)
                    for run_id, seq in positions[start : start + RUNS_AT_ONCE]
                ]
                statement = sa.select(*_COLUMNS).where(sa.or_(*beyond)).order_by(run_events.c.run_id, run_events.c.seq)
                found += [StoredEvent(*row) for row in connection.execute(statement.limit(limit))]
        return found

    def heads(self, run_ids: Sequence[str]) -> dict[str, int]:
        statement = sa.select(runs.c.id, runs.c.last_seq).where(runs.c.id.in_(list(run_ids)))
        with self.database.reading() as connection:
            return dict(connection.execute(statement).tuples().all())
