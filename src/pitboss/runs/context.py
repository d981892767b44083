"""What a job is handed: its parameters, and the way to report, to notice a cancel and to leave files behind."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from pitboss.core import panel as cells
from pitboss.core.errors import RunCancelled, RunSuspended, StorageUnavailable
from pitboss.core.files import Files, LocalFiles, digest_of_file
from pitboss.core.masking import Masker, mask_file
from pitboss.runs import messages as said
from pitboss.runs.checkpoint import differences, plain_identity, read_state, write_state
from pitboss.runs.messages import Gauge, Message, gauges_shown
from pitboss.runs.model import PARQUET, Artifact, Checkpoint

Send = Callable[[Message], None]
REPORTS_PER_SECOND = 5
CHEAP_SECONDS = 0.2  # for a checkpoint between a cancel and its deadline
CHECKPOINT_SHARE = 0.2  # of the time that a run may spend on saving its state


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What resources of a run are made of: who it is, the token that proves its lease, and where things are kept."""

    run_id: str
    files: Files
    data_dir: Path
    token: str = ""
    database_url: str = ""


@dataclass(kw_only=True)
class RunContext:
    """The world as a job sees it. Everything it says goes out through `send`, one message a call.

    `memory` is the instrument panel (see `core.panel`), shared with the worker; compiled loops write it
    directly. `slot` is what its worker serves that it was queued for, `default` or such as `gpu`; `threads` is how
    many cores the run may use, `checkpoints` are the states saved by earlier
    attempts, newest first, `source` is the package that the kind comes from, `secrets` are those that the run's
    snapshot names; they are masked in whatever it says, writes to its log and leaves as text. Not thread-safe but for
    `is_cancelled`.
    """

    world: World
    params: dict[str, Any]
    snapshot: dict[str, Any]
    send: Send
    memory: memoryview
    attempt: int = 1
    slot: str = "default"
    threads: int = 1
    checkpoints: tuple[Checkpoint, ...] = ()
    checkpoint_seconds: float = 2.0
    source: str = ""
    resources: Mapping[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    _made: dict[str, Any] = field(init=False, default_factory=dict)
    _cells: memoryview = field(init=False)
    _gauges: tuple[Gauge, ...] = field(init=False, default=())
    _last_report: float = field(init=False, default=0.0)
    _unsent: said.Reported | None = field(init=False, default=None)
    _identity: dict[str, str] = field(init=False, default_factory=dict)
    _checked: float = field(init=False, default_factory=time.monotonic)
    _checkpoint_cost: float = field(init=False, default=0.0)
    _is_saving: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        self._cells = self.memory.cast("q")

    @property
    def run_id(self) -> str:
        return self.world.run_id

    @cached_property
    def masker(self) -> Masker:
        """What makes the run's secrets unreadable in a text."""
        return Masker(self.secrets.values()) if self.secrets else Masker(())

    @property
    def files(self) -> Files:
        return self.world.files

    def resource(self, name: str) -> Any:
        """Answer what the kind names so, such as the bars, made in this process at the first call."""
        if name not in self._made:
            module, _, factory = self.resources[name].partition(":")
            self._made[name] = getattr(import_module(module), factory)(self.world)
        return self._made[name]

    @property
    def is_cancelled(self) -> bool:
        """True once somebody asked the run to end; a read of shared memory, free to ask in any loop."""
        return self._cells[cells.CANCEL] != 0

    @property
    def keeps_partial(self) -> bool:
        """True when whoever cancelled wants what is done so far."""
        return self._cells[cells.KEEP_PARTIAL] != 0

    @property
    def done(self) -> int:
        """How much of the stage is done, as it was last said."""
        return self._cells[cells.DONE]

    def check_cancel(self) -> None:
        """Raise RunCancelled once somebody asked the run to end."""
        if self.is_cancelled:
            raise RunCancelled("the run was cancelled")

    def begin_stage(self, name: str, total: int | None = None, done: int = 0, gauges: Sequence[Gauge] = ()) -> None:
        """Say what the run does now, how many units of it there are, and how many an earlier attempt has done.

        `gauges` name the cells of the panel from `core.panel.GAUGES` on, at most eight, for as long as the stage lasts.
        """
        self._cells[cells.STAGE] += 1
        self._cells[cells.DONE] = done
        self._cells[cells.TOTAL] = total or 0
        self._cells[cells.CURRENT] = 0
        self._gauges = tuple(gauges)
        reals = self.memory.cast("d")
        for at in range(cells.MOST_GAUGES):
            self._cells[cells.GAUGES + at] = 0
            if at < len(gauges) and gauges[at].is_real:
                reals[cells.GAUGES + at] = math.nan
        self._unsent = None
        self.send(said.StageBegun(name, total, done, tuple(gauges)))
        self._last_report = 0.0

    def report(self, done: int, current_item: str | None = None, message: str | None = None, **metrics: Any) -> None:
        """Say how much of the stage is done; more than five calls a second are thinned."""
        self._cells[cells.DONE] = done
        now = time.monotonic()
        if self._unsent is not None:  # what was passed over and is not said anew still holds
            before = self._unsent
            current_item, message = current_item or before.current_item, message or before.message
            metrics = {**before.metrics, **metrics}
        said_now = said.Reported(current_item, message, metrics)
        if now - self._last_report < 1 / REPORTS_PER_SECOND:
            self._unsent = said_now
            return
        self._last_report, self._unsent = now, None
        self.send(said_now)

    def end_stage(self, done: int | None = None) -> None:
        """Say that the stage is complete; its last progress is never dropped."""
        if self._unsent is not None:
            self.send(self._unsent)
            self._unsent = None
        if done is not None:
            self._cells[cells.DONE] = done
        shown = gauges_shown(self._cells, self.memory.cast("d"), self._gauges)
        self.send(said.StageCompleted(self._cells[cells.DONE], shown))

    def item(self, key: str, item: dict[str, Any]) -> None:
        """Report one unit of the result. A key stands once, however often an interrupted run repeats it."""
        self.send(said.ItemCompleted(key, item))

    def log(self, message: str, level: str = "info") -> None:
        """Write a line that people see in the run's log."""
        self.send(said.Logged(level, message))

    def begin_results(self) -> None:
        """Say that the work is done and results are being written: from here on a cancel is too late."""
        self.send(said.Completing())

    def save_artifact(self, name: str, write: Callable[[Path], object], media_type: str = PARQUET) -> Artifact:
        """Have `write` make the file `name` and add it to the run's artifacts; it is whole or not there.

        A Parquet file is a table, whose rows are also served as CSV and JSON. Raises DiskFull when there is no room.
        """
        name = self.masker.text(name)
        stored = self.files.put(f"artifacts/{self.run_id}/{name}", self._masked(write))
        saved = Artifact(name, stored.name, stored.size, stored.digest, media_type)
        self.send(said.ArtifactSaved(saved))
        return saved

    def _masked(self, write: Callable[[Path], object]) -> Callable[[Path], object]:
        """Answer what writes a file and masks the secrets in it, where it is a text."""
        if not self.secrets:
            return write

        def written(path: Path) -> None:
            write(path)
            mask_file(path, self.masker)

        return written

    def restore(self, identity: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """Answer the newest state that was saved, None when the work begins at its beginning.

        `identity` names what the result depends on, with digests or versions, by default the params and the version of
        the kind's package: a state that was made from anything else is passed over, and so is one whose file is torn
        or missing; the log tells which. Call it once, before the work: it also says that this job can be suspended.
        """
        self._identity = dict(identity) if identity is not None else plain_identity(self.params, self.source)
        self._checked = time.monotonic()
        self.send(said.Suspendable())
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
        return self._cells[cells.SUSPEND] != 0

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
        self.send(said.CheckpointSaved(saved))


def memory_context(
    params: dict[str, Any], data_dir: Path, memory: memoryview | None = None, **fields: Any
) -> tuple[RunContext, list[Message]]:
    """Answer a context without a worker, and the list in which its messages are collected: for tests."""
    messages: list[Message] = []
    world = World(run_id="run-in-memory", files=LocalFiles(data_dir), data_dir=data_dir)
    context = RunContext(
        world=world, params=params, snapshot=fields.pop("snapshot", {}), send=messages.append,
        memory=memory or memoryview(bytearray(cells.BYTES)), **fields,
    )  # fmt: skip
    return context, messages
