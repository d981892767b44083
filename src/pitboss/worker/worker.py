"""The worker: claims runs, supervises their processes, renews its leases, recovers what others lost."""

from __future__ import annotations

import contextlib
import logging
import math
import selectors
import signal
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from pitboss.core import panel as cells
from pitboss.core.errors import StorageUnavailable, Unstorable, WorkerUnable
from pitboss.core.files import open_files
from pitboss.core.ids import new_id
from pitboss.runs.kinds import Kinds
from pitboss.runs.model import Run
from pitboss.runs.ports import ChangeSignal, Move, RunStore, WorkerRegistry
from pitboss.runs.states import FailureKind, State
from pitboss.worker.admission import Admission
from pitboss.worker.claimer import Claimer
from pitboss.worker.config import Upkeep, WorkerConfig
from pitboss.worker.doorbell import Doorbell
from pitboss.worker.families import ForkFamilies
from pitboss.worker.forkkeeper import Cause, Loss
from pitboss.worker.leases import Leases
from pitboss.worker.memory import KernelKills
from pitboss.worker.processes import adopt_orphans, kill_family, reap_orphans
from pitboss.worker.recovery import Housekeeping, Recovery, introduction
from pitboss.worker.rhythm import Rhythm
from pitboss.worker.supervised import SupervisedRun

logger = logging.getLogger("pitboss.worker")

TICK_SECONDS = 0.02
FLUSH_SECONDS = 0.1
LOOK_SECONDS = 0.5  # a worker looks for work by itself this often, whatever was rung
RECOVER_SECONDS = 0.5
MEMORY_SECONDS = 0.5
PLACE_SECONDS = 1.0
THIN_SECONDS = 60.0
STOP_MARGIN_SECONDS = 2.0
MOST_ATTEMPTS = 500  # without a saved state: a run that always brings down its worker fails in the end


