"""Strategy documents with every version kept, and saved backtests, over SQL."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from pitboss.core.errors import Conflict, Duplicate, NotFound
from pitboss.core.ids import new_id
from pitboss.storage.database import Database
from pitboss.storage.tables import saved_backtests


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """One version of a document. Versions count from 1 and are never changed or removed."""

    name: str
    version: int
    text: str
    digest: str
    owner: str
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedBacktest:
    """A named configuration of a backtest: `params` are those of a run."""

    id: str
    name: str
    owner: str
    params: dict[str, Any]
    created_at: float
    updated_at: float


class DocumentShelf:
    """Keeps documents by name, each owner's for themselves; `word` is what one is called."""

    def __init__(self, database: Database, table: sa.Table, word: str) -> None:
        self.database = database
        self.table = table
        self.word = word

    def add(self, owner: str, name: str, text: str) -> StoredDocument:
        """Store `text` as the next version of `name`; the text of the newest version again is that version."""
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        with self.database.writing() as connection:
            self.database.lock(connection, f"{self.word} {owner} {name}")
            newest = connection.execute(self._newest(owner, name)).one_or_none()
            if newest is not None and newest.digest == digest:
                return StoredDocument(**newest._mapping)
            stored = StoredDocument(
                name=name, version=newest.version + 1 if newest is not None else 1, text=text, digest=digest,
                owner=owner, created_at=self.database.clock(connection),
            )  # fmt: skip
            connection.execute(sa.insert(self.table).values(**asdict(stored)))
        return stored

    def get(self, owner: str, name: str, version: int | None = None) -> StoredDocument:
        """Answer a version, the newest unless one is named. Raises NotFound."""
        statement = self._newest(owner, name)
        if version is not None:
            statement = sa.select(self.table).where(*self._of(owner, name), self.table.c.version == version)
        with self.database.reading() as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            raise self._absent(name, version)
        return StoredDocument(**row._mapping)

    def all(self, owner: str) -> list[StoredDocument]:
        """Answer the newest version of every document, by name."""
        table = self.table
        newest = sa.select(table.c.name, sa.func.max(table.c.version).label("version"))
        latest = newest.where(table.c.owner == owner).group_by(table.c.name).subquery()
        is_newest = (table.c.name == latest.c.name) & (table.c.version == latest.c.version)
        statement = sa.select(table).join(latest, is_newest).where(table.c.owner == owner)
        with self.database.reading() as connection:
            rows = connection.execute(statement.order_by(table.c.name))
            return [StoredDocument(**row._mapping) for row in rows]

    def versions(self, owner: str, name: str) -> list[StoredDocument]:
        """Answer every version of a document, oldest first. Raises NotFound."""
        statement = sa.select(self.table).where(*self._of(owner, name)).order_by(self.table.c.version)
        with self.database.reading() as connection:
            found = [StoredDocument(**row._mapping) for row in connection.execute(statement)]
        if not found:
            raise self._absent(name)
        return found

    def _of(self, owner: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
        return self.table.c.owner == owner, self.table.c.name == name

    def _newest(self, owner: str, name: str) -> sa.Select[Any]:
        return sa.select(self.table).where(*self._of(owner, name)).order_by(self.table.c.version.desc()).limit(1)

    def _absent(self, name: str, version: int | None = None) -> NotFound:
        which = f"'{name[:64]}'" if version is None else f"'{name[:64]}' version {version}"
        return NotFound(f"there is no {self.word} {which}", "see in the list which there are")


class BacktestShelf:
    """Keeps saved backtests by id; an owner's names are unique."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def create(self, owner: str, name: str, params: dict[str, Any]) -> SavedBacktest:
        """Store a configuration. Raises Conflict when the name is taken."""
        try:
            with self.database.writing() as connection:
                now = self.database.clock(connection)
                saved = SavedBacktest(
                    id=new_id(), name=name, owner=owner, params=params, created_at=now, updated_at=now
                )
                connection.execute(sa.insert(saved_backtests).values(**asdict(saved)))
        except Duplicate:
            raise Conflict(f"there is a backtest '{name}' already", "choose another name, or change that one") from None
        return saved

    def get(self, owner: str, backtest_id: str) -> SavedBacktest:
        """Answer a configuration. Raises NotFound."""
        with self.database.reading() as connection:
            row = connection.execute(sa.select(saved_backtests).where(*_saved(owner, backtest_id))).one_or_none()
        if row is None:
            raise _no_backtest(backtest_id)
        return SavedBacktest(**row._mapping)

    def owner_of(self, backtest_id: str) -> str | None:
        """Answer whose a configuration is, None where there is none."""
        statement = sa.select(saved_backtests.c.owner).where(saved_backtests.c.id == backtest_id)
        with self.database.reading() as connection:
            return connection.execute(statement).scalar_one_or_none()

    def all(self, owner: str) -> list[SavedBacktest]:
        """Answer every configuration, by name."""
        statement = sa.select(saved_backtests).where(saved_backtests.c.owner == owner)
        with self.database.reading() as connection:
            rows = connection.execute(statement.order_by(saved_backtests.c.name))
            return [SavedBacktest(**row._mapping) for row in rows]

    def change(self, owner: str, backtest_id: str, name: str, params: dict[str, Any]) -> SavedBacktest:
        """Replace name and params. Raises NotFound, Conflict."""
        try:
            with self.database.writing() as connection:
                values = {"name": name, "params": params, "updated_at": self.database.clock(connection)}
                connection.execute(sa.update(saved_backtests).where(*_saved(owner, backtest_id)).values(**values))
        except Duplicate:
            raise Conflict(f"there is a backtest '{name}' already", "choose another name") from None
        return self.get(owner, backtest_id)

    def delete(self, owner: str, backtest_id: str) -> None:
        """Remove a configuration; its past runs stay. Raises NotFound."""
        with self.database.writing() as connection:
            done = connection.execute(sa.delete(saved_backtests).where(*_saved(owner, backtest_id)))
        if not done.rowcount:
            raise _no_backtest(backtest_id)


def _saved(owner: str, backtest_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return saved_backtests.c.owner == owner, saved_backtests.c.id == backtest_id


def _no_backtest(backtest_id: str) -> NotFound:
    return NotFound(f"there is no backtest '{backtest_id[:64]}'", "list the backtests to see which there are")
