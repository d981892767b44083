"""What people write beside runs and saved backtests, over SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from pitboss.runs.remarks import Remarks
from pitboss.storage.database import Database
from pitboss.storage.tables import remarks


class SqlRemarks:
    """Remarks in a database; see `runs.remarks.RemarkStore` for the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def of(self, thing: str, ids: Collection[str]) -> Mapping[str, Remarks]:
        columns = (remarks.c.thing_id, remarks.c.tags, remarks.c.notes)
        statement = sa.select(*columns).where(remarks.c.thing == thing, remarks.c.thing_id.in_(list(ids)))
        with self.database.reading() as connection:
            return {row.thing_id: Remarks(tuple(row.tags), row.notes) for row in connection.execute(statement)}

    def put(self, thing: str, thing_id: str, written: Remarks) -> None:
        with self.database.writing() as connection:
            values = {"tags": list(written.tags), "notes": written.notes, "updated_at": self.database.clock(connection)}
            statement = self.database.insert(remarks).values(thing=thing, thing_id=thing_id, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["thing", "thing_id"], set_=values))

    def remove(self, thing: str, thing_id: str) -> None:
        with self.database.writing() as connection:
            connection.execute(sa.delete(remarks).where(remarks.c.thing == thing, remarks.c.thing_id == thing_id))
