"""What is shared, over SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, replace

import sqlalchemy as sa

from pitboss.runs.sharing import Share
from pitboss.storage.database import Database
from pitboss.storage.tables import shares

_SHARE = [column for column in shares.c if column.name != "digest"]


class SqlShares:
    """Keeps shares; those that have ended are none."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, share: Share, digest: str | None, lasts: float | None) -> Share:
        with self.database.writing() as connection:
            now = self.database.clock(connection)
            made = replace(share, created_at=now, expires_at=None if lasts is None else now + lasts)
            connection.execute(sa.insert(shares).values(digest=digest, **asdict(made)))
        return made

    def of(self, thing: str, thing_id: str) -> list[Share]:
        return self._found(shares.c.thing == thing, shares.c.thing_id == thing_id)

    def remove(self, share_id: str) -> None:
        with self.database.writing() as connection:
            connection.execute(sa.delete(shares).where(shares.c.id == share_id))

    def by_digest(self, digest: str) -> Share | None:
        return next(iter(self._found(shares.c.digest == digest)), None)

    def readable(self, account: str, thing: str, ids: Collection[str]) -> Mapping[str, str]:
        """Answer those of `ids` that are shared with an account, with their owners."""
        found = self._found(shares.c.account == account, shares.c.thing == thing, shares.c.thing_id.in_(ids))
        return {share.thing_id: share.owner for share in found}

    def shared_with(self, account: str, thing: str) -> Collection[str]:
        """Answer the ids of what is shared with an account, latest share first."""
        found = self._found(shares.c.account == account, shares.c.thing == thing)
        return list(dict.fromkeys(share.thing_id for share in reversed(found)))

    def _found(self, *which: sa.ColumnElement[bool]) -> list[Share]:
        lives = sa.or_(shares.c.expires_at.is_(None), shares.c.expires_at > self.database.now())
        statement = sa.select(*_SHARE).where(*which, lives).order_by(shares.c.id)
        with self.database.reading() as connection:
            return [Share(**row._mapping) for row in connection.execute(statement)]
