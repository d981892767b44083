"""Moving a whole database: from SQLite to PostgreSQL and back, into a backup and out of it, compared row by row."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import os
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pitboss.core.errors import Conflict, DiskFull, InvalidInput
from pitboss.core.files import Files, digest_of, digest_of_file
from pitboss.market.catalog import FOLDERS as SERIES
from pitboss.market.catalog import all_series
from pitboss.runs.states import ACTIVE
from pitboss.storage.database import Database
from pitboss.storage.migrate import HEAD, bring_up_to_date
from pitboss.storage.tables import artifacts, checkpoints, failed_starts, metadata, runs, workers
from pitboss.storage.workers import read_workers

CHUNK = 500
ALIVE_SECONDS = 60.0  # a worker silent for longer is not at work
DATABASE_NAME = "pitboss.db"
MANIFEST_NAME = "manifest.json"
FOLDERS = (*SERIES, "artifacts", "checkpoints")
# what is said of hosts and their workers holds where they are
TABLES = [table for table in metadata.sorted_tables if table not in (workers, failed_starts)]

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
    if source.url == target.url:
        raise InvalidInput("source and target are the same database", "name another one", "--to")
    with snapshot(source) as reading:
        active = sa.select(sa.func.count()).select_from(runs).where(runs.c.state.in_([state.value for state in ACTIVE]))
        count = reading.execute(active).scalar_one()
        at_work = [worker for worker in read_workers(reading, source.now()) if worker.silent_seconds < ALIVE_SECONDS]
        if count or at_work:
            what = f"{count} runs are active and {len(at_work)} workers signed on"
            raise Conflict(what, "stop the API, then drain the workers: pitboss worker --drain")
        return _copy(reading, target, told)


def _copy(reading: Connection, target: Database, told: Told) -> list[Count]:
    bring_up_to_date(target)
    with target.writing() as writing:
        _require_empty(writing)
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


def _require_empty(connection: Connection) -> None:
    for table in TABLES:
        if connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one():
            raise Conflict(f"the target holds {table.name} already", "use an empty database")


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
        with (
            tempfile.TemporaryDirectory(dir=path.parent, prefix=".pitboss-") as folder,
            tarfile.open(temporary, "w") as archive,
        ):
            done = _archived(database, files, archive, Path(folder))
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        return done
    except OSError as error:
        raise DiskFull(f"cannot write {path}: {error.strerror or error}", "check the folder and its space") from None
    finally:
        temporary.unlink(missing_ok=True)


def _archived(database: Database, files: Files, archive: tarfile.TarFile, folder: Path) -> Backup:
    """Put everything into the archive, with the help of an empty folder."""
    copy = Database(f"sqlite:///{folder / DATABASE_NAME}")
    with snapshot(database) as reading:
        _copy(reading, copy, lambda _table, _rows: None)
    names = [*_named(copy), *all_series(files)]
    digests = {name: digest for name in names if (digest := _added(archive, files, name))}
    absent = [name for name in names if name not in digests]
    missing = _leave_out(copy, database, absent)
    with snapshot(copy) as reading:
        counts = counts_of(reading)
    copy.close()  # what is in its write-ahead log goes into the file
    archive.add(folder / DATABASE_NAME, DATABASE_NAME)
    digests[DATABASE_NAME] = digest_of_file(folder / DATABASE_NAME)
    (folder / MANIFEST_NAME).write_text(json.dumps({"schema": HEAD, "files": digests}))
    archive.add(folder / MANIFEST_NAME, MANIFEST_NAME)
    return Backup(counts, len(names) - len(absent), missing)


def _named(database: Database) -> list[str]:
    """Answer the files that a database names."""
    with database.reading() as connection:
        return sorted(
            {path for table in (artifacts, checkpoints) for (path,) in connection.execute(sa.select(table.c.path))}
        )


def _added(archive: tarfile.TarFile, files: Files, name: str) -> str | None:
    """Add a file and answer its digest, None when it is not there any more."""
    path = files.fetch(name)
    try:
        if path is not None:
            with path.open("rb") as file:  # opened once: another may be put under its name meanwhile
                digest = digest_of(file)
                file.seek(0)
                archive.addfile(archive.gettarinfo(arcname=name, fileobj=file), file)
                return digest
    except FileNotFoundError:
        pass
    return None


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
    """Put a backup into an empty database and its files in their places, after every digest in it was checked.

    Raises InvalidInput for what is no backup or a damaged one, Conflict when there are runs or bars already; then
    nothing is changed.
    """
    if not path.is_file():
        raise InvalidInput(f"there is no file {path}", "name a file that 'pitboss db backup' wrote", "file")
    bring_up_to_date(database)
    with database.reading() as connection:
        _require_empty(connection)
    if files.names("bars"):
        raise Conflict("there are bars already", "restore into an empty data folder")
    try:
        with tarfile.open(path) as archive, tempfile.TemporaryDirectory(prefix="pitboss-") as folder:
            names = _checked(archive, path)
            _extracting(archive, DATABASE_NAME)(Path(folder) / DATABASE_NAME)
            copy = Database(f"sqlite:///{Path(folder) / DATABASE_NAME}")
            bring_up_to_date(copy)
            _check_names([*_named(copy), *names])
            for name in names:  # before the rows: whoever sees a run finds its files
                files.put(name, _extracting(archive, name))
            with snapshot(copy) as reading:
                counts = _copy(reading, database, lambda _table, _rows: None)
            copy.close()
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        what = f"{path} cannot be read: {error}"
        raise InvalidInput(what, "use what 'pitboss db backup' wrote", "file") from None
    return Backup(counts, len(names), damaged_files(database, files))


def _checked(archive: tarfile.TarFile, path: Path) -> list[str]:
    """Answer the files of a backup but its database, once all of them are known to be whole."""
    present = {member.name for member in archive if member.isfile()}
    if not {DATABASE_NAME, MANIFEST_NAME} <= present:
        raise InvalidInput(f"{path} is no backup of pitboss", "use what 'pitboss db backup' wrote", "file")
    manifest = archive.extractfile(MANIFEST_NAME)
    assert manifest is not None
    try:
        promised: dict[str, str] = json.loads(manifest.read())["files"]
    except (ValueError, KeyError, TypeError):
        promised = {}
    damaged = [name for name in promised if name not in present or _digest(archive, name) != promised[name]]
    if damaged or not promised:
        what = f"{path} is damaged: {', '.join(damaged[:3]) or MANIFEST_NAME}"
        raise InvalidInput(what, "use another backup", "file")
    return [name for name in promised if name != DATABASE_NAME]


def _digest(archive: tarfile.TarFile, name: str) -> str:
    source = archive.extractfile(name)
    assert source is not None
    digest = hashlib.blake2b(digest_size=16)
    while block := source.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        parts = Path(name).parts
        if not parts or parts[0] not in FOLDERS or ".." in parts:
            raise InvalidInput(f"the backup holds '{name[:80]}'", "that is no file of pitboss", "file")


def _extracting(archive: tarfile.TarFile, name: str) -> Callable[[Path], None]:
    def write(target: Path) -> None:
        source = archive.extractfile(name)
        assert source is not None
        with target.open("wb") as file:
            while block := source.read(1 << 20):
                file.write(block)

    return write


def promised_files(database: Database) -> list[tuple[str, str]]:
    """Answer name and digest of every artifact and checkpoint that the database knows of."""
    tables = (artifacts, checkpoints)
    with database.reading() as connection:
        return [row for t in tables for row in connection.execute(sa.select(t.c.path, t.c.digest)).tuples()]


def absent_files(database: Database, files: Files) -> list[str]:
    """Answer the artifacts and checkpoints that are not there."""
    promised = promised_files(database)
    present = {name for folder in ("artifacts", "checkpoints") for name in files.names(folder)}
    return _still_promised(database, [name for name, _ in promised if name not in present])


def damaged_files(database: Database, files: Files) -> list[str]:
    """Answer the artifacts and checkpoints that are missing or whose content is not what was written."""
    damaged = []
    for name, digest in promised_files(database):
        path = files.fetch(name)
        if path is None or digest_of_file(path) != digest:
            damaged.append(name)
    return _still_promised(database, damaged)


def _still_promised(database: Database, names: Sequence[str]) -> list[str]:
    """Leave out what runs that go on have let go of since: their older checkpoints."""
    promised = dict(promised_files(database)) if names else {}
    return [name for name in names if name in promised]
