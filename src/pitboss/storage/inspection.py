"""Looking for what should not be in a database, with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from pitboss.runs.states import ACTIVE
from pitboss.storage.database import Database
from pitboss.storage.tables import run_events, runs


@dataclass(frozen=True, slots=True)
class Damage:
    """Something in the database that should not be, and what to do about it."""

    what: str
    remedy: str


def stuck_runs(database: Database, lease_seconds: float) -> list[Damage]:
    """Answer active runs whose lease ended longer ago than it lasts: nobody takes them up."""
    ended = runs.c.lease_until < database.now() - lease_seconds
    statement = sa.select(runs.c.id, runs.c.state).where(runs.c.state.in_([state.value for state in ACTIVE]), ended)
    remedy = "start a worker: it takes such runs up"
    with database.reading() as connection:
        found = connection.execute(statement).all()
    return [Damage(f"run {run_id} is {state}, but nobody holds it", remedy) for run_id, state in found]


def broken_logs(database: Database, thin_seconds: float) -> list[Damage]:
    """Answer runs whose log has a hole, but for those that were thinned, or may just be: they ended that long ago."""
    is_fresh = sa.or_(runs.c.ended_at.is_(None), runs.c.ended_at > database.now() - thin_seconds)
    count = sa.func.count(run_events.c.seq)
    statement = (
        sa.select(runs.c.id, runs.c.last_seq, count)
        .outerjoin(run_events, run_events.c.run_id == runs.c.id)
        .where(runs.c.thinned_at.is_(None), is_fresh)
        .group_by(runs.c.id, runs.c.last_seq)
        .having(count != runs.c.last_seq)
    )
    remedy = "restore a backup, or leave it: the run itself is not affected"
    with database.reading() as connection:
        found = connection.execute(statement).all()
    return [Damage(f"the log of run {run_id} has {have} of {last} events", remedy) for run_id, last, have in found]
