"""Versions of trained models over SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pitboss.learning.registry import CHAMPION, ModelVersion
from pitboss.runs.model import Run
from pitboss.runs.states import State
from pitboss.storage.database import Database
from pitboss.storage.tables import model_aliases, models


class SqlModels:
    """Versions in a database; see `learning.registry.ModelStore` for the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def versions(self, owner: str, name: str | None = None) -> list[ModelVersion]:
        def of(table: sa.Table) -> list[sa.ColumnElement[bool]]:
            return [table.c.owner == owner, *([table.c.name == name] if name is not None else [])]

        with self.database.reading() as connection:
            pointing: dict[tuple[str, int], list[str]] = {}
            for row in connection.execute(sa.select(model_aliases).where(*of(model_aliases))):
                pointing.setdefault((row.name, row.version), []).append(row.alias)
            rows = connection.execute(sa.select(models).where(*of(models)).order_by(models.c.name, models.c.version))
            return [
                ModelVersion(
                    name=row.name, version=row.version, owner=row.owner, run=row.run_id, digest=row.digest,
                    is_partial=row.is_partial, described=row.described, created_at=row.created_at,
                    aliases=tuple(sorted(pointing.get((row.name, row.version), ()))),
                )
                for row in rows
            ]  # fmt: skip

    def point(self, owner: str, name: str, alias: str, version: int) -> None:
        row = {"owner": owner, "name": name, "alias": alias, "version": version}
        put = self.database.insert(model_aliases).values(**row)
        with self.database.writing() as connection:
            connection.execute(
                put.on_conflict_do_update(index_elements=["owner", "name", "alias"], set_={"version": version})
            )

    def remove(self, owner: str, name: str, version: int) -> None:
        with self.database.writing() as connection:
            for table in (models, model_aliases):
                of = (table.c.owner == owner, table.c.name == name, table.c.version == version)
                connection.execute(sa.delete(table).where(*of))


def enter_model(connection: Connection, run: Run, to: State, result: Mapping[str, Any] | None, now: float) -> None:
    """Add the version that a training has made, in the transaction that ends it. The first that is whole is champion;
    what a cancel kept is one too, and marked partial."""
    made = (result or {}).get("model")
    if run.kind != "training" or not made or to not in (State.COMPLETED, State.CANCELLED):
        return
    named = (models.c.owner == run.owner, models.c.name == made["name"])
    number = (connection.execute(sa.select(sa.func.max(models.c.version)).where(*named)).scalar_one() or 0) + 1
    is_partial = to is State.CANCELLED
    connection.execute(
        sa.insert(models).values(
            owner=run.owner, name=made["name"], version=number, run_id=run.id, digest=made["digest"],
            is_partial=is_partial, described=made, created_at=now,
        )
    )  # fmt: skip
    champion = sa.select(model_aliases.c.version).where(
        model_aliases.c.owner == run.owner, model_aliases.c.name == made["name"], model_aliases.c.alias == CHAMPION
    )
    if not is_partial and connection.execute(champion).one_or_none() is None:
        row = {"owner": run.owner, "name": made["name"], "alias": CHAMPION, "version": number}
        connection.execute(sa.insert(model_aliases).values(**row))
