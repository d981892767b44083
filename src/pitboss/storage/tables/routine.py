"""Schedules, channels and chains."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from pitboss.storage.tables.schema import metadata

schedules = Table(
    "schedules",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("when", String(200), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("params", JSON, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("options", JSON, nullable=False),
    Column("catch_up", String(8), nullable=False),
    Column("overlap", String(8), nullable=False),
    Column("jitter_seconds", Float, nullable=False),
    Column("is_paused", Boolean, nullable=False, server_default=false()),
    Column("seen_until", Float, nullable=False),  # up to when its times have become ticks
    Column("created_at", Float, nullable=False),
    UniqueConstraint("owner", "name", name="uq_schedules_owner_name"),
)

# one row for each time of a schedule, whoever found it due
ticks = Table(
    "ticks",
    metadata,
    Column("schedule_id", String(36), ForeignKey("schedules.id"), nullable=False),
    Column("at", Float, nullable=False),
    Column("state", String(8), nullable=False),
    Column("run_id", String(36)),
    Column("note", String(500), nullable=False),
    Column("changed_at", Float, nullable=False),
    PrimaryKeyConstraint("schedule_id", "at", name="pk_ticks"),
)
Index("ix_ticks_state", ticks.c.state, ticks.c.at)

# where somebody is told of what has happened; the address is a secret
channels = Table(
    "channels",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("name", String(32), nullable=False),
    Column("news", JSON, nullable=False),  # of what
    Column("seen_until", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("owner", "name", name="uq_channels_owner_name"),
)

notices = Table(
    "notices",
    metadata,
    Column("channel_id", String(36), ForeignKey("channels.id"), nullable=False),
    Column("key", String(200), nullable=False),  # what it is about: one of each, whoever found it
    Column("title", String(300), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("error", String(300), nullable=False),
    Column("created_at", Float, nullable=False),
    PrimaryKeyConstraint("channel_id", "key", name="pk_notices"),
)
Index("ix_notices_due", notices.c.state, notices.c.due_at)

chains = Table(
    "chains",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("links", JSON, nullable=False),
    Column("runs", JSON, nullable=False),  # those of the first links
    Column("state", String(16), nullable=False),
    Column("note", String(500), nullable=False),
    Column("options", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
)
Index("ix_chains_owner", chains.c.owner, chains.c.created_at)
Index("ix_chains_state", chains.c.state)
