"""Strategy documents with every version kept, and saved backtests, over SQL."""

from __future__ import annotations

import builtins
import hashlib
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from pitboss.core.errors import Conflict, Duplicate, NotFound
from pitboss.core.ids import new_id
from pitboss.storage.database import Database
from pitboss.storage.tables import backtests, strategies


@dataclass(frozen=True, slots=True)
class StoredStrategy:
    """One version of a document. Versions count from 1 and are never changed or removed."""

    name: str
    version: int
    text: str
    digest: str
    owner: str
    created_at: float


@dataclass(frozen=True, slots=True)
class SavedBacktest:
    """A named configuration of a backtest: `params` are those of a run."""

    id: str
    name: str
    owner: str
    params: dict[str, Any]
    created_at: float
    updated_at: float


class StrategyShelf:
    """Keeps strategy documents by name."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, name: str, text: str, owner: str) -> StoredStrategy:
        """Store `text` as the next version of `name`; the text of the newest version again is that version."""
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        with self.database.writing() as connection:
            self.database.lock(connection, f"strategy {name}")
            newest = connection.execute(self._newest(name)).one_or_none()
            if newest is not None and newest.digest == digest:
                return StoredStrategy(**newest._mapping)
            version = newest.version + 1 if newest is not None else 1
            stored = StoredStrategy(name, version, text, digest, owner, self.database.clock(connection))
            values = {field: getattr(stored, field) for field in StoredStrategy.__dataclass_fields__}
            connection.execute(sa.insert(strategies).values(**values))
        return stored

    def get(self, name: str, version: int | None = None) -> StoredStrategy:
        """Answer a version, the newest unless one is named. Raises NotFound."""
        statement = self._newest(name)
        if version is not None:
            statement = sa.select(strategies).where(strategies.c.name == name, strategies.c.version == version)
        with self.database.reading() as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            which = f"'{name[:64]}'" if version is None else f"'{name[:64]}' version {version}"
            raise NotFound(f"there is no strategy {which}", "see 'pitboss strategy list'")
        return StoredStrategy(**row._mapping)

    def list(self) -> list[StoredStrategy]:
        """Answer the newest version of every strategy, by name."""
        newest = sa.select(strategies.c.name, sa.func.max(strategies.c.version).label("version"))
        latest = newest.group_by(strategies.c.name).subquery()
        statement = sa.select(strategies).join(
            latest, (strategies.c.name == latest.c.name) & (strategies.c.version == latest.c.version)
        )
        with self.database.reading() as connection:
            rows = connection.execute(statement.order_by(strategies.c.name))
            return [StoredStrategy(**row._mapping) for row in rows]

    def versions(self, name: str) -> builtins.list[StoredStrategy]:
        """Answer every version of a strategy, oldest first. Raises NotFound."""
        statement = sa.select(strategies).where(strategies.c.name == name).order_by(strategies.c.version)
        with self.database.reading() as connection:
            found = [StoredStrategy(**row._mapping) for row in connection.execute(statement)]
        if not found:
            raise NotFound(f"there is no strategy '{name[:64]}'", "see 'pitboss strategy list'")
        return found

    def _newest(self, name: str) -> sa.Select[Any]:
        statement = sa.select(strategies).where(strategies.c.name == name)
        return statement.order_by(strategies.c.version.desc()).limit(1)


class BacktestShelf:
    """Keeps saved backtests by id; names are unique."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def create(self, name: str, params: dict[str, Any], owner: str) -> SavedBacktest:
        """Store a configuration. Raises Conflict when the name is taken."""
        try:
            with self.database.writing() as connection:
                now = self.database.clock(connection)
                saved = SavedBacktest(new_id(), name, owner, params, now, now)
                values = {field: getattr(saved, field) for field in SavedBacktest.__dataclass_fields__}
                connection.execute(sa.insert(backtests).values(**values))
        except Duplicate:
            raise Conflict(f"there is a backtest '{name}' already", "choose another name, or change that one") from None
        return saved

    def get(self, backtest_id: str) -> SavedBacktest:
        """Answer a configuration. Raises NotFound."""
        with self.database.reading() as connection:
            row = connection.execute(sa.select(backtests).where(backtests.c.id == backtest_id)).one_or_none()
        if row is None:
            raise NotFound(f"there is no backtest '{backtest_id[:64]}'", "see GET /backtests")
        return SavedBacktest(**row._mapping)

    def list(self) -> list[SavedBacktest]:
        """Answer every configuration, by name."""
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(backtests).order_by(backtests.c.name))
            return [SavedBacktest(**row._mapping) for row in rows]

    def change(self, backtest_id: str, name: str, params: dict[str, Any]) -> SavedBacktest:
        """Replace name and params. Raises NotFound, Conflict."""
        try:
            with self.database.writing() as connection:
                values = {"name": name, "params": params, "updated_at": self.database.clock(connection)}
                statement = sa.update(backtests).where(backtests.c.id == backtest_id).values(**values)
                connection.execute(statement)
        except Duplicate:
            raise Conflict(f"there is a backtest '{name}' already", "choose another name") from None
        return self.get(backtest_id)

    def delete(self, backtest_id: str) -> None:
        """Remove a configuration; its past runs stay. Raises NotFound."""
        with self.database.writing() as connection:
            done = connection.execute(sa.delete(backtests).where(backtests.c.id == backtest_id))
        if not done.rowcount:
            raise NotFound(f"there is no backtest '{backtest_id[:64]}'", "see GET /backtests")
