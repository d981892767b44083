"""What is counted and measured over many runs, read when somebody asks."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pitboss.runs.model import Measures
from pitboss.runs.states import State
from pitboss.storage.database import Database
from pitboss.storage.tables import runs

RECENT = 500  # runs from which waits and cancels are measured


class SqlFigures:
    """Figures over SQL; see `runs.ports.Figures` for the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def statistics(self, owner: str, subject: str | None = None) -> dict[str, Any]:
        matching = [runs.c.owner == owner, *([runs.c.subject == subject] if subject is not None else [])]
        counts = sa.select(runs.c.state, sa.func.count()).where(*matching).group_by(runs.c.state)
        duration = runs.c.ended_at - runs.c.started_at
        completed = sa.select(sa.func.count(), sa.func.avg(duration), sa.func.max(duration)).where(
            runs.c.state == State.COMPLETED, *matching
        )
        with self.database.reading() as connection:
            by_state: dict[str, int] = dict(connection.execute(counts).tuples().all())
            count, mean, longest = connection.execute(completed).one()
        return {
            "by_state": {state.value: by_state.get(state.value, 0) for state in State},
            "completed": count,
            "mean_seconds": mean,
            "longest_seconds": longest,
        }

    def measures(self) -> Measures:
        counts = sa.select(runs.c.state, runs.c.kind, sa.func.count()).group_by(runs.c.state, runs.c.kind)
        with self.database.reading() as connection:
            by_state_and_kind = {(state, kind): count for state, kind, count in connection.execute(counts)}
            lost = connection.execute(sa.select(sa.func.sum(runs.c.attempt - 1))).scalar_one() or 0
            waits = self._recent(connection, runs.c.claimed_at - runs.c.queued_at, runs.c.attempt == 1)
            cancels = self._recent(
                connection, runs.c.ended_at - runs.c.cancel_requested_at, runs.c.state == State.CANCELLED
            )
        return Measures(by_state_and_kind, int(lost), waits, cancels)

    def _recent(
        self, connection: sa.Connection, seconds: sa.ColumnElement[float], condition: sa.ColumnElement[bool]
    ) -> list[float]:
        statement = (
            sa.select(seconds).where(condition, seconds.is_not(None)).order_by(runs.c.serial.desc()).limit(RECENT)
        )
        return sorted(float(value) for value in connection.execute(statement).scalars())
