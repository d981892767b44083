"""Documents belong to their owner, artifacts have a media type, and workers have slots of each resource."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
PARQUET = "application/vnd.apache.parquet"


def upgrade() -> None:
    op.add_column("artifacts", sa.Column("media_type", sa.String(100), nullable=False, server_default=PARQUET))
    op.add_column("workers", sa.Column("capacity", sa.JSON, nullable=False, server_default="{}"))
    with op.batch_alter_table("strategies") as strategies:
        strategies.drop_constraint("pk_strategies", type_="primary")
        strategies.create_primary_key("pk_strategies", ["owner", "name", "version"])
    # the name was unique by a constraint that had no name itself: the table is made anew
    op.create_table(
        "saved_backtests",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.UniqueConstraint("owner", "name", name="uq_saved_backtests_owner_name"),
    )
    op.execute(
        "INSERT INTO saved_backtests (id, name, owner, params, created_at, updated_at)"
        " SELECT id, name, owner, params, created_at, updated_at FROM backtests"
    )
    op.drop_table("backtests")
