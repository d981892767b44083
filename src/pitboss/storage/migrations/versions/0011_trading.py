"""Traders, their accounts, orders and ledgers, and the steps of sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
EXACT = sa.String(64)


def upgrade() -> None:
    op.create_table(
        "traders",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("signature", sa.String(64), nullable=False),
        sa.Column("cash", EXACT, nullable=False),
        sa.Column("agent", sa.JSON, nullable=False),
        sa.Column("terms", sa.JSON, nullable=False),
        sa.Column("has_own_costs", sa.Boolean, nullable=False),
        sa.Column("account", sa.String(36), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.UniqueConstraint("owner", "name", name="uq_traders_owner_name"),
    )
    op.create_table(
        "trading_accounts",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("trader_id", sa.String(36), sa.ForeignKey("traders.id"), nullable=False),
        sa.Column("run_id", sa.String(36), sa.ForeignKey("runs.id")),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("terms", sa.JSON, nullable=False),
        sa.Column("opening", EXACT, nullable=False),
        sa.Column("cash", EXACT, nullable=False),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("head", sa.String(64), nullable=False),
        sa.Column("orders", sa.Integer, nullable=False),
        sa.Column("opened_at", sa.Float, nullable=False),
        sa.UniqueConstraint("run_id", name="uq_trading_accounts_run"),
    )
    op.create_index("ix_trading_accounts_trader", "trading_accounts", ["trader_id"])
    op.create_table(
        "positions",
        sa.Column("account_id", sa.String(36), sa.ForeignKey("trading_accounts.id"), nullable=False),
        sa.Column("symbol", sa.String(64), nullable=False),
        sa.Column("quantity", EXACT, nullable=False),
        sa.Column("cost", EXACT, nullable=False),
        sa.Column("mark", EXACT, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "symbol", name="pk_positions"),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("account_id", sa.String(36), sa.ForeignKey("trading_accounts.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("action", sa.String(8), nullable=False),
        sa.Column("symbol", sa.String(64), nullable=False),
        sa.Column("quantity", EXACT, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("source", sa.String(8), nullable=False),
        sa.Column("signature", sa.String(64), nullable=False),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("cash", EXACT, nullable=False),
        sa.Column("position", EXACT, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.UniqueConstraint("account_id", "key", name="uq_orders_key"),
        sa.UniqueConstraint("account_id", "number", name="uq_orders_number"),
    )
    op.create_table(
        "fills",
        sa.Column("order_id", sa.String(36), sa.ForeignKey("orders.id"), primary_key=True),
        sa.Column("quantity", EXACT, nullable=False),
        sa.Column("price", EXACT, nullable=False),
        sa.Column("fee", EXACT, nullable=False),
        sa.Column("gain", EXACT, nullable=False),
    )
    op.create_table(
        "ledger",
        sa.Column("account_id", sa.String(36), sa.ForeignKey("trading_accounts.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("booked_at", sa.Float, nullable=False),
        sa.Column("postings", sa.JSON, nullable=False),
        sa.Column("order_id", sa.String(36), sa.ForeignKey("orders.id")),
        sa.Column("run_id", sa.String(36)),
        sa.Column("symbol", sa.String(64), nullable=False),
        sa.Column("shares", EXACT, nullable=False),
        sa.Column("reverses", sa.Integer),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "number", name="pk_ledger"),
    )
    op.create_table(
        "session_steps",
        sa.Column("run_id", sa.String(36), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("decision", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_session_steps"),
    )
    op.create_table(
        "session_turns",
        sa.Column("run_id", sa.String(36), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("asked", sa.JSON, nullable=False),
        sa.Column("answer", sa.JSON),
    )
