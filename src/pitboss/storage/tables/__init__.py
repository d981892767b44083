"""The schema: one for SQLite and PostgreSQL. Times are seconds since 1970 by the database's clock."""

from __future__ import annotations

from pitboss.storage.tables.accounts import accounts, audit, devices, guesses, secrets, sessions, shares, tokens
from pitboss.storage.tables.documents import presets, remarks, saved_backtests, screens, strategies
from pitboss.storage.tables.models import model_aliases, models
from pitboss.storage.tables.routine import chains, channels, notices, schedules, ticks
from pitboss.storage.tables.runs import (
    artifacts,
    checkpoints,
    failed_starts,
    run_events,
    run_tags,
    runs,
    subjects,
    workers,
)
from pitboss.storage.tables.schema import metadata
from pitboss.storage.tables.trading import (
    fills,
    ledger,
    orders,
    positions,
    session_steps,
    session_turns,
    traders,
    trading_accounts,
)

OWNED = tuple(table for table in metadata.sorted_tables if "owner" in table.c)
__all__ = [
    "OWNED",
    "accounts",
    "artifacts",
    "audit",
    "chains",
    "channels",
    "checkpoints",
    "devices",
    "failed_starts",
    "fills",
    "guesses",
    "ledger",
    "metadata",
    "model_aliases",
    "models",
    "notices",
    "orders",
    "positions",
    "presets",
    "remarks",
    "run_events",
    "run_tags",
    "runs",
    "saved_backtests",
    "schedules",
    "screens",
    "secrets",
    "session_steps",
    "session_turns",
    "sessions",
    "shares",
    "strategies",
    "subjects",
    "ticks",
    "tokens",
    "traders",
    "trading_accounts",
    "workers",
]
