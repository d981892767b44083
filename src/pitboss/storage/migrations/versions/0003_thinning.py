"""Workers look for runs to thin all the time: an index of those that are left."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    is_unthinned = sa.text("thinned_at IS NULL")
    op.create_index("ix_runs_unthinned", "runs", ["ended_at"], sqlite_where=is_unthinned, postgresql_where=is_unthinned)
