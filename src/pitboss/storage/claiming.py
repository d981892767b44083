"""Which queued runs may start: the order in which they are taken, and what the limits leave room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pitboss.runs.model import Limits
from pitboss.storage.tables import runs


def claiming_order(now: float, ageing_seconds: float) -> tuple[sa.ColumnElement[Any], ...]:
    """Highest priority first, which grows by one with each `ageing_seconds` waited; then the oldest."""
    waited = (now - runs.c.queued_at) / ageing_seconds
    return (runs.c.priority + waited).desc(), runs.c.queued_at, runs.c.id


class Tally:
    """Counts what is active against the limits, and chooses what may join."""

    def __init__(self, limits: Limits, active: Sequence[Any], free: Mapping[str, int]) -> None:
        self.free = Counter(free)
        self.limits = limits
        self.kinds = Counter(row.kind for row in active)
        self.owners = Counter(row.owner for row in active)
        self.room = limits.max_concurrent - len(active)

    def full_kinds(self) -> list[str]:
        return [kind for kind, limit in self.limits.kind_limits.items() if self.kinds[kind] >= limit]

    def full_owners(self) -> list[str]:
        return [owner for owner, count in self.owners.items() if count >= self.limits.owner_limit]

    def choose(self, candidates: Sequence[Any]) -> list[str]:
        chosen: list[str] = []
        for row in candidates:
            if len(chosen) >= self.room:
                break
            if self.free[row.resource] <= 0 or row.kind in self.full_kinds() or row.owner in self.full_owners():
                continue
            self.free[row.resource] -= 1
            self.kinds[row.kind] += 1
            self.owners[row.owner] += 1
            chosen.append(row.id)
        return chosen
