"""The run service: what the command line, the API and the library ask of the engine."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pitboss.core.errors import Conflict, InvalidInput, NotFound, Problem, suggest
from pitboss.core.ids import new_id
from pitboss.runs.checkpoint import differences
from pitboss.runs.events import TERMINAL_TYPES
from pitboss.runs.model import (
    DEFAULT_RESOURCE,
    PRIORITIES,
    Artifact,
    Checkpoint,
    Limits,
    NewRun,
    QueuePlace,
    Run,
    RunQuery,
    StoredEvent,
    WorkerInfo,
)
from pitboss.runs.ports import EventLog, Figures, JobKind, Launcher, RunStore, WorkerRegistry
from pitboss.runs.queue import ABOUT_TO_START, obstacle, places
from pitboss.runs.states import State

LOCAL_OWNER = "local"
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Engine:
    """The ports that a service works through."""

    store: RunStore
    log: EventLog
    registry: WorkerRegistry
    figures: Figures
    launcher: Launcher
    kinds: Mapping[str, JobKind]


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator allows."""

    limits: Limits
    max_queue_size: int
    lease_seconds: float


class RunService:
    """Submits, cancels, retries, lists and watches runs. Safe to use from any thread."""

    def __init__(self, engine: Engine, policy: Policy, check_room: Callable[[], None] = lambda: None) -> None:
        self.store = engine.store
        self.log = engine.log
        self.registry = engine.registry
        self.figures = engine.figures
        self.launcher = engine.launcher
        self.kinds = engine.kinds
        self.policy = policy
        self.check_room = check_room

    def submit(self, request: Submission, owner: str = LOCAL_OWNER) -> Run:
        """Check and queue a run; committed when this answers.

        Raises InvalidInput with every mistake, QueueFull, DiskFull, StorageUnavailable; then nothing is stored.
        """
        kind = self.kinds.get(request.kind)
        if kind is None:
            raise InvalidInput(
                f"unknown kind '{str(request.kind)[:40]}'", suggest(str(request.kind), self.kinds), "kind"
            )
        priority, options, tags = _priority(request.priority), _options(request.options), _tags(request.tags)
        self.check_room()
        prepared = kind.prepare(request.params)
        run = self.store.submit(
            NewRun(
                new_id(), request.kind, prepared.subject, owner, prepared.params, prepared.snapshot,
                priority, tags, options, request.parent, _key(request.idempotency_key),
                options.get("resource", DEFAULT_RESOURCE), request.checkpoints, request.is_resumed,
            ),
            self.policy.max_queue_size,
        )  # fmt: skip
        asked = (request.kind, prepared.params, request.parent, request.is_resumed, priority, tags, options)
        if (run.kind, run.params, run.parent, run.is_resumed, run.priority, run.tags, run.options) != asked:
            raise Conflict("that Idempotency-Key was used for another request", "send a new key")
        self.launcher.ring(run.resource)
        return run

    def get(self, run_id: str, owner: str | None = None) -> Run:
        """Answer a run. Raises NotFound, also for one that belongs to somebody else."""
        run = self.store.get(run_id)
        if run is None or (owner is not None and run.owner != owner):
            raise NotFound(f"there is no run '{run_id[:64]}'", "see 'pitboss runs list'")
        return run

    def find(self, query: RunQuery) -> list[Run]:
        """Answer runs, latest submitted first. Raises InvalidInput for a limit out of range or a foreign cursor."""
        if not 1 <= query.limit <= 1000:
            raise InvalidInput(f"the limit {query.limit} is out of range", "1 to 1000", "limit")
        if query.cursor:
            known = self.store.get(query.cursor)
            if known is None or not query.may_hold(known):
                what = f"'{query.cursor[:64]}' is no cursor of this list"
                raise InvalidInput(what, "send the next_cursor of the page before, or none", "cursor")
        return self.store.find(query)

    def has_unfinished(self) -> bool:
        """Answer whether any run has not ended yet."""
        return bool(self.store.find(RunQuery(UNFINISHED, limit=1)))

    def resolve(self, reference: str, owner: str | None = None) -> Run:
        """Answer the run of an id, the unique start or end of one, or `latest`. Raises NotFound, Conflict."""
        if reference == "latest":
            newest = self.store.find(RunQuery(owner=owner, limit=1))
            if not newest:
                raise NotFound("there are no runs yet", "start one with 'pitboss backtest'")
            return newest[0]
        if len(reference) >= 36:
            return self.get(reference, owner)
        recent = self.store.find(RunQuery(owner=owner, limit=1000))
        matching = [run for run in recent if run.id.startswith(reference) or run.id.endswith(reference)]
        if len(matching) > 1:
            raise Conflict(f"'{reference}' fits {len(matching)} runs", "write more of the id")
        if not matching or len(reference) < 4:
            raise NotFound(f"there is no run '{reference[:64]}'", "see 'pitboss runs list'")
        return matching[0]

    def cancel(self, run_id: str, keep_partial: bool, reason: str = "", owner: str | None = None) -> CancelAnswer:
        """Ask a run to end. Asking twice, or too late, changes nothing and says so. Raises NotFound."""
        before = self.get(run_id, owner)
        run = self.store.request_cancel(run_id, keep_partial, reason[:500].replace("\x00", ""))
        assert run is not None
        self.launcher.ring(run.resource)
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
        _, seconds = self.store.cancelling(run.worker_id or "").get(run.id, (False, 0.0))
        if seconds <= CANCEL_SECONDS:
            return ""
        return (
            f"cancel unconfirmed after {seconds:.0f} s: its worker does not answer; another one ends the run "
            "when the lease is over (where none runs, start one: pitboss worker)"
        )

    def retry(self, run_id: str, owner: str = LOCAL_OWNER, key: str | None = None) -> Run:
        """Queue a failed or cancelled run again, as a new run that names its parent. Raises Conflict."""
        run = self.get(run_id, owner)
        if run.state not in (State.FAILED, State.CANCELLED):
            raise Conflict(f"run {run_id} is {run.state}", "only failed and cancelled runs are retried; use rerun")
        kind = self.kinds.get(run.kind)
        params = kind.pinned(run.params, run.snapshot) if kind else run.params
        return self._again(run, params, owner, key)

    def resume(self, run_id: str, owner: str = LOCAL_OWNER, key: str | None = None) -> Run:
        """Go on from where a failed or cancelled run last saved its state, as a new run that names its parent.

        Raises Conflict when it kept no checkpoint, or when what it was made from has changed, saying what.
        """
        run = self.get(run_id, owner)
        if run.state not in (State.FAILED, State.CANCELLED):
            raise Conflict(f"run {run_id} is {run.state}", "only failed and cancelled runs are resumed")
        saved = self.store.checkpoints(run_id)
        kind = self.kinds.get(run.kind)
        if not saved or kind is None:
            raise Conflict(f"run {run_id} kept no checkpoint", "retry it: that starts from the beginning")
        params = kind.pinned(run.params, run.snapshot)
        changed = differences(saved[0].identity, kind.identity(kind.prepare(params).snapshot))
        if changed:
            raise Conflict(
                f"run {run_id} cannot go on: {'; '.join(changed)}", "retry it: that starts from the beginning"
            )
        return self._again(run, params, owner, key, tuple(saved))

    def rerun(
        self,
        run_id: str,
        overrides: Mapping[str, Any] | None = None,
        owner: str = LOCAL_OWNER,
        key: str | None = None,
    ) -> Run:
        """Queue any run again with some of its params changed, as a new run that names its parent."""
        run = self.get(run_id, owner)
        return self._again(run, {**run.params, **(overrides or {})}, owner, key)

    def _again(
        self, run: Run, params: Mapping[str, Any], owner: str, key: str | None, checkpoints: tuple[Checkpoint, ...] = ()
    ) -> Run:
        request = Submission(
            run.kind, params, run.priority, run.tags, run.options, key, run.id, checkpoints, bool(checkpoints)
        )
        return self.submit(request, owner)

    def places(self) -> dict[str, QueuePlace]:
        """Answer where every queued run stands, in claiming order."""
        return places(
            self.store.queue(self.policy.limits.ageing_seconds), self.policy.limits, self.policy.lease_seconds
        )

    def queued(self, limit: int = 500) -> list[tuple[Run, QueuePlace]]:
        """Answer the queued runs that are next, at most `limit`, each with its place."""
        found = self.places()
        runs = {run.id: run for run in self.store.find(RunQuery((State.QUEUED,), limit=max(limit, len(found))))}
        return [(runs[run_id], place) for run_id, place in found.items() if run_id in runs][:limit]

    def ready_resources(self) -> set[str]:
        """Answer the resources that runs wait for although they could start."""
        limits = self.policy.limits
        snapshot = self.store.queue(limits.ageing_seconds)
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
        return obstacle(self.store.queue(self.policy.limits.ageing_seconds), self.policy.lease_seconds)

    def workers(self) -> list[WorkerInfo]:
        """Answer the workers that have not signed off."""
        return self.registry.list()

    def events(self, run_id: str, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        """Answer the events of a run after `after`."""
        return self.log.read(run_id, after, limit)

    def artifacts(self, run_id: str) -> list[Artifact]:
        """Answer the files that a run left behind."""
        return self.store.artifacts(run_id)

    def watch(self, run_id: str, after: int = 0) -> Iterator[StoredEvent | None]:
        """Yield a run's events as they come, until its last; None when a poll found nothing new. Where nothing happens
        for long, polls become rarer."""
        pause = POLL_SECONDS
        while True:
            events = self.log.read(run_id, after)
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
