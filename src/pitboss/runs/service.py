"""The run service: what the command line, the API and the library ask of the engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from pitboss.core.errors import Conflict, DiskFull, InvalidInput, NotFound, QueueFull, suggest
from pitboss.core.ids import new_id
from pitboss.core.principal import Principal
from pitboss.runs.access import RUN, Nobody, Overseer, RunAccess, Shares
from pitboss.runs.checkpoint import differences, plain_identity
from pitboss.runs.events import TERMINAL_TYPES
from pitboss.runs.kinds import Fault, Kind, Kinds, alone
from pitboss.runs.model import (
    Artifact,
    Checkpoint,
    Limits,
    Measures,
    NewRun,
    QueuePlace,
    QueueSnapshot,
    Run,
    RunQuery,
    StoredEvent,
    WorkerInfo,
)
from pitboss.runs.ports import EventLog, Figures, Launcher, RunStore, WorkerRegistry
from pitboss.runs.queue import ABOUT_TO_START, obstacle, places
from pitboss.runs.references import artifact_named, run_named
from pitboss.runs.remarks import NONE, RemarkStore, read_remarks
from pitboss.runs.report import Report
from pitboss.runs.states import TERMINAL, State
from pitboss.runs.submission import Submission, read_key, read_options, read_priority, read_tags

POLL_SECONDS, MOST_POLL_SECONDS = 0.05, 0.25
UNFINISHED = tuple(state for state in State if not state.is_terminal)
STOPPABLE = (State.QUEUED, State.STARTING, State.RUNNING)
CANCEL_SECONDS = 2.0  # within which a cancelled run has ended
_TOO_LATE = (State.COMPLETING, *(s for s in State if s.is_terminal))


def _beside(run_id: str) -> str:
    """Answer the tag of a run's companions."""
    return f"beside {run_id}"


@dataclass(frozen=True, slots=True)
class CancelAnswer:
    """The run after a cancel was asked for, and in words what that did."""

    run: Run
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What a service works through. `sources` answers where kinds find what somebody's params name, such as their
    stored strategies."""

    store: RunStore
    log: EventLog
    registry: WorkerRegistry
    figures: Figures
    launcher: Launcher
    kinds: Kinds
    remarks: RemarkStore
    sources: Callable[[Principal, Mapping[str, Any]], Any] = lambda _who, _seen: None
    shares: Shares = field(default_factory=Nobody)
    overseer: Overseer = field(default_factory=Nobody)


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator allows."""

    limits: Limits
    max_queue_size: int
    lease_seconds: float


