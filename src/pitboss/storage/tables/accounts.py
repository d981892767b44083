"""Accounts with what they hold and share, and who did what."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    false,
    true,
)

from pitboss.storage.tables.schema import metadata

accounts = Table(
    "accounts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("password", String(200), nullable=False),  # Argon2id's hash with its parameters; empty before it was chosen
    Column("is_enabled", Boolean, nullable=False, server_default=true()),
    Column("is_local", Boolean, nullable=False, server_default=false()),  # works on the server's own machine
    Column("created_at", Float, nullable=False),
    Column("removed_at", Float),  # the row stays: what bears its name is nobody else's
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account", String(64), ForeignKey("accounts.name"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("scope", String(8), nullable=False),
    Column("prefix", String(16), nullable=False),  # its first characters, to recognise it by
    Column("digest", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("used_at", Float),
    Column("used_from", String(64), nullable=False, server_default=""),
    Column("revoked_at", Float),
    UniqueConstraint("digest", name="uq_tokens_digest"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("id", String(36), nullable=False),  # names it in the audit and in lists
    Column("account", String(64), ForeignKey("accounts.name"), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("used_at", Float, nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", String(200), nullable=False),
)

# browsers that have signed in to an account before; see accounts.guessing
devices = Table(
    "devices",
    metadata,
    Column("digest", String(64), nullable=False),
    Column("account", String(64), ForeignKey("accounts.name"), nullable=False),
    Column("created_at", Float, nullable=False),
    PrimaryKeyConstraint("digest", "account", name="pk_devices"),
)

guesses = Table(
    "guesses",
    metadata,
    Column("key", String(300), primary_key=True),  # what is counted together
    Column("count", Integer, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("until", Float, nullable=False),  # nothing is tried before
)

# rows are only ever added: triggers refuse anything else
audit = Table(
    "audit",
    metadata,
    Column("id", String(36), primary_key=True),  # sorts by time
    Column("at", Float, nullable=False),
    Column("who", String(64), nullable=False),
    Column("via", String(64), nullable=False),  # the token or session
    Column("address", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", String(300), nullable=False),
    Column("detail", JSON, nullable=False),
)
Index("ix_audit_who", audit.c.who, audit.c.id)

# what its owner lets others read
shares = Table(
    "shares",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("thing", String(16), nullable=False),  # run or backtest
    Column("thing_id", String(36), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("account", String(64)),  # with whom, or
    Column("digest", String(64)),  # the digest of a link's key
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    UniqueConstraint("digest", name="uq_shares_digest"),
)
Index("ix_shares_thing", shares.c.thing, shares.c.thing_id)
Index("ix_shares_account", shares.c.account)

secrets = Table(
    "secrets",
    metadata,
    Column("owner", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # encrypted by the key beside the database
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    PrimaryKeyConstraint("owner", "name", name="pk_secrets"),
)
