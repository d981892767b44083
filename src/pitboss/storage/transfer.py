"""Moving a whole database: from SQLite to PostgreSQL and back, into a backup and out of it, compared row by row."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pitboss.core.errors import Conflict, DiskFull, InvalidInput
from pitboss.core.files import Files, digest_of_file
from pitboss.runs.states import ACTIVE
from pitboss.storage.database import Database
from pitboss.storage.migrate import bring_up_to_date
from pitboss.storage.tables import artifacts, checkpoints, metadata, runs, workers

CHUNK = 500
DATABASE_NAME = "pitboss.db"
FOLDERS = ("bars", "artifacts", "checkpoints")
TABLES = [table for table in metadata.sorted_tables if table is not workers]  # workers sign on where they are

Told = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Count:
    """A table's rows: how many, and a digest in which their order does not matter."""

    table: str
    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds. `missing` are files that the database names but that are not there."""

    counts: list[Count]
    files: int
    missing: list[str]


def copy_database(source: Database, target: Database, told: Told = lambda _table, _rows: None) -> list[Count]:
    """Copy every row into an empty database and compare both afterwards; answer what was copied.

    Raises Conflict when runs are active in the source, or the target is not empty or differs afterwards; then
    nothing is left in the target.
    """
    with snapshot(source) as reading:
        active = sa.select(sa.func.count()).select_from(runs).where(runs.c.state.in_([state.value for state in ACTIVE]))
        count = reading.execute(active).scalar_one()
        if count:
            raise Conflict(f"{count} runs are active", "drain the workers first: pitboss worker --drain")
        return _copy(reading, target, told)


def _copy(reading: Connection, target: Database, told: Told) -> list[Count]:
    bring_up_to_date(target)
    with target.writing() as writing:
        for table in TABLES:
            if writing.execute(sa.select(sa.func.count()).select_from(table)).scalar_one():
                raise Conflict(f"the target holds {table.name} already", "use an empty database")
        for table in TABLES:
            rows = 0
            for part in reading.execute(sa.select(table).execution_options(yield_per=CHUNK)).mappings().partitions():
                writing.execute(sa.insert(table), [dict(row) for row in part])
                rows += len(part)
                told(table.name, rows)
        before, after = counts_of(reading), counts_of(writing)
        for one, other in zip(before, after, strict=True):
            if one != other:
                raise Conflict(
                    f"{one.table} differs after the copy: {one.rows} rows and {other.rows}", "report it; try again"
                )
    return after


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    """A transaction that sees the database as it is now, however long it reads. Raises StorageUnavailable."""
    with database.reading() as connection:
        if not database.is_sqlite:
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        yield connection


def counts_of(connection: Connection) -> list[Count]:
    """Answer rows and digest of each table."""
    return [_count(connection, table) for table in TABLES]


def _count(connection: Connection, table: sa.Table) -> Count:
    rows, total = 0, 0
    for row in connection.execute(sa.select(table).execution_options(yield_per=CHUNK)):
        text = json.dumps([_plain(value) for value in row], sort_keys=True)
        total += int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")
        rows += 1
    return Count(table.name, rows, f"{total % (1 << 128):032x}")


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | list | dict) or value is None else str(value)


def write_backup(database: Database, files: Files, path: Path) -> Backup:
    """Write a consistent backup of a database that is in use, with its files, into one tar file.

    The database is read in one transaction; its files never change under their names. One that was discarded
    meanwhile is left out, with its row. Raises DiskFull, Conflict when the file exists.
    """
    if path.exists():
        raise Conflict(f"{path} exists", "choose another name")
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".pitboss-") as folder:
            copy = Database(f"sqlite:///{Path(folder) / DATABASE_NAME}")
            with snapshot(database) as reading:
                _copy(reading, copy, lambda _table, _rows: None)
            with tarfile.open(temporary, "w") as archive:
                names = [*_named(copy), *files.names("bars")]
                absent = [name for name in names if not _added(archive, files, name)]
                missing = _leave_out(copy, database, absent)
                with snapshot(copy) as reading:
                    counts = counts_of(reading)
                copy.close()  # what is in its write-ahead log goes into the file
                archive.add(Path(folder) / DATABASE_NAME, DATABASE_NAME)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DiskFull(f"cannot write {path}: {error.strerror or error}", "check the folder and its space") from None
    return Backup(counts, len(names) - len(absent), missing)


def _named(database: Database) -> list[str]:
    """Answer the files that a database names."""
    with database.reading() as connection:
        return sorted(
            {path for table in (artifacts, checkpoints) for (path,) in connection.execute(sa.select(table.c.path))}
        )


def _added(archive: tarfile.TarFile, files: Files, name: str) -> bool:
    path = files.fetch(name)
    try:
        if path is not None:
            archive.add(path, name)
    except FileNotFoundError:
        return False
    return path is not None


def _leave_out(copy: Database, original: Database, absent: Sequence[str]) -> list[str]:
    """Remove from the copy the rows of files that the original has let go of meanwhile; answer the others."""
    still_named = set(_named(original)) if absent else set()
    gone = [name for name in absent if name not in still_named]
    with copy.writing() as connection:
        for table in (artifacts, checkpoints):
            for start in range(0, len(gone), CHUNK):
                connection.execute(sa.delete(table).where(table.c.path.in_(gone[start : start + CHUNK])))
    return [name for name in absent if name in still_named]


def restore_backup(path: Path, database: Database, files: Files) -> Backup:
    """Put a backup into an empty database and its files in their places; every file's digest is checked.

    Raises InvalidInput for what is no backup, Conflict when the database is not empty.
    """
    if not path.is_file():
        raise InvalidInput(f"there is no file {path}", "name a file that 'pitboss db backup' wrote", "file")
    with tempfile.TemporaryDirectory(prefix="pitboss-") as folder:
        try:
            with tarfile.open(path) as archive:
                members = [member for member in archive if member.isfile()]
                if DATABASE_NAME not in {member.name for member in members}:
                    raise InvalidInput(f"{path} is no backup of pitboss", "use what 'pitboss db backup' wrote", "file")
                _check_names(members)
                archive.extract(DATABASE_NAME, folder, filter="data")
                copy = Database(f"sqlite:///{Path(folder) / DATABASE_NAME}")
                bring_up_to_date(copy)
                with snapshot(copy) as reading:
                    counts = _copy(reading, database, lambda _table, _rows: None)
                for member in members:
                    if member.name != DATABASE_NAME:
                        files.put(member.name, _extracting(archive, member))
                copy.close()
        except tarfile.TarError as error:
            raise InvalidInput(
                f"{path} cannot be read: {error}", "use what 'pitboss db backup' wrote", "file"
            ) from None
    return Backup(counts, len(members) - 1, damaged_files(database, files))


def _check_names(members: Sequence[tarfile.TarInfo]) -> None:
    for member in members:
        parts = Path(member.name).parts
        if member.name != DATABASE_NAME and (parts[0] not in FOLDERS or ".." in parts):
            raise InvalidInput(f"the backup holds '{member.name[:80]}'", "that is no file of pitboss", "file")


def _extracting(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[Path], None]:
    def write(target: Path) -> None:
        source = archive.extractfile(member)
        assert source is not None
        with target.open("wb") as file:
            while block := source.read(1 << 20):
                file.write(block)

    return write


def promised_files(database: Database) -> list[tuple[str, str]]:
    """Answer name and digest of every artifact that the database knows of."""
    with database.reading() as connection:
        return list(connection.execute(sa.select(artifacts.c.path, artifacts.c.digest)).tuples())


def damaged_files(database: Database, files: Files) -> list[str]:
    """Answer the artifacts that are missing or whose content is not what was written."""
    damaged = []
    for name, digest in promised_files(database):
        path = files.fetch(name)
        if path is None or digest_of_file(path) != digest:
            damaged.append(name)
    return damaged