class RunService:
    """Submits, cancels, retries, lists and watches runs. Safe to use from any thread.

    Whoever asks comes first in every method about somebody's runs: what belongs to others is not found, and not
    changed. What is left is about the engine as a whole, and names nobody.
    """

    def __init__(self, ports: Ports, policy: Policy, check_room: Callable[[], None] = lambda: None) -> None:
        self.kinds = ports.kinds
        self._sources = ports.sources
        self.policy = policy
        self._store = ports.store
        self._access = RunAccess(ports.store, ports.shares, ports.overseer)
        self._log = ports.log
        self._registry = ports.registry
        self._figures = ports.figures
        self._launcher = ports.launcher
        self._remarks = ports.remarks
        self._check_room = check_room

    def submit(self, who: Principal, request: Submission) -> Run:
        """Check and queue a run; committed when this answers.

        Raises InvalidInput with every mistake, QueueFull, DiskFull, StorageUnavailable; then nothing is stored.
        """
        kind = self.kinds.get(request.kind)
        if kind is None:
            raise InvalidInput(
                f"unknown kind '{str(request.kind)[:40]}'", suggest(str(request.kind), self.kinds), "kind"
            )
        priority, options, tags = (
            read_priority(request.priority),
            read_options(request.options),
            read_tags(request.tags),
        )
        self._check_room()
        prepared = kind.ready(request.params, self._sources(who, request.seen))
        params = dict(request.params)
        new = NewRun(
            id=new_id(), kind=kind.name, subject=prepared.subject, owner=who.name, params=params,
            snapshot=prepared.snapshot, priority=priority, tags=tags, options=options, parent=request.parent,
            idempotency_key=read_key(request.idempotency_key), resource=options.get("resource", kind.resource),
            checkpoints=request.checkpoints, is_resumed=request.is_resumed,
        )  # fmt: skip
        run = self._store.submit(new, self.policy.max_queue_size)
        asked = (request.kind, params, request.parent, request.is_resumed, priority, tags, options)
        if (run.kind, run.params, run.parent, run.is_resumed, run.priority, run.tags, run.options) != asked:
            raise Conflict("that Idempotency-Key was used for another request", "send a new key")
        self._launcher.ring(run.resource)
        self._accompany(who, kind, run)
        return run

    def _accompany(self, who: Principal, kind: Kind, run: Run) -> None:
        """Queue the companions of a run, as far as there is room."""
        for number, beside in enumerate(kind.companions(run), 1):
            tags = (*beside.tags, _beside(run.id))
            with suppress(QueueFull, DiskFull):
                self.submit(who, replace(beside, parent=run.id, tags=tags, idempotency_key=f"{run.id} {number}"))

    def companions(self, run: Run, states: tuple[State, ...] = ()) -> list[Run]:
        """Answer what was queued with a run that somebody was shown, to be held against it."""
        kind = self.kinds.get(run.kind)
        if kind is None or kind.companions is alone:
            return []
        return self._store.find(RunQuery(owner=run.owner, tag=_beside(run.id), states=states))

    def sources(self, who: Principal) -> Any:
        """Answer where kinds find what somebody's params name."""
        return self._sources(who, {})

    def get(self, who: Principal, run_id: str) -> Run:
        """Answer a run. Raises NotFound, also for one that belongs to somebody else and is not shared."""
        found = self.several(who, [run_id])[run_id]
        if isinstance(found, NotFound):
            raise found
        return found

    def own(self, who: Principal, run_id: str) -> Run:
        """Answer a run that somebody may change. Raises NotFound, also for one that is only shared with them."""
        return self._access.changeable(who, run_id)

    def several(self, who: Principal, run_ids: Collection[str]) -> dict[str, Run | NotFound]:
        """Answer many runs by one look: for each id what `get` answers or raises."""
        return self._access.readable(who, run_ids)

    def find(self, who: Principal, query: RunQuery) -> list[Run]:
        """Answer one's own runs, latest submitted first; an operator may name another owner, or `*` for all of them.

        Raises InvalidInput for a limit out of range or a foreign cursor.
        """
        query = replace(query, owner=self._access.owner_of(who, query))
        if not 1 <= query.limit <= 1000:
            raise InvalidInput(f"the limit {query.limit} is out of range", "1 to 1000", "limit")
        if query.cursor:
            known = self._store.get(query.cursor)
            if known is None or not query.may_hold(known):
                what = f"'{query.cursor[:64]}' is no cursor of this list"
                raise InvalidInput(what, "send the next_cursor of the page before, or none", "cursor")
        return self._store.find(query)

    def positions(self, who: Principal, tags: Collection[str]) -> dict[str, Hashable]:
        """Answer for each tag what is another value whenever one of one's own runs that bear it has moved on."""
        return self._store.positions(who.name, tags)

    def has_unfinished(self) -> bool:
        """Answer whether any run has not ended yet."""
        return bool(self._store.find(RunQuery(states=UNFINISHED, limit=1)))

    def resolve(self, who: Principal, reference: str) -> Run:
        """Answer the run of an id, of `latest`, or of what `run_named` takes. Raises NotFound, Conflict."""
        if reference == "latest":
            newest = self._store.find(RunQuery(owner=who.name, limit=1))
            if not newest:
                raise NotFound("there are no runs yet", "start one first")
            return newest[0]
        if len(reference) >= 36:
            return self.get(who, reference)
        recent = self._store.find(RunQuery(owner=who.name, limit=1000))
        return run_named(recent, reference)

    def cancel(self, who: Principal, run_id: str, keep_partial: bool, reason: str = "") -> CancelAnswer:
        """Ask a run to end. Asking twice, or too late, changes nothing and says so. Raises NotFound."""
        before = self._access.changeable(who, run_id)
        if not who.owns(before.owner):  # its owner must see whose doing that was
            reason = f"by {who.name}: {reason}" if reason else f"by {who.name}"
        run = self._store.request_cancel(run_id, keep_partial, reason[:500].replace("\x00", ""))
        assert run is not None
        self._launcher.ring(run.resource)
        if before.state.is_terminal:
            return CancelAnswer(run, f"already finished: {run.state}")
        for beside in self.companions(run, UNFINISHED):
            self._store.request_cancel(beside.id, False, f"run {run.number} was cancelled")
        if before.state is State.CANCELLING:
            return CancelAnswer(run, self.unconfirmed(run) or "already being cancelled")
        if run.state in _TOO_LATE and run.state is not State.CANCELLED:
            return CancelAnswer(run, "too late: the results are being written")
        return CancelAnswer(run, "cancelled" if run.state is State.CANCELLED else "cancel requested")

    def stop_everything(self, who: Principal, keep_partial: bool, reason: str = "emergency stop") -> list[Run]:
        """Cancel all of somebody's runs that have not ended, whatever their kind, however many; answer them."""
        stopped: dict[str, Run] = {}
        while True:
            found = self._store.find(RunQuery(owner=who.name, states=STOPPABLE, limit=1000))
            if not (left := [run for run in found if run.id not in stopped]):
                return list(stopped.values())
            stopped |= {run.id: self.cancel(who, run.id, keep_partial, reason).run for run in left}

    def prioritize(self, who: Principal, run_id: str, priority: str | int) -> Run:
        """Move a queued run forward or back. Raises NotFound, InvalidInput, Conflict for one that has begun."""
        wanted = read_priority(priority)
        self._access.changeable(who, run_id)
        run = self._store.prioritize(run_id, wanted)
        assert run is not None
        if run.priority != wanted:
            raise Conflict(f"run {run_id} is {run.state}", "only queued runs have a place in the queue")
        self._launcher.ring(run.resource)
        return run

    def notes(self, who: Principal, run_id: str) -> str:
        """Answer what its owner wrote beside a run. Raises NotFound."""
        return self._remarks.of(RUN, [self.get(who, run_id).id]).get(run_id, NONE).notes

    def write_notes(self, who: Principal, run_id: str, text: str) -> None:
        """Keep notes beside a run. Raises NotFound, InvalidInput."""
        self._remarks.put(RUN, self._access.changeable(who, run_id).id, read_remarks((), text))

    def settled(self, who: Principal, run_id: str, seconds: float = CANCEL_SECONDS) -> Run:
        """Answer a run once it has ended, or as it is after so many seconds. Raises NotFound."""
        deadline = time.monotonic() + seconds
        while not (run := self.get(who, run_id)).state.is_terminal and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return run

    def unconfirmed(self, run: Run) -> str:
        """Answer what keeps a cancel waiting for longer than it may take; empty when nothing does."""
        if run.state is not State.CANCELLING:
            return ""
        _, seconds = self._store.cancelling(run.worker_id or "").get(run.id, (False, 0.0))
        if seconds <= CANCEL_SECONDS:
            return ""
        return (
            f"cancel unconfirmed after {seconds:.0f} s: its worker does not answer; another one ends the run "
            "when the lease is over (where none runs, start one)"
        )

    def retry(self, who: Principal, run_id: str, key: str | None = None) -> Run:
        """Queue a failed or cancelled run again, as a new run that names its parent. Raises Conflict."""
        run = self._access.changeable(who, run_id)
        if run.state not in (State.FAILED, State.CANCELLED):
            raise Conflict(f"run {run_id} is {run.state}", "only failed and cancelled runs are retried; use rerun")
        kind = self.kinds.get(run.kind)
        params = kind.pinned(run.params, run.snapshot) if kind else run.params
        return self._again(who, run, params, key, run.snapshot)

    def resume(self, who: Principal, run_id: str, key: str | None = None) -> Run:
        """Go on from where a failed or cancelled run last saved its state, as a new run that names its parent.

        Raises Conflict when it kept no checkpoint, or when what it was made from has changed, saying what.
        """
        run = self._access.changeable(who, run_id)
        if run.state not in (State.FAILED, State.CANCELLED):
            raise Conflict(f"run {run_id} is {run.state}", "only failed and cancelled runs are resumed")
        saved = self._store.checkpoints(run_id)
        kind = self.kinds.get(run.kind)
        if not saved or kind is None:
            raise Conflict(f"run {run_id} kept no checkpoint", "retry it: that starts from the beginning")
        params = kind.pinned(run.params, run.snapshot)
        identity = kind.ready(params, self._sources(who, run.snapshot)).identity
        changed = differences(saved[0].identity, plain_identity(params, kind.source) if identity is None else identity)
        if changed:
            raise Conflict(
                f"run {run_id} cannot go on: {'; '.join(changed)}", "retry it: that starts from the beginning"
            )
        return self._again(who, run, params, key, run.snapshot, tuple(saved))

    def rerun(
        self, who: Principal, run_id: str, overrides: Mapping[str, Any] | None = None, key: str | None = None,
        newest: bool = False,
    ) -> Run:  # fmt: skip
        """Queue any run again with some of its params changed, as a new run that names its parent: on the data that it
        saw, as far as that is kept, or on the `newest`."""
        run = self._access.changeable(who, run_id)
        seen = {} if newest else run.snapshot
        return self._again(who, run, {**run.params, **(overrides or {})}, key, seen)

    def _again(
        self, who: Principal, run: Run, params: Mapping[str, Any], key: str | None, seen: Mapping[str, Any],
        checkpoints: tuple[Checkpoint, ...] = (),
    ) -> Run:  # fmt: skip
        request = Submission(
            kind=run.kind, params=params, priority=run.priority, tags=run.tags, options=run.options,
            idempotency_key=key, parent=run.id, seen=seen, checkpoints=checkpoints, is_resumed=bool(checkpoints),
        )  # fmt: skip
        return self.submit(who, request)

    def snapshot(self) -> QueueSnapshot:
        """Answer the queue in claiming order with what is active and who works: of everybody."""
        return self._store.queue(self.policy.limits.ageing_seconds)

    def places(self) -> dict[str, QueuePlace]:
        """Answer where every queued run stands, by its id, in claiming order."""
        return places(self.snapshot(), self.policy.limits, self.policy.lease_seconds)

    def queued(self, who: Principal, limit: int = 500) -> list[tuple[Run | None, QueuePlace]]:
        """Answer the runs that are next, at most `limit`, each with its place among all; None stands for another's."""
        found = self.places()
        query = RunQuery(states=(State.QUEUED,), owner=who.name, limit=max(limit, len(found)))
        runs = {run.id: run for run in self._store.find(query)}
        return [(runs.get(run_id), place) for run_id, place in islice(found.items(), limit)]

    def active(self, who: Principal) -> list[Run]:
        """Answer somebody's active runs."""
        return [run for run in self.snapshot().active if who.owns(run.owner)]

    def ready_resources(self) -> set[str]:
        """Answer the resources that runs wait for although they could start."""
        limits = self.policy.limits
        snapshot = self.snapshot()
        found = places(snapshot, limits, self.policy.lease_seconds)
        return {run.resource for run in snapshot.queued if found[run.id].waiting_reason == ABOUT_TO_START}

    def place(self, run: Run) -> QueuePlace | None:
        """Answer where a run stands in the queue, None when it is not queued."""
        return self.places().get(run.id) if run.state is State.QUEUED else None

    def waits_for(self, run: Run) -> str:
        """Say what a run that has not begun waits for; empty when it has, or nothing unusual holds it up."""
        if run.state is State.QUEUED:
            place = self.place(run)
            return place.waiting_reason if place else ""
        return self.obstacle() if run.state is State.STARTING else ""

    def obstacle(self) -> str:
        """Say what keeps every worker from starting runs, or from coming about; empty when nothing does."""
        return obstacle(self.snapshot(), self.policy.lease_seconds)

    def workers(self) -> list[WorkerInfo]:
        """Answer the workers that have not signed off."""
        return self._registry.all()

    def drain(self, worker_ids: Sequence[str]) -> None:
        """Ask workers to claim nothing more, finish what runs, and end."""
        self._registry.drain(worker_ids)

    def measures(self) -> Measures:
        """Answer how all runs fare."""
        return self._figures.measures()

    def statistics(self, who: Principal, subject: str | None = None) -> dict[str, Any]:
        """Answer counts of somebody's runs by state, and figures over completed ones alone."""
        return self._figures.statistics(who.name, subject)

    def report(self, who: Principal, run_id: str) -> Report:
        """Answer what came of a run. Raises NotFound."""
        return self.report_of(self.get(who, run_id))

    def report_of(self, run: Run) -> Report:
        """Answer what came of a run that somebody was shown, held against what was queued with it."""
        return self.kinds.report(run, self.companions(run))

    def kind_faults(self, who: Principal) -> list[Fault]:
        """Answer what is wrong with installed kinds; the newest run of each shows whether its report can be made."""
        for name in self.kinds:
            for run in self._store.find(RunQuery(states=tuple(TERMINAL), kind=name, owner=who.name, limit=1)):
                self.kinds.report(run)
        return self.kinds.faults

    def events(self, who: Principal, run_id: str, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        """Answer the events of a run after `after`. Raises NotFound."""
        return self._log.read(self.get(who, run_id).id, after, limit)

    def artifacts(self, who: Principal, run_id: str) -> list[Artifact]:
        """Answer the files that a run left behind. Raises NotFound."""
        return self._store.artifacts(self.get(who, run_id).id)

    def artifact(self, who: Principal, run_id: str, name: str) -> Artifact:
        """Answer one of them by its name. Raises NotFound."""
        return artifact_named(self.artifacts(who, run_id), name, run_id)

    def checkpoints(self, who: Principal, run_id: str) -> list[Checkpoint]:
        """Answer the saved states of a run, newest first. Raises NotFound."""
        return self._store.checkpoints(self.get(who, run_id).id)

    def watch(self, who: Principal, run_id: str, after: int = 0) -> Iterator[StoredEvent | None]:
        """Yield a run's events as they come, until its last; None when a poll found nothing new. Where nothing happens
        for long, polls become rarer. Raises NotFound."""
        self.get(who, run_id)
        pause = POLL_SECONDS
        while True:
            events = self._log.read(run_id, after)
            for event in events:
                after = event.seq
                yield event
                if event.type in TERMINAL_TYPES:
                    return
            if events:
                pause = POLL_SECONDS
            else:
                yield None
                time.sleep(pause)
                pause = min(MOST_POLL_SECONDS, pause * 1.05)
