"""Runs in the order of their submission, what keeps them from starting, and workers that cannot start at all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("runs", sa.Column("serial", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("is_resumed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("runs", sa.Column("failed_starts", sa.Integer, nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("memory_kills", sa.Integer, nullable=False, server_default="0"))
    op.add_column("workers", sa.Column("kernel_kills", sa.BigInteger, nullable=False, server_default="0"))
    # until now a run's id, which tells the time of a machine, was all there was to order them by
    op.execute(
        "UPDATE runs SET serial = ranked.serial"
        " FROM (SELECT id, row_number() OVER (ORDER BY id) AS serial FROM runs) AS ranked WHERE ranked.id = runs.id"
    )
    op.create_index("ux_runs_serial", "runs", ["serial"], unique=True)
    op.create_table(
        "failed_starts",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("failed_at", sa.Float, nullable=False),
        sa.Column("retry_at", sa.Float, nullable=False),
    )
