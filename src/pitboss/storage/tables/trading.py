"""Traders, their accounts, and what was ordered, filled and booked in them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)

from pitboss.storage.tables.schema import metadata


class Exact(TypeDecorator[Decimal]):
    """A decimal as it is written: neither database rounds it."""

    impl = String(64)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, _dialect: Any) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, _dialect: Any) -> Decimal | None:
        return None if value is None else Decimal(value)


traders = Table(
    "traders",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("signature", String(64), nullable=False),  # what its orders are signed with
    Column("cash", Exact, nullable=False),  # at the start
    Column("agent", JSON, nullable=False),  # how it decides
    Column("terms", JSON, nullable=False),  # rules and costs
    Column("has_own_costs", Boolean, nullable=False),  # else a strategy's own hold in its sessions
    Column("account", String(36), nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("owner", "name", name="uq_traders_owner_name"),
)

trading_accounts = Table(
    "trading_accounts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("trader_id", String(36), ForeignKey("traders.id"), nullable=False),
    Column("run_id", String(36), ForeignKey("runs.id")),  # of the session that it was opened for; null for a trader's
    Column("state", String(16), nullable=False),
    Column("terms", JSON, nullable=False),
    Column("opening", Exact, nullable=False),
    Column("cash", Exact, nullable=False),
    Column("entries", Integer, nullable=False),  # of its ledger
    Column("head", String(64), nullable=False),  # hash of the last one
    Column("orders", Integer, nullable=False),  # given in it
    Column("opened_at", Float, nullable=False),
    UniqueConstraint("run_id", name="uq_trading_accounts_run"),
)
Index("ix_trading_accounts_trader", trading_accounts.c.trader_id)

positions = Table(
    "positions",
    metadata,
    Column("account_id", String(36), ForeignKey("trading_accounts.id"), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("quantity", Exact, nullable=False),  # negative where sold short
    Column("cost", Exact, nullable=False),
    Column("mark", Exact, nullable=False),  # what one was last worth
    PrimaryKeyConstraint("account_id", "symbol", name="pk_positions"),
)

orders = Table(
    "orders",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account_id", String(36), ForeignKey("trading_accounts.id"), nullable=False),
    Column("number", Integer, nullable=False),  # within the account, from 1
    Column("key", String(200), nullable=False),
    Column("action", String(8), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("quantity", Exact, nullable=False),
    Column("at", BigInteger, nullable=False),  # the market's time, microseconds
    Column("source", String(8), nullable=False),
    Column("signature", String(64), nullable=False),
    Column("status", String(8), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("cash", Exact, nullable=False),  # after it
    Column("position", Exact, nullable=False),  # shares of the symbol after it
    Column("created_at", Float, nullable=False),
    UniqueConstraint("account_id", "key", name="uq_orders_key"),
    UniqueConstraint("account_id", "number", name="uq_orders_number"),
)

fills = Table(
    "fills",
    metadata,
    Column("order_id", String(36), ForeignKey("orders.id"), primary_key=True),  # an order is filled once, and whole
    Column("quantity", Exact, nullable=False),
    Column("price", Exact, nullable=False),  # slippage included
    Column("fee", Exact, nullable=False),
    Column("gain", Exact, nullable=False),  # before fees, of what it closed
)

ledger = Table(
    "ledger",
    metadata,
    Column("account_id", String(36), ForeignKey("trading_accounts.id"), nullable=False),
    Column("number", Integer, nullable=False),  # within the account, from 1
    Column("kind", String(16), nullable=False),
    Column("at", BigInteger, nullable=False),  # the market's time, microseconds
    Column("booked_at", Float, nullable=False),
    Column("postings", JSON, nullable=False),  # names with amounts, debits positive; they add up to nothing
    Column("order_id", String(36), ForeignKey("orders.id")),
    Column("run_id", String(36)),
    Column("symbol", String(64), nullable=False),
    Column("shares", Exact, nullable=False),  # by which the position changes
    Column("reverses", Integer),  # number of the entry that it takes back
    Column("hash", String(64), nullable=False),  # of the entry and the hash before it
    PrimaryKeyConstraint("account_id", "number", name="pk_ledger"),
)

session_steps = Table(
    "session_steps",
    metadata,
    Column("run_id", String(36), ForeignKey("runs.id"), nullable=False),
    Column("number", Integer, nullable=False),  # from 1
    Column("at", BigInteger, nullable=False),  # the market's time, microseconds
    Column("decision", JSON, nullable=False),
    PrimaryKeyConstraint("run_id", "number", name="pk_session_steps"),
)

# what a session asks whoever decides for it over HTTP: its newest step, and the answer to that
session_turns = Table(
    "session_turns",
    metadata,
    Column("run_id", String(36), ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, nullable=False),  # of the step
    Column("asked", JSON, nullable=False),
    Column("answer", JSON),
)
