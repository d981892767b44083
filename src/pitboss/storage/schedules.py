"""Schedules and their ticks over SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from pitboss.core.errors import Duplicate
from pitboss.routine.schedules import CatchUp, Overlap, Schedule, Tick, TickState
from pitboss.runs.states import TERMINAL, State
from pitboss.storage.database import Database
from pitboss.storage.tables import runs, schedules, ticks

_TERMINAL = [state.value for state in TERMINAL]


class SqlSchedules:
    """Schedules in a database; see `routine.schedules.ScheduleStore` for the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, schedule: Schedule) -> Schedule | None:
        try:
            with self.database.writing() as connection:
                connection.execute(sa.insert(schedules).values(**asdict(schedule) | {"tags": list(schedule.tags)}))
        except Duplicate:
            return None
        return schedule

    def get(self, owner: str, name: str) -> Schedule | None:
        return next(iter(self._found(schedules.c.owner == owner, schedules.c.name == name)), None)

    def all(self, owner: str | None = None) -> list[Schedule]:
        return self._found(*(() if owner is None else (schedules.c.owner == owner,)))

    def change(self, schedule_id: str, values: Mapping[str, Any]) -> Schedule | None:
        listed = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        with self.database.writing() as connection:
            connection.execute(sa.update(schedules).where(schedules.c.id == schedule_id).values(**listed))
        return next(iter(self._found(schedules.c.id == schedule_id)), None)

    def remove(self, schedule_id: str) -> None:
        with self.database.writing() as connection:
            connection.execute(sa.delete(ticks).where(ticks.c.schedule_id == schedule_id))
            connection.execute(sa.delete(schedules).where(schedules.c.id == schedule_id))

    def note(self, schedule: Schedule, found: Sequence[Tick], until: float) -> bool:
        seen = sa.update(schedules).where(
            schedules.c.id == schedule.id, schedules.c.seen_until == schedule.seen_until,
            schedules.c.is_paused == sa.false(),
        ).values(seen_until=until)  # fmt: skip
        with self.database.writing() as connection:
            if not connection.execute(seen).rowcount:
                return False
            now = self.database.clock(connection)
            rows = [asdict(tick) | {"state": tick.state.value, "changed_at": now} for tick in found]
            connection.execute(self.database.insert(ticks).on_conflict_do_nothing(), rows)
        return True

    def due(self) -> list[tuple[Schedule, Tick]]:
        statement = (
            sa.select(schedules, ticks)
            .join(ticks, ticks.c.schedule_id == schedules.c.id)
            .where(ticks.c.state == TickState.DUE.value, schedules.c.is_paused == sa.false())
            .order_by(ticks.c.at)
        )
        with self.database.reading() as connection:
            return [(_schedule(row), _tick(row)) for row in connection.execute(statement)]

    def settle(self, tick: Tick) -> None:
        statement = sa.update(ticks).where(
            ticks.c.schedule_id == tick.schedule_id, ticks.c.at == tick.at, ticks.c.state == TickState.DUE.value
        )
        with self.database.writing() as connection:
            values = {"state": tick.state.value, "run_id": tick.run_id, "note": tick.note}
            connection.execute(statement.values(**values, changed_at=self.database.now()))

    def ticks(self, schedule_id: str, limit: int) -> list[Tick]:
        statement = sa.select(ticks).where(ticks.c.schedule_id == schedule_id).order_by(ticks.c.at.desc()).limit(limit)
        with self.database.reading() as connection:
            return [_tick(row) for row in connection.execute(statement)]

    def unfinished(self, schedule_id: str) -> bool:
        statement = (
            sa.select(ticks.c.run_id)
            .join(runs, runs.c.id == ticks.c.run_id)
            .where(ticks.c.schedule_id == schedule_id, runs.c.state.not_in(_TERMINAL))
        )
        with self.database.reading() as connection:
            return connection.execute(statement.limit(1)).first() is not None

    def ended(self, owner: str, kind: str, after: float) -> list[float]:
        completed = (runs.c.owner == owner, runs.c.kind == kind, runs.c.state == State.COMPLETED.value)
        statement = sa.select(runs.c.ended_at).where(*completed, runs.c.ended_at > after).order_by(runs.c.ended_at)
        with self.database.reading() as connection:
            return [float(at) for at in connection.execute(statement).scalars()]

    def now(self) -> float:
        with self.database.reading() as connection:
            return self.database.clock(connection)

    def _found(self, *conditions: sa.ColumnElement[bool]) -> list[Schedule]:
        statement = sa.select(schedules).where(*conditions).order_by(schedules.c.owner, schedules.c.name)
        with self.database.reading() as connection:
            return [_schedule(row) for row in connection.execute(statement)]


def _schedule(row: sa.Row[Any]) -> Schedule:
    values = {column.name: row._mapping[column] for column in schedules.c}
    return Schedule(
        **values | {"tags": tuple(values["tags"]), "catch_up": CatchUp(values["catch_up"]),
                    "overlap": Overlap(values["overlap"])}
    )  # fmt: skip


def _tick(row: sa.Row[Any]) -> Tick:
    values = {column.name: row._mapping[column] for column in ticks.c if column.name != "changed_at"}
    return Tick(**values | {"state": TickState(values["state"])})