class Worker:
    """One worker process. `run` returns when it was told to stop, or found nothing to do for long enough."""

    def __init__(
        self, config: WorkerConfig, store: RunStore, registry: WorkerRegistry, changes: ChangeSignal,
        kinds: Kinds, upkeep: Upkeep,
    ) -> None:  # fmt: skip
        self.config = config
        self.store = store
        self.registry = registry
        self.changes = changes
        self.kinds = kinds
        self.id = new_id()
        self.housekeeping = Housekeeping(open_files(config.data_dir, config.files_url), config.data_dir)
        self.upkeep = upkeep
        self.kills = KernelKills()
        self.selector = selectors.DefaultSelector()
        self.forks = ForkFamilies(config, kinds, self.selector, self.kills)
        self.admission = Admission(config, registry, self.id, lambda: self.forks.obstacle, upkeep.obstacle)
        self.recovery = Recovery(store, registry, self.housekeeping, introduction(self.id, config), config)
        self.active: dict[str, SupervisedRun] = {}
        self.is_stopping = False
        self.is_draining = False
        self.doorbell = Doorbell(config.data_dir)
        self.rhythm = Rhythm(self.id)
        self.leases = Leases(config, store, self.id, self.rhythm)
        self.claimer = Claimer(config, store, kinds, self.forks, self.admission, self.leases, self.rhythm, self.id)
        self._is_at_work = False
        self._busy_at = time.monotonic()
        self._stop_at = math.inf

    def run(self, on_ready: Callable[[], None] = lambda: None) -> bool:
        """Work until stopped or idle; False when another worker serves this host already.

        Raises StorageUnavailable or OSError when it cannot begin, Misplaced when the database is moved away under it.
        """
        self._recover()  # a dead predecessor on this host must not pass for a live one
        if not self._sign_on(self.config.is_sole, self.config.lease_seconds):
            on_ready()
            return False
        try:
            self._prepare()
            on_ready()
            logger.info("worker started", extra={"worker": self.id, "slots": dict(self.config.slots)})
            self._work()
            while not self.is_stopping and not self._may_go():
                self._work()
        finally:
            self._leave()
        return True

    def _work(self) -> None:
        self._is_at_work = True
        while not self._is_done():
            self._turn()
        self._is_at_work = False

    def _sign_on(self, is_sole: bool, stale_after: float = 0.0) -> bool:
        introduction = replace(self.recovery.own, note=self.admission.note, kernel_kills=self.kills.total)
        return self.registry.register(introduction, is_sole, stale_after)

    def _may_go(self) -> bool:
        """Sign off when idle; whoever submitted just before saw a live worker, so look once more after that."""
        try:
            if not self.is_draining and self.store.queue().queued:
                self._busy_at = time.monotonic()
                return False
            self.registry.remove(self.id)
            if self.is_draining or not self.store.queue().queued:
                return True
            self._busy_at = time.monotonic()
            return not self._sign_on(self.config.is_sole, self.config.lease_seconds)
        except StorageUnavailable as error:
            self.rhythm.complain("signing off", error)
            return True

    def stop(self) -> None:
        """Claim nothing more, suspend and requeue what runs, and end. Safe in a signal handler."""
        self.is_stopping = True

    def _turn(self) -> None:
        if self.rhythm.is_due("place", PLACE_SECONDS):
            self.upkeep.check_place()
        self._listen()
        self._supervise()
        self._flush()  # what was heard is told before anything else is asked
        has_news = self._notice()
        self._obey(has_news)
        self._claim(has_news)
        self._renew()
        self._recover()

    # --- start and end

    def _prepare(self) -> None:
        adopt_orphans()
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, lambda *_: self.stop())
        self.doorbell.open()
        if self.doorbell.fd is not None:
            self.selector.register(self.doorbell.fd, selectors.EVENT_READ)

    def _is_done(self) -> bool:
        if self.is_stopping and time.monotonic() > self._stop_at + STOP_MARGIN_SECONDS:
            return True  # the database is away: what was not written is recovered by the next worker
        if self.is_stopping or self.is_draining:
            return not self.active
        idle = self.config.idle_exit_seconds
        return idle is not None and not self.active and time.monotonic() - self._busy_at > idle

    def _leave(self) -> None:
        self.doorbell.close()
        self.forks.close()
        try:
            self.registry.remove(self.id)
        except StorageUnavailable as error:
            logger.warning("could not sign off", extra={"worker": self.id, "error": str(error)})
        self.changes.close()
        self.selector.close()
        self.housekeeping.close()
        logger.info("worker ended", extra={"worker": self.id})

    # --- hearing

    def _listen(self) -> None:
        ready = {key.fileobj for key, _ in self.selector.select(TICK_SECONDS if self.active else 0.05)}
        if self.doorbell.fd in ready and self.doorbell.was_rung():
            self._busy_at = time.monotonic()
            self.rhythm.hasten("look")
        for run in self.active.values():
            if run.pipe in ready:
                self._guarded(run, run.listen)
                if not run.is_pipe_open:
                    self.selector.unregister(run.pipe)
        self._hear_forks()
        self._look_after_forks()

    def _hear_forks(self) -> None:
        were_ready = self.forks.ready_kinds()
        for notice in self.forks.notices():
            run = self.active.get(notice["run_id"])
            if run is None or notice["token"] != run.token or run.ended is not None:
                continue
            match notice["type"]:
                case "spawned":
                    run.pid = notice["pid"]
                case "refused":
                    self._refused(run, notice["error"])
                case "exited":
                    self._end(run, notice["code"], notice["reason"])
        if self.forks.ready_kinds() != were_ready:
            self.rhythm.hasten("look")

    def _refused(self, run: SupervisedRun, reason: str) -> None:
        self.admission.close(reason)
        self._guarded(run, partial(run.never_started, reason))
        self._settle_end(run)
        if all(other.ended for other in self.active.values()):
            self.forks.replace(run.claim.run.kind, reason)  # it may be the fork server itself that has no room

    def _look_after_forks(self) -> None:
        before = self.forks.obstacle
        losses = self.forks.look({run.claim.run.kind for run in self.active.values()})
        if self.forks.obstacle != before:
            self.rhythm.hasten("look")  # so that it is known at once
        if self.config.is_sole and self.forks.jinx and not self.active:
            raise WorkerUnable(self.forks.jinx, "the next worker tries again")
        for family, loss in losses:
            self._lose(self.forks.kinds_of(family), loss)

    def _lose(self, kinds: Collection[str], loss: Loss) -> None:
        """End the runs of a fork server that is gone."""
        for run in self.active.values():
            if run.claim.run.kind not in kinds:
                continue
            if run.pid:
                kill_family(run.pid)  # they die with the fork server, but not where the kernel holds that frozen
            if run.ended is None:
                self._guarded(run, partial(run.lose, loss.reason, loss.cause is Cause.MEMORY, self._is_resumable))
                self._settle_end(run)

    def _guarded(self, run: SupervisedRun, action: Callable[[], None]) -> None:
        """Let what one run says wrongly end that run, and not the worker."""
        try:
            action()
        except Exception as error:
            logger.error("run not understood", extra={"run": run.id, "worker": self.id, "error": repr(error)})
            run.is_pipe_open = False
            what = f"the run said what cannot be understood: {type(error).__name__}"
            run.error = {"kind": FailureKind.ERROR.value, "message": what, "remedy": "report it with the run's log"}
            run.kill(cells.REASON_NONE)

    def _end(self, run: SupervisedRun, code: int, reason: int) -> None:
        self._guarded(run, partial(run.end, code, reason, self._is_resumable))
        self._settle_end(run)

    def _settle_end(self, run: SupervisedRun) -> None:
        if run.ended is None:  # its last words were not understood
            run.ended = Move(State.FAILED, error=run.error)
            run.outbox.put(move=run.ended)
        if run.pipe in self.selector.get_map():
            self.selector.unregister(run.pipe)

    def _notice(self) -> bool:
        """Answer whether to look at the database: it changed, somebody rang, or it is time anyway."""
        try:
            has_changed = self.changes.poll()
        except StorageUnavailable as error:
            self.rhythm.complain("changes", error)
            has_changed = False
        return self.rhythm.is_due("look", LOOK_SECONDS) or has_changed

    # --- cancelling and claiming

    def _obey(self, has_news: bool) -> None:
        if self.is_stopping:
            self._wind_down()
        if not has_news or not self.active:
            return
        try:
            cancelling = self.store.cancelling(self.id)
        except StorageUnavailable as error:
            self.rhythm.complain("cancels", error)
            return
        for run_id, (keep_partial, age) in cancelling.items():
            if run_id in self.active:
                # written up to a tick later, it still fits into two seconds from when it was asked for
                self.active[run_id].raise_cancel(keep_partial, max(0.0, self.config.cancel_grace_seconds - 0.1 - age))

    def _wind_down(self) -> None:
        if self.rhythm.is_due("wind-down", 3600.0):
            self._stop_at = time.monotonic() + self.config.shutdown_grace_seconds
        for run in self.active.values():
            run.suspend(max(0.0, self._stop_at - time.monotonic()))

    def _claim(self, has_news: bool) -> None:
        if self.is_stopping or self.is_draining or not has_news:
            return
        for run in self.claimer.claim(self.active):
            self.active[run.id] = run
            self.selector.register(run.pipe, selectors.EVENT_READ)
            self._busy_at = time.monotonic()

    # --- supervising

    def _supervise(self) -> None:
        now = time.monotonic()
        checks_memory = self.rhythm.is_due("memory", MEMORY_SECONDS)
        if checks_memory and self.kills.look():
            self._note_kills()
        if checks_memory:
            reap_orphans(self.forks.pids)
        for run in self.active.values():
            if run.ended is not None:
                continue
            self._guarded(run, partial(run.sample, now))
            run.enforce_limits(now, checks_memory)

    def _note_kills(self) -> None:
        """Have it known how many kills we have seen: should there be more when we are gone, we were among them."""
        try:
            self.registry.note_kernel_kills(self.id, self.kills.total)
        except StorageUnavailable as error:
            self.rhythm.complain("noting kills", error)

    def _flush(self) -> None:
        """Write what the runs said, all of it in one transaction; moves at once, the rest ten times a second."""
        if not any(run.outbox.has_move for run in self.active.values()) and not self.rhythm.is_due(
            "flush", FLUSH_SECONDS
        ):
            return
        telling = [run for run in self.active.values() if run.outbox]
        if not telling:
            return
        try:
            self._write(telling)
        except StorageUnavailable as error:
            self.rhythm.complain("flush", error)
            time.sleep(FLUSH_SECONDS)
        except Unstorable:
            for run in telling:  # one of them said it: the others must not wait for that
                self._write_alone(run)

    def _write(self, telling: Sequence[SupervisedRun]) -> None:
        stale = self.store.write([write for run in telling for write in run.outbox.take()])
        for run in telling:
            if run.id in stale:
                run.outbox.drop()  # whoever holds it now needs its checkpoints
            else:
                self.housekeeping.remove(run.outbox.written())
        self._settle(stale)

    def _write_alone(self, run: SupervisedRun) -> None:
        try:
            self._write([run])
        except StorageUnavailable as error:
            self.rhythm.complain("flush", error)
        except Unstorable as error:
            logger.error("run not understood", extra={"run": run.id, "worker": self.id, "error": str(error)})
            run.refuse(f"what the run said cannot be stored: {error.message}")

    def _settle(self, stale: set[str]) -> None:
        """Let go of runs that have ended, and of those that somebody else holds by now."""
        for run in list(self.active.values()):
            if run.id in stale and run.ended is None:
                logger.warning("lease lost", extra={"run": run.id, "worker": self.id})
                run.kill(cells.REASON_LEASE)
                run.claim = replace(run.claim, token="")
            if run.ended is not None and not run.outbox:
                self._release(run)

    def _release(self, run: SupervisedRun) -> None:
        with contextlib.suppress(StorageUnavailable):
            ended = self.store.get(run.id)  # a cancel may have come before what we wrote
            if ended is not None:
                self.housekeeping.discard(ended)
        del self.active[run.id]
        run.close()
        self._busy_at = time.monotonic()
        self.rhythm.hasten("look")

    # --- leases, and what others left

    def _renew(self) -> None:
        lost = self.leases.renew(self.active.values())
        self._settle({run_id for run_id in lost if self.active[run_id].ended is None})

    def _recover(self) -> None:
        if not self.rhythm.is_due("recover", RECOVER_SECONDS):
            return
        try:
            tokens = [run.claim.token for run in self.active.values()]
            kinds = tuple(self.kinds) if self.admission.is_current() else ()
            if kinds and self.rhythm.is_due("thin", THIN_SECONDS):
                self.housekeeping.do(self.upkeep.thin)
            workers = self.recovery.look(tokens, kinds, self._is_resumable)
            own = next((worker for worker in workers if worker.id == self.id), None)
            if own is None and self._is_at_work:
                self._sign_on(is_sole=False)  # others thought us gone
            elif own is not None and own.is_draining and not self.is_draining:
                logger.info("worker drains", extra={"worker": self.id})
                self.is_draining = True
        except (StorageUnavailable, OSError) as error:  # without descriptors it cannot be seen what the dead left
            self.rhythm.complain("recover", error)

    def _is_resumable(self, run: Run) -> bool:
        kind = self.kinds.get(run.kind)
        return kind is not None and kind.is_resumable and run.attempt - run.checkpointed_attempt < MOST_ATTEMPTS
