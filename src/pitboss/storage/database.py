"""A database: SQLite or PostgreSQL behind two doors, one to read and one to write."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from pitboss.core.errors import DiskFull, Duplicate, InvalidInput, StorageUnavailable, Unstorable

BUSY_SECONDS = 60
CHANNEL = "pitboss"
RELISTEN_SECONDS = 1.0
# a server that does not answer is given up well before a lease ends: otherwise TCP would wait for a quarter of an hour
_PATIENCE: dict[str, Any] = {
    "connect_timeout": 4, "tcp_user_timeout": 5_000,
    "keepalives_idle": 4, "keepalives_interval": 2, "keepalives_count": 2, "application_name": "pitboss",
    "prepare_threshold": None,  # a pooler may hand the next statement to another connection
}  # fmt: skip


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
        self._writer = self._engine("IMMEDIATE")
        self._reader = self._engine("DEFERRED") if self.is_sqlite else self._writer
        self.timings = {"read": Timing(), "write": Timing()}

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database. Raises StorageUnavailable."""
        with translated(), self.timings["read"].taken(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that commits at the end, or not at all. Raises StorageUnavailable, DiskFull."""
        afterwards: list[Callable[[], object]] = []
        with translated(), self.timings["write"].taken(), self._writer.begin() as connection:
            connection.info[_AFTERWARDS] = afterwards
            yield connection
            if not self.is_sqlite:
                connection.execute(sa.text(f"NOTIFY {CHANNEL}"))
        for action in afterwards:
            action()

    def clock(self, connection: Connection) -> float:
        """Answer the time by the database's clock, seconds since 1970."""
        return float(connection.execute(sa.select(self.now())).scalar_one())

    def now(self) -> sa.ColumnElement[float]:
        """Answer the expression of the database's clock, for use inside a statement."""
        if self.is_sqlite:
            return sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Float)
        return sa.literal_column("extract(epoch from clock_timestamp())::double precision", sa.Float)

    def lock(self, connection: Connection, name: str) -> None:
        """Hold `name` against other transactions until this one ends; on SQLite a writer holds everything."""
        if not self.is_sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})

    def changes(self) -> SqliteChanges | PostgresChanges:
        """Answer a new listener for writes by anybody."""
        if self.is_sqlite:
            return SqliteChanges(str(self.url.database))
        return PostgresChanges(self._listen_url)

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
        if not self.is_sqlite:
            return sa.create_engine(
                self.url,
                connect_args=_PATIENCE,
                pool_pre_ping=True,
                pool_size=8,
                max_overflow=24,
                pool_timeout=10,
            )
        folder = Path(str(self.url.database)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageUnavailable(f"cannot use the folder {folder}: {reason}", "choose another --data-dir") from None
        engine = sa.create_engine(
            self.url,
            connect_args={"timeout": BUSY_SECONDS, "isolation_level": None, "check_same_thread": False},
            pool_size=8,
            max_overflow=56,
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(f"BEGIN {begin}"))
        return engine


def _parsed(url: str) -> sa.URL:
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
    if parsed.get_backend_name() != "sqlite":
        raise InvalidInput(
            f"databases of type '{parsed.get_backend_name()}' are not known",
            "use sqlite or postgresql",
            "database_url",
        )
    if not parsed.database:
        raise InvalidInput("the database address names no file", "write sqlite:///path", "database_url")
    return parsed


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # a killed process loses nothing with NORMAL; only a power cut may lose the last moments, never more
    # and each connection caches 500 KB, not two megabytes: the machine's own cache lies beneath, a worker stays small
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY", "cache_size=-500"):
        connection.execute(f"PRAGMA {pragma}")


@contextmanager
def translated() -> Iterator[None]:
    """Turn what a driver raises into StorageUnavailable, DiskFull or Unstorable, with the remedy."""
    try:
        yield
    except sa.exc.IntegrityError as error:
        raise Duplicate(f"it is there already: {_first_line(str(error.orig))}", "choose another name") from None
    except sa.exc.DataError as error:
        raise Unstorable(f"the database refuses a value: {_first_line(str(error.orig))}", "send another one") from None
    except sa.exc.DBAPIError as error:
        raise _told(str(error.orig)) from None
    except sa.exc.TimeoutError:
        raise StorageUnavailable("every database connection is in use", "try again in a moment") from None
    except sqlite3.Error as error:
        raise _told(str(error)) from None


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"


def _told(text: str) -> StorageUnavailable:
    text = _first_line(text)
    if "disk is full" in text or "No space left" in text or "disk I/O" in text:
        return DiskFull("the disk of the database is full", "free some space and try again")
    if "readonly" in text or "read-only" in text:
        return StorageUnavailable(
            "the database is read-only", "make it writable: its folder, or the server's default_transaction_read_only"
        )
    return StorageUnavailable(f"the database cannot be used: {text}", "see 'pitboss doctor'")


class SqliteChanges:
    """Notices writes by `PRAGMA data_version`, which costs microseconds."""

    def __init__(self, path: str) -> None:
        with translated():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        self._version = -1

    def poll(self) -> bool:
        with translated():
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        changed = bool(version != self._version)
        self._version = version
        return changed

    def close(self) -> None:
        self._connection.close()


class PostgresChanges:
    """Notices writes by LISTEN; after a lost connection it listens anew and says 'changed'.

    Whoever asks looks for itself now and then: behind a pooler notices may never come. It connects in a thread of its
    own, since an address that does not answer must not hold up who asks.
    """

    def __init__(self, url: sa.URL) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: Any = None
        self._attempt: Future[Any] | None = None
        self._retry_at = 0.0

    def poll(self) -> bool:
        import psycopg  # the driver is an extra: absent, nobody gets here

        try:
            if self._connection is not None:
                return any(True for _ in self._connection.notifies(timeout=0))
            return self._is_connected()
        except psycopg.Error as error:
            self.close()
            self._retry_at = time.monotonic() + RELISTEN_SECONDS
            raise _told(str(error)) from None

    def _is_connected(self) -> bool:
        if self._attempt is None and time.monotonic() >= self._retry_at:
            self._attempt = _in_background(self._listen)
        if self._attempt is None or not self._attempt.done():
            return False
        attempt, self._attempt = self._attempt, None
        self._connection = attempt.result()
        return True

    def _listen(self) -> Any:
        import psycopg

        connection = psycopg.connect(self._address, autocommit=True, **_PATIENCE)
        try:
            connection.execute(f"LISTEN {CHANNEL}")
        except psycopg.Error:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        if self._attempt is not None:
            self._attempt.add_done_callback(_close_what_came)
            self._attempt = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _in_background(action: Callable[[], Any]) -> Future[Any]:
    """Begin something in a thread that nobody waits for, not even the end of the program."""
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(action())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def _close_what_came(attempt: Future[Any]) -> None:
    if attempt.exception() is None:
        attempt.result().close()
