"""Retention: what old runs leave behind is thinned in small pieces, so that nobody waits. Rows of runs stay."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from pitboss.core.files import Files
from pitboss.core.places import run_log
from pitboss.runs.states import TERMINAL
from pitboss.storage.database import Database
from pitboss.storage.tables import artifacts, checkpoints, models, run_events, runs

LOCK_SECONDS = 0.02  # what a piece should take; a lock of fifty milliseconds would be felt
FIRST_PIECE = 100
MOST_AT_ONCE = 500
_ENDED = [state.value for state in TERMINAL]


@dataclass
class Pruned:
    """What was removed, and the longest time that anybody had to wait for it."""

    runs: int = 0
    events: int = 0
    files: int = 0
    longest_lock_seconds: float = 0.0


@dataclass
class Pruner:
    """Thins what runs left that ended more than `age_seconds` ago; workers do the first half of it by themselves.

    Raises StorageUnavailable in between pieces; what was left undone is found again.
    """

    database: Database
    files: Files
    age_seconds: float
    pruned: Pruned = field(default_factory=Pruned)
    _piece: int = FIRST_PIECE

    def prune(self, keeps_artifacts: bool = False) -> Pruned:
        """Remove all but the last progress of each stage, spent checkpoints and, unless kept, artifacts."""
        while self.thin():
            pass
        self._remove_files(checkpoints)
        if not keeps_artifacts:
            self._remove_files(artifacts)
        self._remove_orphans()
        self.database.shrink()
        return self.pruned

    def thin(self) -> int:
        """Remove all but the last progress of each stage of some runs, oldest first; answer of how many."""
        run_ids = self._unthinned()
        for run_id in run_ids:
            self._thin(run_id)
        return len(run_ids)

    def remove_logs(self, data_dir: Path) -> None:
        """Remove what the processes of old runs wrote on this machine."""
        logs = {path.stem: path for path in run_log(data_dir, "*").parent.glob("*.log")}
        names = list(logs)
        for start in range(0, len(names), MOST_AT_ONCE):
            part = runs.c.id.in_(names[start : start + MOST_AT_ONCE])
            with self.database.reading() as connection:
                old = connection.execute(sa.select(runs.c.id).where(part, self._is_old())).scalars().all()
            for run_id in old:
                logs[run_id].unlink(missing_ok=True)
                self.pruned.files += 1

    def _is_old(self) -> sa.ColumnElement[bool]:
        return sa.and_(runs.c.state.in_(_ENDED), runs.c.ended_at < self.database.now() - self.age_seconds)

    def _unthinned(self) -> Sequence[str]:
        unthinned = sa.select(runs.c.id).where(self._is_old(), runs.c.thinned_at.is_(None)).order_by(runs.c.ended_at)
        with self.database.reading() as connection:
            return connection.execute(unthinned.limit(MOST_AT_ONCE)).scalars().all()

    def _thin(self, run_id: str) -> None:
        progress = (run_events.c.run_id == run_id, run_events.c.type == "progress")
        with self.database.reading() as connection:
            found = connection.execute(
                sa.select(run_events.c.seq, run_events.c.payload).where(*progress).order_by(run_events.c.seq)
            ).all()
        last = {payload.get("stage"): seq for seq, payload in found}
        spent = [seq for seq, payload in found if last[payload.get("stage")] != seq]
        while spent:
            part, spent = spent[: self._piece], spent[self._piece :]
            self._write(sa.delete(run_events).where(run_events.c.run_id == run_id, run_events.c.seq.in_(part)))
        self._write(sa.update(runs).where(runs.c.id == run_id).values(thinned_at=self.database.now()))
        self.pruned.events += len(found) - len(last)
        self.pruned.runs += 1

    def _remove_files(self, table: sa.Table) -> None:
        """Remove the rows of old runs, then their files but for those that another run still goes on from."""
        while True:
            in_use = sa.exists().where(models.c.run_id == table.c.run_id)  # the files of a version of a model
            old = (
                sa.select(table.c.run_id, table.c.path)
                .join(runs, runs.c.id == table.c.run_id)
                .where(self._is_old(), ~in_use)
            )
            with self.database.reading() as connection:
                found = connection.execute(old.limit(self._piece)).all()
            if not found:
                return
            run_ids = {run_id for run_id, _ in found}
            self._write(sa.delete(table).where(table.c.run_id.in_(run_ids)))
            with self.database.reading() as connection:
                kept = set(connection.execute(sa.select(table.c.path)).scalars()) if table is checkpoints else set()
            for _, path in found:
                if path not in kept:
                    self.files.remove(path)
                    self.pruned.files += 1

    def _remove_orphans(self) -> None:
        """Remove files that nothing names: whoever wanted to remove or record them died before it could."""
        for table, folder in ((checkpoints, "checkpoints"), (artifacts, "artifacts")):
            present = self.files.names(folder)
            with self.database.reading() as connection:
                # in this order: a run that completes in between is found unfinished, one that begins has no file yet
                unfinished = set(connection.execute(sa.select(runs.c.id).where(runs.c.state.not_in(_ENDED))).scalars())
                named = set(connection.execute(sa.select(table.c.path)).scalars())
            for name in present:
                if name not in named and name.split("/")[1] not in unfinished:
                    self.files.remove(name)
                    self.pruned.files += 1

    def _write(self, statement: sa.Executable) -> None:
        """Write one piece, and fit the next one to how long the database was held."""
        with self.database.writing() as connection:
            started = time.monotonic()  # from here on others wait
            connection.execute(statement)
        held = time.monotonic() - started
        self.pruned.longest_lock_seconds = max(self.pruned.longest_lock_seconds, held)
        self._piece = max(10, self._piece // 2) if held > LOCK_SECONDS else min(MOST_AT_ONCE, self._piece + 20)
