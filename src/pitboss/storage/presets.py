"""Presets over SQL."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from pitboss.runs.presets import Preset
from pitboss.storage.database import Database
from pitboss.storage.tables import presets


class SqlPresets:
    """Presets in a database; see `runs.presets.PresetStore` for the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def put(self, owner: str, kind: str, name: str, params: dict[str, Any]) -> Preset:
        with self.database.writing() as connection:
            self.database.lock(connection, f"preset {owner} {kind} {name}")
            preset = Preset(owner, kind, name, params, self.database.clock(connection))
            connection.execute(sa.delete(presets).where(*_of(owner, kind, name)))
            connection.execute(sa.insert(presets).values(**asdict(preset)))
        return preset

    def get(self, owner: str, kind: str, name: str) -> Preset | None:
        with self.database.reading() as connection:
            row = connection.execute(sa.select(presets).where(*_of(owner, kind, name))).one_or_none()
        return Preset(**row._mapping) if row is not None else None

    def all(self, owner: str) -> list[Preset]:
        statement = sa.select(presets).where(presets.c.owner == owner).order_by(presets.c.kind, presets.c.name)
        with self.database.reading() as connection:
            return [Preset(**row._mapping) for row in connection.execute(statement)]

    def remove(self, owner: str, kind: str, name: str) -> bool:
        with self.database.writing() as connection:
            return bool(connection.execute(sa.delete(presets).where(*_of(owner, kind, name))).rowcount)


def _of(owner: str, kind: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return presets.c.owner == owner, presets.c.kind == kind, presets.c.name == name
