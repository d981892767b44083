"""Sealed secrets over SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from pitboss.accounts.vault import Secret
from pitboss.storage.database import Database
from pitboss.storage.tables import secrets

_SECRET = (secrets.c.name, secrets.c.created_at, secrets.c.updated_at)


class SqlSecrets:
    """Keeps sealed secrets, each owner's for themselves."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def put(self, owner: str, name: str, sealed: bytes) -> Secret:
        with self.database.writing() as connection:
            now = self.database.clock(connection)
            values = {"owner": owner, "name": name, "sealed": sealed, "created_at": now, "updated_at": now}
            changed = {"sealed": sealed, "updated_at": now}
            statement = self.database.insert(secrets).values(**values)
            connection.execute(statement.on_conflict_do_update(index_elements=["owner", "name"], set_=changed))
            row = connection.execute(sa.select(*_SECRET).where(*_of(owner, [name]))).one()
        return Secret(**row._mapping)

    def all(self, owner: str) -> list[Secret]:
        statement = sa.select(*_SECRET).where(secrets.c.owner == owner).order_by(secrets.c.name)
        with self.database.reading() as connection:
            return [Secret(**row._mapping) for row in connection.execute(statement)]

    def sealed(self, owner: str, names: Collection[str]) -> Mapping[str, bytes]:
        """Answer the sealed secrets of an owner that there are of `names`."""
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(secrets.c.name, secrets.c.sealed).where(*_of(owner, names)))
            return {row.name: bytes(row.sealed) for row in rows}

    def remove(self, owner: str, name: str) -> bool:
        with self.database.writing() as connection:
            return bool(connection.execute(sa.delete(secrets).where(*_of(owner, [name]))).rowcount)


def _of(owner: str, names: Collection[str]) -> tuple[sa.ColumnElement[bool], ...]:
    return secrets.c.owner == owner, secrets.c.name.in_(names)
