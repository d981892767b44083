"""Chains over SQL."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from pitboss.routine.chains import Chain, ChainState, Link
from pitboss.storage.database import Database
from pitboss.storage.tables import chains


class SqlChains:
    """Chains in a database; see `routine.chains.ChainStore` for the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, chain: Chain) -> None:
        values = asdict(chain) | {"links": [asdict(link) for link in chain.links], "runs": list(chain.runs)}
        with self.database.writing() as connection:
            connection.execute(sa.insert(chains).values(**values | {"state": chain.state.value}))

    def get(self, owner: str, chain_id: str) -> Chain | None:
        return next(iter(self._found(chains.c.owner == owner, chains.c.id == chain_id)), None)

    def find(self, owner: str, limit: int) -> list[Chain]:
        return self._found(chains.c.owner == owner, limit=limit)

    def running(self) -> list[Chain]:
        return self._found(chains.c.state == ChainState.RUNNING.value, limit=None)

    def grow(self, chain: Chain, run_id: str) -> bool:
        with self.database.writing() as connection:
            locked = sa.select(chains.c.runs, chains.c.state).where(chains.c.id == chain.id).with_for_update()
            row = connection.execute(locked).one_or_none()
            if row is None:
                return False
            if run_id not in row.runs and len(row.runs) == len(chain.runs):
                grown = sa.update(chains).where(chains.c.id == chain.id).values(runs=[*row.runs, run_id])
                connection.execute(grown)
            return bool(row.state == ChainState.RUNNING.value)

    def end(self, chain: Chain, state: ChainState, note: str) -> bool:
        ended = sa.update(chains).where(chains.c.id == chain.id, chains.c.state == ChainState.RUNNING.value)
        with self.database.writing() as connection:
            return bool(connection.execute(ended.values(state=state.value, note=note)).rowcount)

    def now(self) -> float:
        with self.database.reading() as connection:
            return self.database.clock(connection)

    def _found(self, *conditions: sa.ColumnElement[bool], limit: int | None = 1) -> list[Chain]:
        statement = sa.select(chains).where(*conditions).order_by(chains.c.created_at.desc()).limit(limit)
        with self.database.reading() as connection:
            return [_chain(row) for row in connection.execute(statement)]


def _chain(row: sa.Row[Any]) -> Chain:
    values = {column.name: row._mapping[column] for column in chains.c}
    links = tuple(Link(**link) for link in values["links"])
    return Chain(**values | {"links": links, "runs": tuple(values["runs"]), "state": ChainState(values["state"])})
