"""What people write beside runs and saved backtests, and indexes for what pages ask."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


CHUNK = 1000


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
    # the stages, the items and the progress of a run among a million lines of its log
    op.create_index("ix_run_events_type", "run_events", ["run_id", "type", "seq"])
    op.create_table(
        "run_tags",
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("tag", sa.String(200), nullable=False),
        sa.Column("serial", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("owner", "tag", "serial", name="pk_run_tags"),
    )
    _tell_tags()


def _tell_tags() -> None:
    """Write down the tags of the runs that there are."""
    runs = sa.table("runs", sa.column("owner"), sa.column("serial", sa.BigInteger), sa.column("tags", sa.JSON))
    run_tags = sa.table("run_tags", sa.column("owner"), sa.column("tag"), sa.column("serial"))
    connection, last = op.get_bind(), 0
    while found := connection.execute(
        sa.select(runs.c.owner, runs.c.serial, runs.c.tags)
        .where(runs.c.serial > last)
        .order_by(runs.c.serial)
        .limit(CHUNK)
    ).all():
        last = found[-1].serial
        rows = [
            {"owner": owner, "tag": tag, "serial": serial}
            for owner, serial, tags in found
            for tag in set(tags if isinstance(tags, list) else json.loads(tags or "[]"))
        ]
        if rows:
            connection.execute(sa.insert(run_tags), rows)
