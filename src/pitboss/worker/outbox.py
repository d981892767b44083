"""What one run has said and the database has yet to hear: in order, each once, whatever gets lost on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pitboss.runs.ports import RunWrite

KEPT = 2  # checkpoints: should the newest prove torn, there is the one before


@dataclass
class Outbox:
    """The writes of one claim. What was taken is sent again, the same under the same numbers, until it is known
    to be written; `recorded` are the files of the checkpoints that the database knows, newest first."""

    run_id: str
    token: str
    recorded: list[str] = field(default_factory=list)
    pending: list[RunWrite] = field(default_factory=list)
    _taken: list[RunWrite] = field(default_factory=list)
    _number: int = 0

    def __len__(self) -> int:
        return len(self.pending) + len(self._taken)

    def put(self, **fields: Any) -> None:
        self.pending.append(RunWrite(self.run_id, self.token, 0, **fields))

    @property
    def has_move(self) -> bool:
        return any(write.move for write in self.pending)

    def take(self) -> Sequence[RunWrite]:
        """Answer what is to be written, neighbours joined."""
        if not self._taken:
            for write in self.pending:
                last = self._taken[-1] if self._taken else None
                if last and last.move is None and not (last.checkpoint and write.checkpoint):
                    self._taken[-1] = _joined(last, write)
                else:
                    self._number += 1
                    self._taken.append(replace(write, number=self._number))
            self.pending = []
        return self._taken

    def written(self) -> list[str]:
        """Note that what was taken is written; answer files of this run's checkpoints that nothing names any more."""
        self.recorded = [w.checkpoint.path for w in reversed(self._taken) if w.checkpoint] + self.recorded
        self._taken = []
        spent, self.recorded = self.recorded[KEPT:], self.recorded[:KEPT]
        return [path for path in spent if path.startswith(f"checkpoints/{self.run_id}/")]

    def drop(self) -> None:
        """Forget what cannot be written, or is no longer ours to write."""
        self.pending, self._taken = [], []


def _joined(first: RunWrite, second: RunWrite) -> RunWrite:
    return replace(
        first, events=[*first.events, *second.events], progress=second.progress or first.progress,
        artifacts=[*first.artifacts, *second.artifacts], checkpoint=second.checkpoint or first.checkpoint,
        move=second.move,
    )  # fmt: skip
