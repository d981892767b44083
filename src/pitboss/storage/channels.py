"""Channels and what is told over them, over SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from pitboss.core.errors import Duplicate
from pitboss.routine.channels import Channel, News, Notice, NoticeState
from pitboss.routine.schedules import TickState
from pitboss.runs.model import Run
from pitboss.runs.states import TERMINAL
from pitboss.storage.database import Database
from pitboss.storage.runs import RUN_COLUMNS, run_of
from pitboss.storage.tables import channels, notices, runs, schedules, ticks

MOST_DUE = 4  # as many as are sent at once, well within the time for which they are taken
_TERMINAL = [state.value for state in TERMINAL]
_MISSED = [TickState.MISSED.value, TickState.REFUSED.value]


class SqlChannels:
    """Channels in a database; see `routine.channels.ChannelStore` for the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, channel: Channel) -> Channel | None:
        values = asdict(channel) | {"news": [each.value for each in channel.news]}
        try:
            with self.database.writing() as connection:
                connection.execute(sa.insert(channels).values(**values))
        except Duplicate:
            return None
        return channel

    def all(self, owner: str | None = None) -> list[Channel]:
        statement = sa.select(channels).order_by(channels.c.owner, channels.c.name)
        if owner is not None:
            statement = statement.where(channels.c.owner == owner)
        with self.database.reading() as connection:
            return [_channel(row) for row in connection.execute(statement)]

    def remove(self, channel_id: str) -> None:
        with self.database.writing() as connection:
            connection.execute(sa.delete(notices).where(notices.c.channel_id == channel_id))
            connection.execute(sa.delete(channels).where(channels.c.id == channel_id))

    def ended(self, owner: str, since: float, limit: int) -> list[Run]:
        of_owner = (runs.c.owner == owner, runs.c.ended_at >= since, runs.c.state.in_(_TERMINAL))
        statement = sa.select(*RUN_COLUMNS).where(*of_owner).order_by(runs.c.ended_at).limit(limit)
        with self.database.reading() as connection:
            return [run_of(row) for row in connection.execute(statement)]

    def missed(self, owner: str, since: float, limit: int) -> list[tuple[str, float, str]]:
        statement = (
            sa.select(schedules.c.name, ticks.c.at, ticks.c.note)
            .join(schedules, schedules.c.id == ticks.c.schedule_id)
            .where(schedules.c.owner == owner, ticks.c.state.in_(_MISSED), ticks.c.changed_at >= since)
            .order_by(ticks.c.changed_at)
            .limit(limit)
        )
        with self.database.reading() as connection:
            return [(row.name, row.at, row.note) for row in connection.execute(statement)]

    def note(self, channel: Channel, found: Sequence[Notice], until: float) -> None:
        rows = [asdict(notice) | {"state": notice.state.value} for notice in found]
        with self.database.writing() as connection:
            if rows:
                connection.execute(self.database.insert(notices).on_conflict_do_nothing(), rows)
            seen = sa.update(channels).where(channels.c.id == channel.id, channels.c.seen_until < until)
            connection.execute(seen.values(seen_until=until))

    def take(self, until: float) -> list[tuple[Channel, Notice]]:
        with self.database.reading() as connection:
            now = self.database.clock(connection)
            due = (notices.c.state == NoticeState.WAITING.value, notices.c.due_at <= now)
            statement = sa.select(channels, notices).join(channels, channels.c.id == notices.c.channel_id).where(*due)
            found = list(connection.execute(statement.order_by(notices.c.due_at).limit(MOST_DUE)))
        if not found:
            return []
        taken = []
        with self.database.writing() as connection:
            for row in found:
                notice = _notice(row)
                is_still = (notices.c.due_at == notice.due_at, notices.c.state == NoticeState.WAITING.value)
                mine = sa.update(notices).where(*_one(notice), *is_still)
                if connection.execute(mine.values(due_at=until)).rowcount:
                    taken.append((_channel(row), replace(notice, due_at=until)))
        return taken

    def settle(self, taken: Notice, notice: Notice) -> None:
        values = {
            "state": notice.state.value, "attempts": notice.attempts, "due_at": notice.due_at, "error": notice.error,
        }  # fmt: skip
        is_mine = (notices.c.state == NoticeState.WAITING.value, notices.c.due_at == taken.due_at)
        with self.database.writing() as connection:
            connection.execute(sa.update(notices).where(*_one(notice), *is_mine).values(**values))

    def notices(self, channel_id: str, limit: int) -> list[Notice]:
        statement = sa.select(notices).where(notices.c.channel_id == channel_id)
        with self.database.reading() as connection:
            rows = connection.execute(statement.order_by(notices.c.created_at.desc()).limit(limit))
            return [_notice(row) for row in rows]

    def now(self) -> float:
        with self.database.reading() as connection:
            return self.database.clock(connection)


def _one(notice: Notice) -> tuple[sa.ColumnElement[bool], ...]:
    return notices.c.channel_id == notice.channel_id, notices.c.key == notice.key


def _channel(row: sa.Row[Any]) -> Channel:
    values = {column.name: row._mapping[column] for column in channels.c}
    return Channel(**values | {"news": tuple(News(each) for each in values["news"])})


def _notice(row: sa.Row[Any]) -> Notice:
    values = {column.name: row._mapping[column] for column in notices.c}
    return Notice(**values | {"state": NoticeState(values["state"])})
