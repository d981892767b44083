"""Migrations, applied by the program itself: the schema version is checked whenever a database is opened."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import sqlalchemy as sa

from pitboss.core.errors import SchemaMismatch, StorageUnavailable
from pitboss.storage.database import Database

HEAD = "0012"
KNOWN = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    HEAD,
)  # oldest first; a test holds this against the migration scripts


def schema_version(database: Database) -> str | None:
    """Answer the version of the schema in the database, None where there is none yet."""
    with database.reading() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def obstacle(database: Database) -> str:
    """Answer why this program must not work on the database, empty when it may. Raises StorageUnavailable."""
    version = schema_version(database)
    if version == HEAD:
        return ""
    return f"the database has schema {version}, this worker's is {HEAD}: restart it with the new pitboss"


def bring_up_to_date(database: Database) -> None:
    """Migrate an older or empty database. Raises SchemaMismatch when it is newer than the program."""
    version = schema_version(database)
    if version == HEAD:
        return
    _refuse_newer(version)
    with _turn(database):
        if schema_version(database) != HEAD:
            _upgrade(database)


def _refuse_newer(version: str | None) -> None:
    if version is not None and version not in KNOWN:
        raise SchemaMismatch(
            f"the database has schema {version}, newer than this program's {HEAD}",
            "update pitboss, or use another data folder",
        )


def _upgrade(database: Database) -> None:
    # Alembic takes a third of a second to import: only a migration pays for it
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with database.remaking() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _turn(database: Database) -> Iterator[None]:
    """Let one process migrate at a time."""
    if database.is_sqlite:
        with _opened(f"{database.url.database}.migrate") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    with database.writing() as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('pitboss migrate'))"))
        yield


def _opened(path: str) -> TextIO:
    try:
        return open(path, "w")
    except OSError as error:
        raise StorageUnavailable(
            f"cannot write {path}: {error.strerror}", "run as the user that owns the data folder"
        ) from None
