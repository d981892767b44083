"""The run service: what the command line, the API and the library ask of the engine."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pitboss.core.errors import Conflict, InvalidInput, NotFound, Problem, suggest
from pitboss.core.ids import new_id
from pitboss.core.principal import Principal
from pitboss.runs.checkpoint import differences, plain_identity
from pitboss.runs.events import TERMINAL_TYPES
from pitboss.runs.kinds import Fault, Kinds
from pitboss.runs.model import (
    PRIORITIES,
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
from pitboss.runs.references import artifact_named, own_run, run_named
from pitboss.runs.report import Report
from pitboss.runs.states import TERMINAL, State

OPTIONS = {"max_execution_seconds": "seconds after which the run fails as timeout",
           "memory_limit_mb": "megabytes above which the run fails as memory",
           "resource": "what the worker must serve, such as default or gpu"}  # fmt: skip
_RESOURCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
POLL_SECONDS, MOST_POLL_SECONDS = 0.05, 0.25
MAX_PRIORITY = 1000
MAX_KEY = 200
UNFINISHED = tuple(state for state in State if not state.is_terminal)
CANCEL_SECONDS = 2.0  # within which a cancelled run has ended
_TOO_LATE = (State.COMPLETING, *(s for s in State if s.is_terminal))


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A request for a run, as it came in."""

    kind: str
    params: Mapping[str, Any]
    priority: str | int = "normal"
    tags: Sequence[str] = ()
    options: Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    parent: str | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    is_resumed: bool = False


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
    sources: Callable[[Principal], Any] = lambda _who: None


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
        self.sources = ports.sources
        self.policy = policy
        self._store = ports.store
        self._log = ports.log
        self._registry = ports.registry
        self._figures = ports.figures
        self._launcher = ports.launcher
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
        priority, options, tags = _priority(request.priority), _options(request.options), _tags(request.tags)
        self._check_room()
        prepared = kind.ready(request.params, self.sources(who))
        params = dict(request.params)
        new = NewRun(
            id=new_id(), kind=kind.name, subject=prepared.subject, owner=who.name, params=params,
            snapshot=prepared.snapshot, priority=priority, tags=tags, options=options, parent=request.parent,
            idempotency_key=_key(request.idempotency_key), resource=options.get("resource", kind.resource),
            checkpoints=request.checkpoints, is_resumed=request.is_resumed,
        )  # fmt: skip
        run = self._store.submit(new, self.policy.max_queue_size)
        asked = (request.kind, params, request.parent, request.is_resumed, priority, tags, options)
        if (run.kind, run.params, run.parent, run.is_resumed, run.priority, run.tags, run.options) != asked:
            raise Conflict("that Idempotency-Key was used for another request", "send a new key")
        self._launcher.ring(run.resource)
        return run

    def get(self, who: Principal, run_id: str) -> Run:
        """Answer a run. Raises NotFound, also for one that belongs to somebody else."""
        found = own_run(who, run_id, self._store.get(run_id))
        if isinstance(found, NotFound):
            raise found
        return found

    def several(self, who: Principal, run_ids: Collection[str]) -> dict[str, Run | NotFound]:
        """Answer many runs by one look: for each id what `get` answers or raises."""
        found = {run.id: run for run in self._store.find(RunQuery(ids=tuple(run_ids), limit=len(run_ids)))}
        return {run_id: own_run(who, run_id, found.get(run_id)) for run_id in run_ids}

    def find(self, who: Principal, query: RunQuery) -> list[Run]:
        """Answer runs, latest submitted first. Raises InvalidInput for a limit out of range or a foreign cursor."""
        query = replace(query, owner=who.name)
        if not 1 <= query.limit <= 1000:
            raise InvalidInput(f"the limit {query.limit} is out of range", "1 to 1000", "limit")
        if query.cursor:
            known = self._store.get(query.cursor)
            if known is None or not query.may_hold(known):
                what = f"'{query.cursor[:64]}' is no cursor of this list"
                raise InvalidInput(what, "send the next_cursor of the page before, or none", "cursor")
        return self._store.find(query)

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
        before = self.get(who, run_id)
        run = self._store.request_cancel(run_id, keep_partial, reason[:500].replace("\x00", ""))
        assert run is not None
        self._launcher.ring(run.resource)
        if before.state.is_terminal:
            return CancelAnswer(run, f"already finished: {run.state}")
        if before.state is State.CANCELLING:
            return CancelAnswer(run, self.unconfirmed(run) or "already being cancelled")
        if run.state in _TOO_LATE and run.state is not State.CANCELLED:
            return CancelAnswer(run, "too late: the results are being written")
        return CancelAnswer(run, "cancelled" if run.state is State.CANCELLED else "cancel requested")

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
        run = self.get(who, run_id)
        if run.state not in (State.FAILED, State.CANCELLED):
            raise Conflict(f"run {run_id} is {run.state}", "only failed and cancelled runs are retried; use rerun")
        kind = self.kinds.get(run.kind)
        params = kind.pinned(run.params, run.snapshot) if kind else run.params
        return self._again(who, run, params, key)

    def resume(self, who: Principal, run_id: str, key: str | None = None) -> Run:
        """Go on from where a failed or cancelled run last saved its state, as a new run that names its parent.

        Raises Conflict when it kept no checkpoint, or when what it was made from has changed, saying what.
        """
        run = self.get(who, run_id)
        if run.state not in (State.FAILED, State.CANCELLED):
            raise Conflict(f"run {run_id} is {run.state}", "only failed and cancelled runs are resumed")
        saved = self._store.checkpoints(run_id)
        kind = self.kinds.get(run.kind)
        if not saved or kind is None:
            raise Conflict(f"run {run_id} kept no checkpoint", "retry it: that starts from the beginning")
        params = kind.pinned(run.params, run.snapshot)
        identity = kind.ready(params, self.sources(who)).identity
        changed = differences(saved[0].identity, plain_identity(params, kind.source) if identity is None else identity)
        if changed:
            raise Conflict(
                f"run {run_id} cannot go on: {'; '.join(changed)}", "retry it: that starts from the beginning"
            )
        return self._again(who, run, params, key, tuple(saved))

    def rerun(
        self, who: Principal, run_id: str, overrides: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Run:
        """Queue any run again with some of its params changed, as a new run that names its parent."""
        run = self.get(who, run_id)
        return self._again(who, run, {**run.params, **(overrides or {})}, key)

    def _again(
        self, who: Principal, run: Run, params: Mapping[str, Any], key: str | None,
        checkpoints: tuple[Checkpoint, ...] = (),
    ) -> Run:  # fmt: skip
        request = Submission(
            kind=run.kind, params=params, priority=run.priority, tags=run.tags, options=run.options,
            idempotency_key=key, parent=run.id, checkpoints=checkpoints, is_resumed=bool(checkpoints),
        )  # fmt: skip
        return self.submit(who, request)

    def snapshot(self) -> QueueSnapshot:
        """Answer the queue in claiming order with what is active and who works: of everybody."""
        return self._store.queue(self.policy.limits.ageing_seconds)

    def places(self) -> dict[str, QueuePlace]:
        """Answer where every queued run stands, by its id, in claiming order."""
        return places(self.snapshot(), self.policy.limits, self.policy.lease_seconds)

    def queued(self, who: Principal, limit: int = 500) -> list[tuple[Run, QueuePlace]]:
        """Answer somebody's queued runs that are next, at most `limit`, each with its place among all."""
        found = self.places()
        query = RunQuery(states=(State.QUEUED,), owner=who.name, limit=max(limit, len(found)))
        runs = {run.id: run for run in self._store.find(query)}
        return [(runs[run_id], place) for run_id, place in found.items() if run_id in runs][:limit]

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
        return self.kinds.report(self.get(who, run_id))

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


def _priority(priority: str | int) -> int:
    if isinstance(priority, str) and priority in PRIORITIES:
        return PRIORITIES[priority]
    try:
        value = int(priority)
    except (TypeError, ValueError):
        value = MAX_PRIORITY + 1
    if isinstance(priority, bool) or abs(value) > MAX_PRIORITY:
        raise InvalidInput(f"'{str(priority)[:40]}' is no priority",
                           f"low, normal, high, or {-MAX_PRIORITY} to {MAX_PRIORITY}", "priority")  # fmt: skip
    return value


def _key(key: str | None) -> str | None:
    """Answer an idempotency key; an empty one, such as of a variable that is not set, is none."""
    if key is None or not key.strip():
        return None
    if len(key) > MAX_KEY:
        raise InvalidInput(f"the idempotency key has {len(key)} characters", f"at most {MAX_KEY}", "Idempotency-Key")
    return key


def _options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    problems = []
    for name, value in (options or {}).items():
        if name not in OPTIONS:
            problems.append(Problem(f"unknown option '{name}'", suggest(name, OPTIONS), where="options"))
        elif name == "resource":
            if not isinstance(value, str) or not _RESOURCE.fullmatch(value):
                problems.append(Problem(f"'{str(value)[:40]}' is no resource", "write gpu", where="options.resource"))
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            problems.append(Problem(f"'{name}' is not greater than 0", OPTIONS[name], where=f"options.{name}"))
    if problems:
        raise InvalidInput(problems)
    return dict(options or {})


def _tags(tags: Sequence[str]) -> tuple[str, ...]:
    if isinstance(tags, str) or len(tags) > 20 or not all(isinstance(t, str) and 0 < len(t) <= 64 for t in tags):
        raise InvalidInput("the tags do not fit", "at most 20 texts of 1 to 64 characters", "tags")
    return tuple(dict.fromkeys(tags))
