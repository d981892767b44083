"""One run under supervision: what its process said and the panel shows, turned into what is to be written."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import singledispatchmethod
from typing import Any

from pitboss.core import panel as cells
from pitboss.core.clock import boot_nanoseconds, micros_to_iso
from pitboss.core.machine import signal_name
from pitboss.runs import events as ev
from pitboss.runs import messages as said
from pitboss.runs.model import Checkpoint, Claim, Run
from pitboss.runs.ports import Move
from pitboss.runs.progress import ProgressMeter
from pitboss.runs.states import FailureKind, Setback, State
from pitboss.worker.memory import KernelKills
from pitboss.worker.outbox import Outbox
from pitboss.worker.processes import resident_bytes
from pitboss.worker.runfile import Panel
from pitboss.worker.runprocess import HEADER

PROGRESS_SECONDS = 0.2
MOST_UNWRITTEN = 5_000  # messages kept while the database is away
MOST_KEY = 200  # characters of an item's key
MOST_KILLS = 30  # attempts killed from outside, none of which has saved its state: then the run has failed
MOST_MEMORY_KILLS = 3  # attempts that ended because memory was wanting: then the run has failed
MOST_STARTS = 5  # in a row that came to nothing, for a reason that does not pass: then the run has failed
# what ends everything when a machine or a login session does; a run that is sent one goes on as after SIGKILL
_ENDINGS = frozenset((signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
INTERRUPTIONS = {
    cells.REASON_SHUTDOWN: "the worker shut down",
    cells.REASON_LEASE: "the lease ended unrenewed",
    cells.REASON_FORK_SERVER: "the fork server was lost",
}
READ_BYTES = 1 << 16


@dataclass(kw_only=True)
class SupervisedRun:
    """Collects what one run says until the worker writes it; knows nothing of the database."""

    claim: Claim
    panel: Panel
    pipe: int
    kills: KernelKills
    max_seconds: float = 0.0  # 0 is no limit
    max_megabytes: float = 0.0
    started_monotonic: float = field(default_factory=time.monotonic)
    pid: int | None = None
    meter: ProgressMeter = field(default_factory=ProgressMeter)
    gauges: Sequence[said.Gauge] = ()
    result: dict[str, Any] | None = None
    was_partial: bool = False
    error: dict[str, Any] | None = None
    is_suspendable: bool = False  # the job saves its state when it is asked to
    is_suspended: bool = False
    is_cancel_raised: bool = False
    is_completing: bool = False
    ended: Move | None = None
    is_pipe_open: bool = True
    _buffer: bytearray = field(default_factory=bytearray)
    _stages_heard: int = 0
    _last_progress: float = 0.0
    _last_written: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        self.token = self.claim.token  # of this attempt; the claim's own is dropped when the lease is lost
        self.outbox = Outbox(self.id, self.token, [saved.path for saved in self.claim.checkpoints])

    @property
    def id(self) -> str:
        return self.claim.run.id

    def listen(self) -> None:
        """Read what the process has said so far; it waits while more is unwritten than memory should hold."""
        while self.is_pipe_open and (self.ended is not None or len(self.outbox) < MOST_UNWRITTEN):
            try:
                chunk = os.read(self.pipe, READ_BYTES)
            except BlockingIOError:
                break
            if not chunk:
                self.is_pipe_open = False
            self._buffer += chunk
        while len(self._buffer) >= HEADER.size:
            (size,) = HEADER.unpack_from(self._buffer)
            if len(self._buffer) < HEADER.size + size:
                return
            body = bytes(self._buffer[HEADER.size : HEADER.size + size])
            del self._buffer[: HEADER.size + size]
            self.hear(said.decode(body.replace(b"\\u0000", b"\\ufffd")))  # PostgreSQL keeps no NUL

    @singledispatchmethod
    def hear(self, message: said.Message) -> None:
        """Take in one message of the process."""
        raise AssertionError(message)

    @hear.register
    def _(self, message: said.Started) -> None:
        self.pid = message.pid
        self.outbox.put(move=Move(State.RUNNING, pid=message.pid))

    @hear.register
    def _(self, message: said.StageBegun) -> None:
        self.meter.begin(message.stage, message.total, time.monotonic(), message.done)
        self.gauges = message.gauges
        self._stages_heard += 1
        self._last_progress = 0.0

    @hear.register
    def _(self, message: said.Reported) -> None:
        self.meter.current_item = message.current_item or self.meter.current_item
        self.meter.message = message.message or self.meter.message
        self.meter.metrics |= message.metrics

    @hear.register
    def _(self, message: said.StageCompleted) -> None:
        self._note(message.done, dict(message.metrics), time.monotonic())  # the panel may show the next stage already
        self.outbox.put(events=[ev.StageCompleted(stage=self.meter.stage, done=message.done)])

    @hear.register
    def _(self, message: said.ItemCompleted) -> None:
        self.outbox.put(events=[ev.ItemCompleted(key=str(message.key)[:MOST_KEY], item=dict(message.item))])

    @hear.register
    def _(self, message: said.Logged) -> None:
        self.outbox.put(events=[ev.Logged(level=message.level, message=message.message)])

    @hear.register
    def _(self, message: said.ArtifactSaved) -> None:
        self.outbox.put(artifacts=[message.artifact])

    @hear.register
    def _(self, message: said.CheckpointSaved) -> None:
        self._keep(message.checkpoint)

    @hear.register
    def _(self, _message: said.Suspendable) -> None:
        self.is_suspendable = True

    @hear.register
    def _(self, _message: said.Suspended) -> None:
        self.is_suspended = True

    @hear.register
    def _(self, _message: said.Completing) -> None:
        self.is_completing = True
        self.outbox.put(move=Move(State.COMPLETING))

    @hear.register
    def _(self, message: said.Answered) -> None:
        self.result, self.was_partial = message.result, message.partial

    @hear.register
    def _(self, message: said.Failed) -> None:
        self.error = asdict(message)

    def _keep(self, checkpoint: Checkpoint) -> None:
        """Note a saved state: the run is known to get on, however often it is interrupted."""
        run = self.claim.run
        self.claim = replace(self.claim, run=replace(run, checkpointed_attempt=run.attempt))
        self.outbox.put(checkpoint=checkpoint)

    def sample(self, now: float, is_last: bool = False) -> None:
        """Read the panel and note progress, at most five times a second and only when something moved."""
        if self.meter.stage == "starting" or (now - self._last_progress < PROGRESS_SECONDS and not is_last):
            return
        done, shown = self.panel[cells.DONE], self.panel.gauges(self.gauges)
        if self.panel[cells.STAGE] == self._stages_heard:  # else it shows a stage that has not been heard of yet
            self._note(done, shown, now)

    def _note(self, done: int, shown: dict[str, float], now: float) -> None:
        seen = (done, shown, self.meter.stage, self.meter.message)
        if self.meter.stage == "starting" or seen == self._last_written:
            return
        self._last_written, self._last_progress = seen, now
        self.meter.update(done, now)
        if self.panel[cells.CURRENT]:
            self.meter.current_item = micros_to_iso(self.panel[cells.CURRENT])
        self.meter.metrics |= shown
        document = self.meter.document(time.time())
        self.outbox.put(events=[ev.Progressed(**document)], progress=document)

    def enforce_limits(self, now: float, checks_memory: bool) -> None:
        """Have the run killed when it has exceeded its time or, where that is looked at just now, its memory."""
        if self.max_seconds and now - self.started_monotonic > self.max_seconds:
            self.kill(cells.REASON_TIMEOUT)
        is_limited = checks_memory and self.max_megabytes and self.pid
        if is_limited and resident_bytes(self.pid or 0) > self.max_megabytes * (1 << 20):
            self.kill(cells.REASON_MEMORY)

    def raise_cancel(self, keep_partial: bool, grace_seconds: float) -> None:
        """Put the cancel flag up and set the deadline after which the process group is killed."""
        if self.is_cancel_raised:
            return
        self.is_cancel_raised = True
        self.panel[cells.KEEP_PARTIAL] = int(keep_partial)
        self.panel[cells.CANCEL] = 1
        self.kill(cells.REASON_CANCEL, grace_seconds)

    def suspend(self, grace_seconds: float) -> None:
        """Ask the job to save its state and end; what cannot do that is killed at once, the rest after a grace."""
        self.panel[cells.SUSPEND] = 1
        self.kill(cells.REASON_SHUTDOWN, grace_seconds if self.is_suspendable or self.is_completing else 0.0)

    def kill(self, reason: int, after_seconds: float = 0.0) -> None:
        """Have the fork server kill the process group, now or after some time."""
        self.panel.kill_after(boot_nanoseconds() + int(after_seconds * 1e9), reason)

    def end(self, code: int, reason: int, is_resumable: Callable[[Run], bool]) -> None:
        """The process is gone: decide, once, how the run ends."""
        self._finish(lambda: self._verdict(code, reason, is_resumable(self.claim.run)))

    def lose(self, loss: str, is_memory: bool, is_resumable: Callable[[Run], bool]) -> None:
        """The fork server is gone, and the process with it."""

        def decide() -> Move:
            ended = self._ended_by_itself()
            return ended or interrupted(self.claim.run, loss, is_memory, is_resumable(self.claim.run))

        self._finish(decide)

    def never_started(self, reason: str) -> None:
        """No process came about: the fork server was refused one."""
        self._finish(lambda: self._ended_by_itself() or not_started(self.claim.run, reason, is_lasting=False))

    def _finish(self, decide: Callable[[], Move]) -> None:
        self.listen()
        self.sample(time.monotonic(), is_last=True)
        self.ended = decide()
        if self.ended.to is State.COMPLETED and not self.is_completing:
            self.outbox.put(move=Move(State.COMPLETING))
        self.outbox.put(move=self.ended)

    def _ended_by_itself(self) -> Move | None:
        """Answer the end of a run that has said how it ends, or was asked to."""
        if self.result is not None and not self.was_partial:
            return Move(State.COMPLETED, result=self.result)
        if self.is_cancel_raised:
            keeps = self.result is not None and bool(self.panel[cells.KEEP_PARTIAL])
            return Move(State.CANCELLED, result=self.result if keeps else None, partial=keeps)
        if self.error is not None:
            return Move(State.FAILED, error=self.error)
        return None

    def _verdict(self, code: int, reason: int, is_resumable: bool) -> Move:
        ended = self._ended_by_itself()
        if ended is not None:
            return ended
        if self.is_suspended and is_resumable:
            return Move(State.QUEUED, error={"message": INTERRUPTIONS[cells.REASON_SHUTDOWN]})
        if reason in INTERRUPTIONS and is_resumable:
            return Move(State.QUEUED, error={"message": INTERRUPTIONS[reason]})
        return self._ended_from_outside(reason) or self._died(code, is_resumable)

    def _ended_from_outside(self, reason: int) -> Move | None:
        """Answer how a run fails that we have killed."""
        if reason == cells.REASON_TIMEOUT:
            what = f"the run exceeded its time limit of {self.max_seconds:g} s"
            return failed(FailureKind.TIMEOUT, what, "raise max_execution_seconds")
        if reason == cells.REASON_MEMORY:
            what = f"the run exceeded its memory limit of {self.max_megabytes:g} MB"
            return failed(FailureKind.MEMORY, what, "raise memory_limit_mb")
        if reason in INTERRUPTIONS:
            return failed(FailureKind.LOST, "the run was interrupted and cannot start again", "retry it")
        return None

    def _died(self, code: int, is_resumable: bool) -> Move:
        """Answer what becomes of a run whose process ended by itself, or by somebody else."""
        if self.kills.explain(code):
            what = "the kernel killed the run: the machine was out of memory"
            return failed(FailureKind.MEMORY, what, "run fewer at once")
        if code < 0:
            what = f"the run's process was killed by signal {-code} ({signal_name(-code)})"
            if -code in _ENDINGS and is_resumable and self._barren_attempts() < MOST_KILLS:
                return Move(State.QUEUED, error={"message": what})
            return failed(FailureKind.LOST, what, "resume or retry it")
        what = f"the run's process ended with exit code {code} and no result"
        return failed(FailureKind.ERROR, what, f"see its log: pitboss runs show {self.id} --log")

    def _barren_attempts(self) -> int:
        return self.claim.run.attempt - self.claim.run.checkpointed_attempt

    def refuse(self, reason: str) -> None:
        """What the run said cannot be written: the run fails, and nothing else does."""
        self.outbox.drop()
        remedy = f"see its log: pitboss runs show {self.id} --log"
        self.error = {"kind": FailureKind.ERROR.value, "message": reason[:500], "remedy": remedy}
        if self.ended is not None:
            self.ended = Move(State.FAILED, error=self.error)
            self.outbox.put(move=self.ended)
        self.result = None
        self.kill(cells.REASON_NONE)

    def close(self) -> None:
        os.close(self.pipe)
        self.panel.close()


def interrupted(run: Run, reason: str, is_memory: bool, is_resumable: bool) -> Move:
    """Answer what becomes of a run that lost what it lives in: queued again, unless that has come to nothing."""
    if is_memory and run.memory_kills + 1 >= MOST_MEMORY_KILLS:
        what = f"{reason}; so it was in {MOST_MEMORY_KILLS} attempts"
        return failed(FailureKind.MEMORY, what, "give pitboss more memory, or run fewer at once")
    if is_resumable:
        return Move(State.QUEUED, error={"message": reason}, setback=Setback.MEMORY if is_memory else None)
    return failed(FailureKind.LOST, f"{reason}, in attempt {run.attempt}", "resume or retry it")


def not_started(run: Run, reason: str, is_lasting: bool) -> Move:
    """Answer what becomes of a run whose process did not come about: queued again, unless that is of no use."""
    if is_lasting and run.failed_starts + 1 >= MOST_STARTS:
        return unstartable(f"{reason}; so it was {MOST_STARTS} times")
    return Move(State.QUEUED, error={"message": reason}, setback=Setback.START)


def unstartable(reason: str, kind: FailureKind = FailureKind.ERROR) -> Move:
    """Answer the end of a run that cannot be started."""
    return failed(kind, reason, "mend that ('pitboss doctor' examines more), then retry the run")


def failed(kind: FailureKind, message: str, remedy: str) -> Move:
    """Answer the end of a run that failed."""
    return Move(State.FAILED, error={"kind": kind.value, "message": message, "remedy": remedy})
