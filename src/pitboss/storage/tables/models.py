"""Trained models: their versions, and the names that point at one of them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

from pitboss.storage.tables.schema import metadata

models = Table(
    "models",
    metadata,
    Column("owner", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("run_id", String(36), ForeignKey("runs.id"), nullable=False),  # whose artifacts its files are
    Column("digest", String(64), nullable=False),  # of its manifest, which has those of the others
    Column("is_partial", Boolean, nullable=False),
    Column("described", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    PrimaryKeyConstraint("owner", "name", "version", name="pk_models"),
    UniqueConstraint("run_id", name="uq_models_run_id"),
)

model_aliases = Table(
    "model_aliases",
    metadata,
    Column("owner", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("alias", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    PrimaryKeyConstraint("owner", "name", "alias", name="pk_model_aliases"),
)
