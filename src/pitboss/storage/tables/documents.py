"""What people write: documents in versions, presets, saved backtests, remarks."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Float,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from pitboss.storage.tables.schema import metadata


def _documents(name: str) -> Table:
    """Answer a table of documents with every version of each."""
    return Table(
        name,
        metadata,
        Column("name", String(64), nullable=False),
        Column("version", Integer, nullable=False),
        Column("text", Text, nullable=False),
        Column("digest", String(64), nullable=False),
        Column("owner", String(64), nullable=False),
        Column("created_at", Float, nullable=False),
        PrimaryKeyConstraint("owner", "name", "version", name=f"pk_{name}"),
    )


strategies = _documents("strategies")
screens = _documents("screens")

presets = Table(
    "presets",
    metadata,
    Column("owner", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("name", String(64), nullable=False),
    Column("params", JSON, nullable=False),
    Column("changed_at", Float, nullable=False),
    PrimaryKeyConstraint("owner", "kind", "name", name="pk_presets"),
)

saved_backtests = Table(
    "saved_backtests",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("params", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("owner", "name", name="uq_saved_backtests_owner_name"),
)

# what people write beside runs and saved backtests
remarks = Table(
    "remarks",
    metadata,
    Column("thing", String(16), nullable=False),  # run or backtest
    Column("thing_id", String(36), nullable=False),
    Column("tags", JSON, nullable=False),
    Column("notes", Text, nullable=False),
    Column("updated_at", Float, nullable=False),
    PrimaryKeyConstraint("thing", "thing_id", name="pk_remarks"),
)
