"""Runs, their events and artifacts, workers, strategies and saved backtests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_runs()
    create_what_runs_leave()
    create_workers_and_documents()


def create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("snapshot", sa.JSON, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("progress", sa.JSON),
        sa.Column("result", sa.JSON),
        sa.Column("partial", sa.Boolean, nullable=False),
        sa.Column("error", sa.JSON),
        sa.Column("parent", sa.String(36)),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("worker_id", sa.String(36)),
        sa.Column("pid", sa.Integer),
        sa.Column("lease_token", sa.String(32)),
        sa.Column("lease_until", sa.Float),
        sa.Column("last_seq", sa.Integer, nullable=False),
        sa.Column("cancel_requested_at", sa.Float),
        sa.Column("cancel_keep_partial", sa.Boolean),
        sa.Column("cancel_reason", sa.String(500)),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("queued_at", sa.Float, nullable=False),
        sa.Column("claimed_at", sa.Float),
        sa.Column("started_at", sa.Float),
        sa.Column("completing_at", sa.Float),
        sa.Column("ended_at", sa.Float),
        sa.UniqueConstraint("subject", "number", name="uq_runs_subject_number"),
        sa.UniqueConstraint("owner", "idempotency_key", name="uq_runs_idempotency"),
    )
    op.create_index("ix_runs_state", "runs", ["state", "priority", "queued_at"])
    op.create_index("ix_runs_worker", "runs", ["worker_id", "state"])
    op.create_index("ix_runs_subject_state", "runs", ["subject", "state"])
    op.create_table(
        "subjects",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("last_number", sa.Integer, nullable=False),
    )


def create_what_runs_leave() -> None:
    op.create_table(
        "run_events",
        sa.Column("run_id", sa.String(36), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("ts", sa.Float, nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("item_key", sa.String(200)),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "seq", name="pk_run_events"),
        sa.UniqueConstraint("run_id", "item_key", name="uq_run_events_item"),
    )
    op.create_table(
        "artifacts",
        sa.Column("run_id", sa.String(36), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("path", sa.String(500), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "name", name="pk_artifacts"),
    )


def create_workers_and_documents() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("process_started_at", sa.Float, nullable=False),
        sa.Column("slots", sa.Integer, nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("started_at", sa.Float, nullable=False),
        sa.Column("renewed_at", sa.Float, nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
    )
    op.create_table(
        "strategies",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name="pk_strategies"),
    )
    op.create_table(
        "backtests",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
    )
