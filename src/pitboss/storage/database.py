"""A database: SQLite or PostgreSQL behind two doors, one to read and one to write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from pitboss.core.errors import InvalidInput
from pitboss.storage.postgres import CHANNEL, PATIENCE, PostgresChanges
from pitboss.storage.refusals import told, translated
from pitboss.storage.sqlite import SqliteChanges, SqliteFile


def is_made(url: str) -> bool:
    """Answer whether there is a database; a server is taken to have one."""
    parsed = _parsed(url)
    return parsed.get_backend_name() != "sqlite" or Path(str(parsed.database)).exists()


_AFTERWARDS = "what is done when the transaction has been committed"


def after_commit(connection: Connection, action: Callable[[], object]) -> None:
    """Do something once what a `writing()` connection wrote is certain; not at all if it never is."""
    connection.info[_AFTERWARDS].append(action)


@dataclass
class Timing:
    """How many transactions there were, and how long they took; near enough where threads meet."""

    count: int = 0
    seconds: float = 0.0

    @contextmanager
    def taken(self) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.count += 1
            self.seconds += time.monotonic() - started


class Database:
    """`reading()` and `writing()` give connections inside a transaction.

    On SQLite a write transaction begins IMMEDIATE, so that it waits for its turn at the start and never
    fails in the middle; readers never wait. On PostgreSQL a write notifies listeners when it commits.
    """

    def __init__(self, url: str, listen_url: str = "") -> None:
        self.url = _parsed(url)
        self._listen_url = _parsed(listen_url) if listen_url else self.url
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._file = SqliteFile(Path(str(self.url.database))) if self.is_sqlite else None
        self._writer = self._engine("IMMEDIATE")
        self._reader = self._engine("DEFERRED") if self.is_sqlite else self._writer
        self.timings = {"read": Timing(), "write": Timing()}

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database. Raises StorageUnavailable, Misplaced."""
        self.check_place()
        with translated(), self.timings["read"].taken(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, is_told: bool = True) -> Iterator[Connection]:
        """A transaction that commits at the end, or not at all. Raises StorageUnavailable, Misplaced, DiskFull.

        Who waits for changes is told of it but where `is_told` is false: commits that tell wait for each other.
        """
        self.check_place()
        if self.is_read_only:
            raise told("readonly")
        afterwards: list[Callable[[], object]] = []
        with translated(), self.timings["write"].taken(), self._writer.begin() as connection:
            connection.info[_AFTERWARDS] = afterwards
            yield connection
            if is_told and not self.is_sqlite:
                connection.execute(sa.text(f"NOTIFY {CHANNEL}"))
        for action in afterwards:
            action()

    @contextmanager
    def remaking(self) -> Iterator[Connection]:
        """A transaction in which tables may be made anew under those that refer to them.

        SQLite would take a table that is dropped for one whose rows are deleted. Raises StorageUnavailable where what
        is left does not fit together; nothing is changed then.
        """
        if self._file is None:
            with self.writing() as connection:
                yield connection
            return
        with translated(), self._writer.connect() as connection:
            raw: Any = connection.connection.dbapi_connection
            raw.execute("PRAGMA foreign_keys = OFF")  # it cannot be said within a transaction
            try:
                with connection.begin():
                    yield connection
                    if orphan := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                        raise told(f"a row of {orphan[0]} belongs to nothing")
            finally:
                raw.execute("PRAGMA foreign_keys = ON")

    @property
    def is_read_only(self) -> bool:
        """True where nothing can be written, as far as the place of the file tells."""
        return self._file is not None and self._file.is_read_only

    def check_place(self) -> None:
        """Raise Misplaced when another file, or none, lies where the database was opened."""
        if self._file is not None:
            self._file.check()

    def ping(self) -> None:
        """Raise StorageUnavailable or Misplaced where nothing can be asked."""
        with self.reading() as connection:
            connection.execute(sa.select(1))

    def clock(self, connection: Connection) -> float:
        """Answer the time by the database's clock, seconds since 1970."""
        return float(connection.execute(sa.select(self.now())).scalar_one())

    def now(self) -> sa.ColumnElement[float]:
        """Answer the expression of the database's clock, for use inside a statement."""
        if self.is_sqlite:
            return sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Float)
        return sa.literal_column("extract(epoch from clock_timestamp())::double precision", sa.Float)

    def insert(self, table: sa.Table) -> Any:
        """Answer an INSERT that can say what is done on a conflict; only this database's dialect loads."""
        return import_module(f"sqlalchemy.dialects.{self.url.get_backend_name()}").insert(table)

    def lock(self, connection: Connection, name: str) -> None:
        """Hold `name` against other transactions until this one ends; on SQLite a writer holds everything."""
        if not self.is_sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})

    def changes(self) -> SqliteChanges | PostgresChanges:
        """Answer a new listener for writes by anybody."""
        if self._file is not None:
            return SqliteChanges(self._file)
        return PostgresChanges(self._listen_url)

    def shrink(self) -> None:
        """Give back the space of what has been removed, where nobody else does: PostgreSQL looks after itself."""
        if self._file is not None and not self.is_read_only:
            with translated():
                self._file.shrink()

    def integrity_problems(self) -> list[str]:
        """Answer what SQLite finds wrong with its own file; PostgreSQL looks after itself."""
        if not self.is_sqlite:
            return []
        with self.reading() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
            orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        problems = [str(line) for line in found if line != "ok"]
        return problems + [f"a row of {orphan[0]} belongs to nothing" for orphan in orphans]

    def close(self) -> None:
        self._writer.dispose()
        self._reader.dispose()

    def _engine(self, begin: str) -> Engine:
        if self._file is None:
            return sa.create_engine(
                self.url,
                connect_args=PATIENCE,
                pool_pre_ping=True,
                pool_size=8,
                max_overflow=24,
                pool_timeout=10,
            )
        engine = sa.create_engine(self.url, creator=self._file.connect, pool_size=8, max_overflow=56)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(f"BEGIN {begin}"))
        return engine


def _parsed(url: str) -> sa.URL:
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        if len(rest) < 2 or not rest.startswith("/"):
            raise InvalidInput("the database address names no file", "write sqlite:///path", "database_url")
        return sa.URL.create("sqlite", database=rest[1:])  # what looks like a query or an escape is part of the name
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise InvalidInput(
            "the database address cannot be read",
            "write sqlite:///path or postgresql://user@host/name",
            "database_url",
        ) from None
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    raise InvalidInput(
        f"databases of type '{parsed.get_backend_name()}' are not known", "use sqlite or postgresql", "database_url"
    )
