"""Who did what to what, over SQL: rows are added, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pitboss.accounts.ports import Entry
from pitboss.core.clock import to_iso
from pitboss.core.ids import new_id
from pitboss.storage.database import Database
from pitboss.storage.tables import audit


class SqlAudit:
    """Keeps the audit."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def record(self, entries: Sequence[Entry]) -> None:
        """Note what was done."""
        with self.database.writing() as connection:
            note(self.database, connection, *entries)

    def read(self, after: str = "", limit: int = 1000, who: str | None = None) -> list[dict[str, Any]]:
        """Answer entries after the one of that id, oldest first; of one account where it is named."""
        statement = sa.select(audit).where(audit.c.id > after).order_by(audit.c.id).limit(limit)
        if who is not None:
            statement = statement.where(audit.c.who == who)
        with self.database.reading() as connection:
            return [{**row._mapping, "at": to_iso(row.at)} for row in connection.execute(statement)]


def note(database: Database, connection: Connection, *entries: Entry) -> None:
    """Note what a transaction does, within it."""
    rows = [
        {
            "id": new_id(), "who": entry.who[:64], "via": entry.via[:64], "address": entry.address[:64],
            "action": entry.action[:64], "target": entry.target[:300], "detail": dict(entry.detail),
        }
        for entry in entries
    ]  # fmt: skip
    connection.execute(sa.insert(audit).values(at=database.now()), rows)
