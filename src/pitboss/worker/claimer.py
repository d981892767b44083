"""From the queue to a process: claims runs and has them started, gives back or up those that cannot be."""

from __future__ import annotations

import errno
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from pitboss.core import panel as cells
from pitboss.core.clock import boot_nanoseconds
from pitboss.core.errors import NotFound, StorageUnavailable
from pitboss.runs.kinds import Family, Kinds
from pitboss.runs.model import Claim, Serves
from pitboss.runs.ports import Move, RunStore, RunWrite
from pitboss.runs.states import FailureKind, State
from pitboss.worker.admission import Admission
from pitboss.worker.config import WorkerConfig
from pitboss.worker.families import ForkFamilies
from pitboss.worker.forkkeeper import Cause
from pitboss.worker.leases import Leases
from pitboss.worker.rhythm import Rhythm
from pitboss.worker.starting import start
from pitboss.worker.supervised import INTERRUPTIONS, SupervisedRun, failed, not_started, unstartable

logger = logging.getLogger("pitboss.worker")
OTHER_KINDS_SECONDS = 0.5  # while runs of some kinds start one after the other, how often we look for runs of others

LEAST_CANCEL_SECONDS = 1.2  # for what makes results of a checkpoint, from its start on
# what does not pass by itself: something lies in the way, or is not ours to write
_LASTING = frozenset(
    (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG)
)


class Claimer:
    """Claims for one worker."""

    def __init__(
        self, config: WorkerConfig, store: RunStore, kinds: Kinds, forks: ForkFamilies,
        admission: Admission, leases: Leases, rhythm: Rhythm, worker_id: str,
    ) -> None:  # fmt: skip
        self.config = config
        self.store = store
        self.kinds = kinds
        self.forks = forks
        self.admission = admission
        self.leases = leases
        self.rhythm = rhythm
        self.worker_id = worker_id
        self._given_up_after: dict[Family, float] = {}

    def claim(self, active: Mapping[str, SupervisedRun]) -> list[SupervisedRun]:
        """Claim as many runs as there are free slots of each resource beside the `active`, and answer those that were
        started; trouble with the database is logged."""
        busy = Counter(run.claim.run.resource for run in active.values())
        free = {resource: count - busy[resource] for resource, count in self.config.slots.items()}
        started: list[SupervisedRun | None] = []
        try:
            # one that only makes results of its checkpoint, after a cancel, is claimed beyond what is free
            claims = self._claims(self.forks.ready_kinds(), free) if self.admission.is_open() else []
            started = [self._started(claim, claimed_at, active) for claim, claimed_at in claims]
            if not claims or self.rhythm.is_due("other kinds", OTHER_KINDS_SECONDS):
                self.forks.need(self._waiting_kinds(self.forks.ready_kinds()))
                self._give_up_where_hopeless(free)
        except StorageUnavailable as error:
            self.rhythm.complain("claim", error)
        return [run for run in started if run is not None]

    def _waiting_kinds(self, ready: Collection[str]) -> list[str]:
        """Answer a kind of which a run waits for a fork server that is not ready, and so on with the other families."""
        absent = [name for name in self.kinds if name not in ready]
        waiting = self.store.waiting_kind(absent) if absent else None
        if waiting is None:
            return []
        return [waiting, *self._waiting_kinds([*ready, *self.forks.kinds_of(self.kinds[waiting].preload)])]

    def _claims(self, kinds: Sequence[str], free: Mapping[str, int]) -> list[tuple[Claim, int]]:
        if not kinds:
            return []
        before = boot_nanoseconds()
        serves = Serves(tuple(kinds), free)
        found = self.store.claim(self.worker_id, self.config.lease_seconds, self.config.limits, serves)
        return [(claim, before) for claim in found]

    def _started(self, claim: Claim, claimed_at: int, active: Mapping[str, SupervisedRun]) -> SupervisedRun | None:
        run = claim.run
        if run.id in active:  # its lease ended unseen, and it came back to us: the old attempt must end first
            active[run.id].kill(cells.REASON_LEASE)
            self._return(claim, Move(State.QUEUED, error={"message": "claimed twice"}))
            return None
        try:
            started = start(self.forks, claim, self.kinds[run.kind], self.config, self.leases.end(claimed_at))
        except (NotFound, StorageUnavailable) as error:  # a secret is gone, or cannot be opened
            self._return(claim, failed(FailureKind.INVALID, error.message, error.remedy))
            return None
        except ConnectionError:  # its fork server has died since we last looked, which is told when it is missed
            self._return(claim, Move(State.QUEUED, error={"message": INTERRUPTIONS[cells.REASON_FORK_SERVER]}))
            return None
        except OSError as error:
            self._give_back(claim, error)
            return None
        if run.state is State.CANCELLING:
            started.raise_cancel(keep_partial=True, grace_seconds=LEAST_CANCEL_SECONDS)
        self.admission.open()
        logger.info("run claimed", extra={"run": run.id, "worker": self.worker_id, "attempt": run.attempt})
        return started

    def _give_back(self, claim: Claim, error: OSError) -> None:
        """Queue a run again that could not be started, for want of descriptors or disk, and claim none for a while."""
        reason = f"runs cannot be started: {error.strerror or error}"
        if error.filename:
            reason += f": {error.filename}"
        logger.error("run not started", extra={"run": claim.run.id, "worker": self.worker_id, "error": reason})
        self.admission.close(reason)
        self._return(claim, not_started(claim.run, reason, error.errno in _LASTING))

    def _give_up_where_hopeless(self, free: Mapping[str, int]) -> None:
        """Fail some of the runs that wait, once after each start of their fork server that came to nothing again."""
        for family, keeper in self.forks.hopeless():
            if keeper.failed_at == self._given_up_after.get(family):
                continue
            self._given_up_after[family] = keeper.failed_at
            is_memory = keeper.last_loss.cause is Cause.MEMORY
            end = unstartable(keeper.obstacle, FailureKind.MEMORY if is_memory else FailureKind.ERROR)
            for claim, _ in self._claims(self.forks.kinds_of(family), free):
                self._return(claim, end)

    def _return(self, claim: Claim, move: Move) -> None:
        try:
            self.store.write([RunWrite(claim.run.id, claim.token, 1, move=move)])
        except StorageUnavailable as error:
            self.rhythm.complain("giving back", error)  # it is recovered, as any run that is ours and unknown here
