"""What a job is handed: its parameters, and the way to report, to notice a cancel and to leave files behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pitboss.core import panel as slots
from pitboss.core.errors import RunCancelled, RunSuspended, StorageUnavailable
from pitboss.core.files import Files, LocalFiles, digest_of_file
from pitboss.runs.checkpoint import differences, read_state, write_state
from pitboss.runs.model import Checkpoint

Send = Callable[[dict[str, Any]], None]
REPORTS_PER_SECOND = 5
CHEAP_SECONDS = 0.2  # for a checkpoint between a cancel and its deadline
CHECKPOINT_SHARE = 0.2  # of the time that a run may spend on saving its state


@dataclass
class RunContext:
    """The world as a job sees it. Everything it says goes out through `send`, one message a call.

    `memory` is the instrument panel (see `core.panel`), shared with the worker; compiled loops write it
    directly. `threads` is how many cores the run may use, `checkpoints` are the states saved by earlier
    attempts, newest first. Not thread-safe but for `is_cancelled`.
    """

    run_id: str
    params: dict[str, Any]
    snapshot: dict[str, Any]
    files: Files
    send: Send
    memory: memoryview
    attempt: int = 1
    threads: int = 1
    checkpoints: tuple[Checkpoint, ...] = ()
    checkpoint_seconds: float = 2.0
    _slots: memoryview = field(init=False)
    _last_report: float = field(init=False, default=0.0)
    _identity: dict[str, str] = field(init=False, default_factory=dict)
    _checked: float = field(init=False, default_factory=time.monotonic)
    _checkpoint_cost: float = field(init=False, default=0.0)
    _is_saving: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        self._slots = self.memory.cast("q")

    @property
    def is_cancelled(self) -> bool:
        """True once somebody asked the run to end; a read of shared memory, free to ask in any loop."""
        return self._slots[slots.CANCEL] != 0

    @property
    def keeps_partial(self) -> bool:
        """True when whoever cancelled wants what is done so far."""
        return self._slots[slots.KEEP_PARTIAL] != 0

    def check_cancel(self) -> None:
        """Raise RunCancelled once somebody asked the run to end."""
        if self.is_cancelled:
            raise RunCancelled("the run was cancelled")

    def begin_stage(self, name: str, total: int | None = None, done: int = 0) -> None:
        """Say what the run does now, how many units of it there are, and how many an earlier attempt has done."""
        self._slots[slots.DONE] = done
        self._slots[slots.TOTAL] = total or 0
        self.send({"type": "stage", "stage": name, "total": total, "done": done})
        self._last_report = 0.0

    def report(self, done: int, current_item: str | None = None, message: str | None = None, **metrics: Any) -> None:
        """Say how much of the stage is done; more than five calls a second are thinned."""
        self._slots[slots.DONE] = done
        now = time.monotonic()
        if now - self._last_report < 1 / REPORTS_PER_SECOND:
            return
        self._last_report = now
        self.send(
            {
                "type": "report",
                "done": done,
                "current_item": current_item,
                "message": message,
                "metrics": metrics,
            }
        )

    def end_stage(self, done: int | None = None) -> None:
        """Say that the stage is complete; its last progress is never dropped."""
        self.send({"type": "stage_completed", "done": self._slots[slots.DONE] if done is None else done})

    def item(self, key: str, item: dict[str, Any]) -> None:
        """Report one unit of the result. A key stands once, however often an interrupted run repeats it."""
        self.send({"type": "item", "key": key, "item": item})

    def log(self, message: str, level: str = "info") -> None:
        """Write a line that people see in the run's log."""
        self.send({"type": "log", "level": level, "message": message})

    def begin_results(self) -> None:
        """Say that the work is done and results are being written: from here on a cancel is too late."""
        self.send({"type": "completing"})

    def save_artifact(self, name: str, write: Callable[[Path], None]) -> dict[str, Any]:
        """Have `write` make the file `name` and add it to the run's artifacts; it is whole or not there.

        Raises DiskFull when there is no room.
        """
        stored = self.files.put(f"artifacts/{self.run_id}/{name}", write)
        described = {"name": name, "path": stored.name, "size": stored.size, "digest": stored.digest}
        self.send({"type": "artifact", **described})
        return described

    def restore(self, identity: Mapping[str, str]) -> dict[str, Any] | None:
        """Answer the newest state that was saved, None when the work begins at its beginning.

        `identity` names what the result depends on, with digests or versions: a state that was made from
        anything else is passed over, and so is one whose file is torn or missing; the log tells which.
        Call it once, before the work: it also says that this job can be suspended.
        """
        self._identity = dict(identity)
        self._checked = time.monotonic()
        self.send({"type": "suspendable"})
        for saved in self.checkpoints:
            changed = differences(saved.identity, self._identity)
            path = self.files.fetch(saved.path)
            if changed:
                self.log(f"checkpoint {saved.number} is of no use: {', '.join(changed)}", "warning")
            elif path is None or digest_of_file(path) != saved.digest:
                self.log(f"checkpoint {saved.number} is torn or missing and was passed over", "warning")
            else:
                self.log(f"goes on from checkpoint {saved.number}")
                return read_state(path)
        return None

    @property
    def has_own_checkpoint(self) -> bool:
        """True when this run, and not only one that it takes up, has saved its state before."""
        return any(saved.path.startswith(f"checkpoints/{self.run_id}/") for saved in self.checkpoints)

    @property
    def is_suspended(self) -> bool:
        """True once the worker shuts down: the next checkpoint is this attempt's last."""
        return self._slots[slots.SUSPEND] != 0

    @property
    def is_checkpoint_due(self) -> bool:
        """True when the state was last saved `checkpoint_seconds` ago, or is wanted now.

        Saving takes a fifth of the time at most: the interval grows with what a checkpoint costs.
        """
        interval = max(self.checkpoint_seconds, self._checkpoint_cost / CHECKPOINT_SHARE)
        return self.is_suspended or time.monotonic() - self._checked > interval

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Save the state of the work: values that JSON can say, and arrays as bytes. See `restore`.

        Where there is no room the log says so, and the work goes on: the checkpoint before still stands.
        Raises RunSuspended when the worker shuts down, which the job lets through, and InvalidInput.
        """
        started = time.monotonic()
        try:
            self._save(state)
            self._is_saving = True
        except StorageUnavailable as error:
            if self._is_saving:
                self.log(f"the state is not saved for now: {error}", "warning")
            self._is_saving = False
        self._checked = time.monotonic()
        self._checkpoint_cost = self._checked - started
        if self.is_suspended and not self.is_cancelled:
            raise RunSuspended("the worker shuts down; the run goes on from here")

    def checkpoint_at_cancel(self, state: Mapping[str, Any]) -> None:
        """Save the state of a cancelled run so that it can be resumed from there, unless that would take time that its
        partial results need; then the checkpoint before stands."""
        if self._checkpoint_cost <= CHEAP_SECONDS:
            self.checkpoint(state)

    def _save(self, state: Mapping[str, Any]) -> None:
        number = max((saved.number for saved in self.checkpoints), default=0) + 1
        path = f"checkpoints/{self.run_id}/{number}.{self.attempt}"
        stored = self.files.put(path, lambda temporary: write_state(temporary, state))
        saved = Checkpoint(number, self.attempt, path, stored.size, stored.digest, self._identity)
        self.checkpoints = (saved, *self.checkpoints[:1])
        self.send({"type": "checkpoint", **asdict(saved)})


def memory_context(
    params: dict[str, Any], data_dir: Path, memory: memoryview | None = None, **fields: Any
) -> tuple[RunContext, list[dict[str, Any]]]:
    """Answer a context without a worker, and the list in which its messages are collected: for tests."""
    messages: list[dict[str, Any]] = []
    memory = memory or memoryview(bytearray(slots.BYTES))
    context = RunContext(
        "run-in-memory", params, fields.pop("snapshot", {}), LocalFiles(data_dir), messages.append, memory, **fields
    )
    return context, messages
