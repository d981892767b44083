"""Checkpoints, runs by resource, workers told apart by machine and drained, logs that were thinned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("runs", sa.Column("resource", sa.String(32), nullable=False, server_default="default"))
    op.add_column("runs", sa.Column("checkpointed_attempt", sa.Integer, nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("last_write", sa.Integer, nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("thinned_at", sa.Float))
    op.add_column("workers", sa.Column("machine", sa.String(100), nullable=False, server_default=""))
    op.add_column("workers", sa.Column("resources", sa.String(200), nullable=False, server_default="default"))
    op.add_column("workers", sa.Column("is_draining", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "checkpoints",
        sa.Column("run_id", sa.String(36), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("path", sa.String(500), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("identity", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_checkpoints"),
    )
