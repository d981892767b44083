"""What a job is handed: its parameters, and the way to report, to notice a cancel and to leave files behind."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pitboss.core import panel as slots
from pitboss.core.errors import DiskFull, RunCancelled

Send = Callable[[dict[str, Any]], None]
REPORTS_PER_SECOND = 5


@dataclass
class RunContext:
    """The world as a job sees it. Everything it says goes out through `send`, one message a call.

    `memory` is the instrument panel (see `core.panel`), shared with the worker; compiled loops write it
    directly. `threads` is how many cores the run may use. Not thread-safe but for `is_cancelled`.
    """

    run_id: str
    params: dict[str, Any]
    snapshot: dict[str, Any]
    data_dir: Path
    send: Send
    memory: memoryview
    attempt: int = 1
    threads: int = 1
    _slots: memoryview = field(init=False)
    _last_report: float = field(init=False, default=0.0)

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

    def begin_stage(self, name: str, total: int | None = None) -> None:
        """Say what the run does now, and how many units of it there are."""
        self._slots[slots.DONE] = 0
        self._slots[slots.TOTAL] = total or 0
        self.send({"type": "stage", "stage": name, "total": total})
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
        """Have `write` make the file `name` and add it to the run's artifacts.

        The file is written beside its place, synced and renamed, so that it is whole or not there.
        Raises DiskFull when there is no room.
        """
        folder = self.data_dir / "artifacts" / self.run_id
        path, temporary = folder / name, folder / f".{name}.{self.attempt}.tmp"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
            size = temporary.stat().st_size
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise DiskFull(
                f"cannot write {name}: {error.strerror or error}", "free some disk space, then retry"
            ) from None
        described = {
            "name": name,
            "path": str(path.relative_to(self.data_dir)),
            "size": size,
            "digest": digest,
        }
        self.send({"type": "artifact", **described})
        return described


def memory_context(params: dict[str, Any], data_dir: Path, **fields: Any) -> tuple[RunContext, list[dict[str, Any]]]:
    """Answer a context without a worker, and the list in which its messages are collected: for tests."""
    messages: list[dict[str, Any]] = []
    memory = memoryview(bytearray(slots.BYTES))
    context = RunContext(
        "run-in-memory", params, fields.pop("snapshot", {}), data_dir, messages.append, memory, **fields
    )
    return context, messages
