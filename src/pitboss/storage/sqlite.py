"""A SQLite database as a file: where it lies, who may write it, and whether somebody did."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pitboss.core.errors import Misplaced
from pitboss.core.places import unusable
from pitboss.storage.refusals import translated

BUSY_SECONDS = 60
PAGES_AT_ONCE = 500  # of 4 KB: some ten milliseconds


class SqliteFile:
    """The file of a database: made where there is none, and known again, so that no other is taken for it.

    Raises StorageUnavailable when the place cannot be used.
    """

    # a killed process loses nothing with NORMAL; only a power cut may lose the last moments, never more
    # and each connection caches 500 KB, not two megabytes: the machine's own cache lies beneath, a worker stays small
    _SHARED = ("foreign_keys=ON", "temp_store=MEMORY", "cache_size=-500")
    # a new file gives back what is removed from it, a few pages at a time; one of an earlier version reuses it
    _WRITABLE = ("auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=NORMAL", *_SHARED)

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.is_read_only = path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
            if not self.is_read_only:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))  # SQLite would not let the group write
            self._identity = _identity(path)
        except OSError as error:
            place = path if path.is_dir() else path.parent
            raise unusable(place, error, "choose another --data-dir, or mend it") from None

    def check(self) -> None:
        """Raise Misplaced unless the file is where it was."""
        try:
            if _identity(self.path) == self._identity:
                return
            what = f"{self.path} is another database than the one that was opened"
        except OSError:
            what = f"{self.path} has been moved away"
        raise Misplaced(what, "move the data folder back, or restart what uses it")

    def connect(self) -> sqlite3.Connection:
        """Answer a new connection. On a medium that is read-only, one that only reads."""
        if not self.is_read_only:
            return self._writing()
        try:
            return self._reading("mode=ro")
        except sqlite3.OperationalError:
            wal = self.path.with_name(f"{self.path.name}-wal")
            if wal.exists() and wal.stat().st_size:  # the newest of what was written would be overlooked
                raise
            return self._reading("mode=ro&immutable=1")

    def shrink(self) -> None:
        """Give back to the file system what has been removed, in pieces that nobody waits for."""
        connection = self.connect()
        try:
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            for _ in range(-(-free // PAGES_AT_ONCE)):
                connection.executescript(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})")  # one step would be one page
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            connection.close()

    def _writing(self) -> sqlite3.Connection:
        try:
            return _prepared(sqlite3.connect(self.path, **_SQLITE), self._WRITABLE)
        except sqlite3.OperationalError as error:
            refusal = self._refusal() if "unable to open" in str(error) else ""
            raise sqlite3.OperationalError(f"{error}: {refusal}" if refusal else str(error)) from None

    def _refusal(self) -> str:
        """Answer what the system says when the file, its log and its index are opened; SQLite keeps that to itself."""
        opened: list[int] = []
        try:
            for _ in range(3):
                opened.append(os.open(self.path, os.O_RDWR))
        except OSError as reason:
            return reason.strerror or str(reason)
        finally:
            for descriptor in opened:
                os.close(descriptor)
        return ""

    def _reading(self, how: str) -> sqlite3.Connection:
        connection = sqlite3.connect(f"file:{quote(str(self.path))}?{how}", uri=True, **_SQLITE)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return _prepared(connection, self._SHARED)
        except sqlite3.Error:
            connection.close()
            raise


_SQLITE: dict[str, Any] = {"timeout": BUSY_SECONDS, "isolation_level": None, "check_same_thread": False}


def _prepared(connection: sqlite3.Connection, pragmas: Sequence[str]) -> sqlite3.Connection:
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


class SqliteChanges:
    """Notices writes by `PRAGMA data_version`, which costs microseconds."""

    def __init__(self, file: SqliteFile) -> None:
        with translated():
            self._connection = file.connect()
        self._version = -1

    def poll(self) -> bool:
        with translated():
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        changed = bool(version != self._version)
        self._version = version
        return changed

    def close(self) -> None:
        self._connection.close()
