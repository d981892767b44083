"""What people write beside runs and saved backtests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "remarks",
        sa.Column("thing", sa.String(16), nullable=False),
        sa.Column("thing_id", sa.String(36), nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("thing", "thing_id", name="pk_remarks"),
    )
    # the latest runs of somebody, and the latest that completed, out of a hundred thousand
    op.create_index("ix_runs_owner_serial", "runs", ["owner", "serial"])
    op.create_index("ix_runs_state_serial", "runs", ["state", "serial"])
