"""The store of runs over SQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from pitboss.core.errors import QueueFull
from pitboss.core.ids import new_token
from pitboss.runs import events as ev
from pitboss.runs.consequences import UNHELD, after_cancel, consequences, new_row
from pitboss.runs.model import (
    Artifact,
    Checkpoint,
    Claim,
    Limits,
    NewRun,
    QueueSnapshot,
    Run,
    RunQuery,
    Serves,
    Waiting,
)
from pitboss.runs.ports import Lost, Move, RunWrite
from pitboss.runs.states import ACTIVE, State, is_legal
from pitboss.storage.claiming import Tally, claiming_order
from pitboss.storage.database import Database
from pitboss.storage.models import enter_model
from pitboss.storage.moves import Fence, say_moved, write_run
from pitboss.storage.settlement import settle_session
from pitboss.storage.tables import artifacts, checkpoints, run_events, run_tags, runs, subjects
from pitboss.storage.tables import workers as worker_table
from pitboss.storage.workers import read_failed_starts, read_workers

_ACTIVE = [state.value for state in ACTIVE]
_UNFINISHED = [State.QUEUED.value, *_ACTIVE]
_WAITING = (
    sa.select(runs.c.kind)
    .where(runs.c.kind.in_(sa.bindparam("kinds", expanding=True)), runs.c.state.in_([State.QUEUED, State.CANCELLING]))
    .limit(1)
)
RUN_COLUMNS = [column for column in runs.c if column.name in Run.__dataclass_fields__]
RECENT = 200  # completed runs from which the typical length of a kind is reckoned
UNHELD_SECONDS = 3.0  # in which a worker should take up a cancelled run whose results are made of its checkpoint
CANDIDATES = 200  # queued runs looked at in one claim; limits may pass over some of them


class SqlRunStore:
    """Runs in a database; see `runs.ports.RunStore` for the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def submit(self, new: NewRun, max_queue_size: int) -> Run:
        with self.database.writing() as connection:
            if new.idempotency_key is not None:
                self.database.lock(connection, f"idempotency {new.owner} {new.idempotency_key}")
                known = connection.execute(
                    sa.select(*RUN_COLUMNS).where(
                        runs.c.owner == new.owner, runs.c.idempotency_key == new.idempotency_key
                    )
                ).one_or_none()
                if known is not None:
                    return run_of(known)
            self.database.lock(connection, "submit")
            waiting = connection.execute(
                sa.select(sa.func.count()).select_from(runs).where(runs.c.state == State.QUEUED)
            ).scalar_one()
            if waiting >= max_queue_size:
                raise QueueFull(f"the queue is full: {waiting} runs wait", retry_after_seconds=5)
            now = self.database.clock(connection)
            serial = (connection.execute(sa.select(sa.func.max(runs.c.serial))).scalar_one() or 0) + 1
            values = new_row(new, serial, self._next_number(connection, new.owner, new.subject), now)
            connection.execute(sa.insert(runs).values(**values))
            for tag in set(new.tags):
                connection.execute(sa.insert(run_tags).values(owner=new.owner, tag=tag, serial=serial))
            write_run(connection, new.id, now, [ev.Queued(priority=new.priority)], {})
            say_moved(connection, new.id, State.QUEUED, attempt=1)
            for checkpoint in new.checkpoints:
                connection.execute(sa.insert(checkpoints).values(run_id=new.id, **asdict(checkpoint)))
            return self._get(connection, new.id)

    def _next_number(self, connection: Connection, owner: str, subject: str) -> int:
        insert = self.database.insert(subjects).values(owner=owner, name=subject, last_number=1)
        statement = insert.on_conflict_do_update(
            index_elements=["owner", "name"], set_={"last_number": subjects.c.last_number + 1}
        ).returning(subjects.c.last_number)
        return int(connection.execute(statement).scalar_one())

    def get(self, run_id: str) -> Run | None:
        with self.database.reading() as connection:
            row = connection.execute(sa.select(*RUN_COLUMNS).where(runs.c.id == run_id)).one_or_none()
        return run_of(row) if row is not None else None

    def _get(self, connection: Connection, run_id: str, is_locked: bool = False) -> Run:
        statement = sa.select(*RUN_COLUMNS).where(runs.c.id == run_id)
        return run_of(connection.execute(statement.with_for_update() if is_locked else statement).one())

    def find(self, query: RunQuery) -> list[Run]:
        statement = sa.select(*RUN_COLUMNS).order_by(runs.c.serial.desc()).limit(query.limit)
        if query.ids:
            statement = statement.where(runs.c.id.in_(query.ids))
        if query.states:
            statement = statement.where(runs.c.state.in_([state.value for state in query.states]))
        for name in ("kind", "subject", "owner"):
            if getattr(query, name) is not None:
                statement = statement.where(runs.c[name] == getattr(query, name))
        if query.cursor:
            cursor = sa.select(runs.c.serial).where(runs.c.id == query.cursor).scalar_subquery()
            statement = statement.where(runs.c.serial < cursor)
        if query.tag is not None:
            bears = sa.and_(run_tags.c.owner == runs.c.owner, run_tags.c.serial == runs.c.serial)
            statement = statement.join(run_tags, bears).where(run_tags.c.tag == query.tag)
            if query.owner is not None:  # the same, said so that one index answers in order
                statement = statement.where(run_tags.c.owner == query.owner).order_by(None)
                statement = statement.order_by(run_tags.c.serial.desc())
        with self.database.reading() as connection:
            return [run_of(row) for row in connection.execute(statement)]

    def positions(self, owner: str, tags: Collection[str]) -> dict[str, Hashable]:
        bears = sa.and_(run_tags.c.owner == owner, run_tags.c.tag.in_(list(tags)))
        newest = sa.select(run_tags.c.tag, sa.func.max(run_tags.c.serial)).where(bears).group_by(run_tags.c.tag)
        moving = sa.select(run_tags.c.tag, runs.c.serial, runs.c.last_seq).join(
            run_tags, sa.and_(run_tags.c.owner == runs.c.owner, run_tags.c.serial == runs.c.serial)
        )
        moving = moving.where(bears, runs.c.state.in_(_UNFINISHED)).order_by(runs.c.serial)
        found: dict[str, list[Any]] = {}
        with self.database.reading() as connection:
            for tag, *position in [*connection.execute(newest), *connection.execute(moving)]:
                found.setdefault(tag, []).append(tuple(position))
        return {tag: tuple(found.get(tag, ())) for tag in tags}

    def request_cancel(self, run_id: str, keep_partial: bool, reason: str) -> Run | None:
        with self.database.writing() as connection:
            statement = sa.select(*RUN_COLUMNS).where(runs.c.id == run_id).with_for_update()
            row = connection.execute(statement).one_or_none()
            if row is None:
                return None
            now = self.database.clock(connection)
            asked = {"cancel_requested_at": now, "cancel_keep_partial": keep_partial, "cancel_reason": reason}
            requested = ev.CancelRequested(keep_partial=keep_partial, reason=reason)
            if row.state == State.QUEUED and keep_partial and row.checkpointed_attempt:
                asked |= UNHELD | {"lease_until": now + UNHELD_SECONDS}
                write_run(connection, run_id, now, [requested], asked, State.CANCELLING)
            elif row.state == State.QUEUED:
                keeps = keep_partial and _has_items(connection, run_id)
                ended = ev.Cancelled(partial=keeps, reason=reason)
                write_run(connection, run_id, now, [requested, ended], asked | {"partial": keeps}, State.CANCELLED)
                _conclude(connection, self._get(connection, run_id), State.CANCELLED, keeps, now)
            elif row.state in (State.STARTING, State.RUNNING):
                write_run(connection, run_id, now, [requested], asked, State.CANCELLING)
            return self._get(connection, run_id)

    def prioritize(self, run_id: str, priority: int) -> Run | None:
        with self.database.writing() as connection:
            statement = sa.select(runs.c.state, runs.c.priority).where(runs.c.id == run_id).with_for_update()
            row = connection.execute(statement).one_or_none()
            if row is None:
                return None
            if row.state == State.QUEUED and row.priority != priority:
                now = self.database.clock(connection)
                write_run(connection, run_id, now, [ev.Prioritized(priority=priority)], {"priority": priority})
            return self._get(connection, run_id)

    def claim(self, worker_id: str, lease_seconds: float, limits: Limits, serves: Serves) -> list[Claim]:
        served = sa.and_(runs.c.kind.in_(serves.kinds), runs.c.resource.in_(list(serves.free)))
        free = [resource for resource, count in serves.free.items() if count > 0]
        queued = sa.and_(served, runs.c.state == State.QUEUED, runs.c.resource.in_(free))
        cancelled = sa.and_(served, runs.c.state == State.CANCELLING, runs.c.worker_id.is_(None))
        if not self._has_any(sa.or_(queued, cancelled)):
            return []
        with self.database.writing() as connection:
            self.database.lock(connection, "claim")
            now = self.database.clock(connection)
            unheld = sa.select(runs.c.id).where(cancelled).with_for_update(skip_locked=True)
            chosen = list(connection.execute(unheld).scalars())
            chosen += self._choose(connection, now, queued, serves.free, limits)
            return [self._take(connection, run_id, worker_id, now, lease_seconds) for run_id in chosen]

    def _choose(
        self, connection: Connection, now: float, fitting: sa.ColumnElement[bool], free: Mapping[str, int],
        limits: Limits,
    ) -> list[str]:  # fmt: skip
        active = connection.execute(sa.select(runs.c.kind, runs.c.owner).where(runs.c.state.in_(_ACTIVE))).all()
        tally = Tally(limits, active, free)
        candidates = (
            sa.select(runs.c.id, runs.c.kind, runs.c.owner, runs.c.resource)
            .where(fitting, runs.c.kind.not_in(tally.full_kinds()), runs.c.owner.not_in(tally.full_owners()))
            .order_by(*claiming_order(now, limits.ageing_seconds))
            .limit(CANDIDATES)
            .with_for_update(skip_locked=True)
        )
        return tally.choose(connection.execute(candidates).all())

    def _has_any(self, condition: sa.ColumnElement[bool]) -> bool:
        with self.database.reading() as connection:
            return connection.execute(sa.select(runs.c.id).where(condition).limit(1)).one_or_none() is not None

    def _take(self, connection: Connection, run_id: str, worker_id: str, now: float, lease: float) -> Claim:
        token = new_token()
        values = {
            "worker_id": worker_id, "lease_token": token, "lease_until": now + lease, "claimed_at": now, "pid": None,
            "last_write": 0,
        }  # fmt: skip
        attempt, state = connection.execute(sa.select(runs.c.attempt, runs.c.state).where(runs.c.id == run_id)).one()
        claimed = ev.Claimed(worker=worker_id, attempt=attempt)
        write_run(connection, run_id, now, [claimed], values, State.STARTING if state == State.QUEUED else None)
        return Claim(self._get(connection, run_id), token, tuple(_checkpoints(connection, run_id)))

    def waiting_kind(self, kinds: Collection[str]) -> str | None:
        with self.database.reading() as connection:
            return connection.execute(_WAITING, {"kinds": list(kinds)}).scalar_one_or_none()

    def write(self, writes: Sequence[RunWrite]) -> set[str]:
        stale: set[str] = set()
        with self.database.writing() as connection:
            now = self.database.clock(connection)
            for item in writes:
                if not self._write_one(connection, item, now):
                    stale.add(item.run_id)
        return stale

    def _write_one(self, connection: Connection, item: RunWrite, now: float) -> bool:
        """Apply one write; answer whether the run is still its writer's."""
        events = list(item.events)
        values: dict[str, Any] = {}
        to: State | None = None
        if item.progress is not None:
            values["progress"] = item.progress
        if item.checkpoint is not None:
            events.append(ev.Checkpointed(digest=item.checkpoint.digest, size=item.checkpoint.size))
            values["checkpointed_attempt"] = item.checkpoint.attempt
        if item.move is not None:
            run = self._get(connection, item.run_id, is_locked=True)
            move = after_cancel(run, item.move, lambda: _has_saved(connection, run))
            if is_legal(run.state, move.to):
                told, changed = consequences(run, move, now)
                events, values, to = [*events, *told], values | changed, move.to
        if not write_run(connection, item.run_id, now, events, values, to, Fence(item.token, item.number)):
            return self._was_written(connection, item)
        for artifact in item.artifacts:
            self._add_artifact(connection, item.run_id, artifact)
        if item.checkpoint is not None:
            _add_checkpoint(connection, item.run_id, item.checkpoint)
        if to is not None and to.is_terminal:
            enter_model(connection, run, to, values.get("result"), now)
            _conclude(connection, run, to, bool(values.get("partial")), now)
        return True

    def _was_written(self, connection: Connection, item: RunWrite) -> bool:
        """Answer whether this very write was applied before, and only the answer to it was lost."""
        row = connection.execute(sa.select(runs.c.lease_token, runs.c.last_write).where(runs.c.id == item.run_id)).one()
        return bool(row.lease_token == item.token and row.last_write >= item.number)

    def _add_artifact(self, connection: Connection, run_id: str, artifact: Artifact) -> None:
        row = asdict(artifact)
        insert = self.database.insert(artifacts).values(run_id=run_id, **row)
        connection.execute(insert.on_conflict_do_update(index_elements=["run_id", "name"], set_=row))

    def renew(self, worker_id: str, tokens: Mapping[str, str], lease_seconds: float) -> set[str]:
        with self.database.writing() as connection:
            now = self.database.now()
            connection.execute(sa.update(worker_table).where(worker_table.c.id == worker_id).values(renewed_at=now))
            if not tokens:
                return set()
            statement = (
                sa.update(runs)
                .where(runs.c.worker_id == worker_id, runs.c.lease_token.in_(list(tokens.values())))
                .values(lease_until=now + lease_seconds)
                .returning(runs.c.id)
            )
            held = {run_id for (run_id,) in connection.execute(statement)}
        return set(tokens) - held

    def cancelling(self, worker_id: str) -> dict[str, tuple[bool, float]]:
        age = self.database.now() - runs.c.cancel_requested_at
        statement = sa.select(runs.c.id, runs.c.cancel_keep_partial, age).where(
            runs.c.worker_id == worker_id, runs.c.state == State.CANCELLING
        )
        with self.database.reading() as connection:
            return {run_id: (bool(keep), float(seconds)) for run_id, keep, seconds in connection.execute(statement)}

    def recover(self, lost: Lost, decide: Callable[[Run], Move]) -> list[Run]:
        ended = runs.c.lease_until < self.database.now()
        dead = runs.c.worker_id.in_(list(lost.dead_workers))
        unknown = sa.and_(runs.c.worker_id == lost.worker_id, runs.c.lease_token.not_in(list(lost.tokens)))
        ours = sa.or_(runs.c.kind.in_(list(lost.kinds)), runs.c.state == State.CANCELLING)
        condition = sa.and_(runs.c.state.in_(_ACTIVE), sa.or_(ended, dead, unknown), ours)
        if not self._has_any(condition):
            return []
        with self.database.writing() as connection:
            statement = sa.select(*RUN_COLUMNS).where(condition).with_for_update(skip_locked=True)
            rows = connection.execute(statement).all()
            now = self.database.clock(connection)
            return [self._recover_one(connection, run_of(row), now, decide) for row in rows]

    def _recover_one(self, connection: Connection, run: Run, now: float, decide: Callable[[Run], Move]) -> Run:
        if run.state is State.CANCELLING and run.worker_id and _may_be_taken_up(run):
            write_run(connection, run.id, now, [], UNHELD | {"lease_until": now + UNHELD_SECONDS})
            return self._get(connection, run.id)
        move = after_cancel(run, decide(run), lambda: _has_saved(connection, run))
        events, values = consequences(run, move, now)
        write_run(connection, run.id, now, events, values, move.to)
        if move.to.is_terminal:
            _conclude(connection, run, move.to, move.partial, now)
        return self._get(connection, run.id)

    def queue(self, ageing_seconds: float = 60.0) -> QueueSnapshot:
        with self.database.reading() as connection:
            now = self.database.clock(connection)
            columns = [runs.c[name] for name in Waiting.__dataclass_fields__]
            queued = sa.select(*columns).where(runs.c.state == State.QUEUED)
            active = sa.select(*RUN_COLUMNS).where(runs.c.state.in_(_ACTIVE)).order_by(runs.c.claimed_at)
            recent = (
                sa.select(runs.c.kind, (runs.c.ended_at - runs.c.started_at).label("seconds"))
                .where(runs.c.state == State.COMPLETED)
                .order_by(runs.c.serial.desc())
                .limit(RECENT)
                .subquery()
            )
            typical = sa.select(recent.c.kind, sa.func.avg(recent.c.seconds)).group_by(recent.c.kind)
            return QueueSnapshot(
                now,
                [Waiting(*row) for row in connection.execute(queued.order_by(*claiming_order(now, ageing_seconds)))],
                [run_of(row) for row in connection.execute(active)],
                read_workers(connection, self.database.now()),
                {kind: float(seconds) for kind, seconds in connection.execute(typical) if seconds},
                read_failed_starts(connection),
            )

    def artifacts(self, run_id: str) -> list[Artifact]:
        statement = sa.select(artifacts).where(artifacts.c.run_id == run_id).order_by(artifacts.c.name)
        with self.database.reading() as connection:
            return [Artifact(r.name, r.path, r.size, r.digest, r.media_type) for r in connection.execute(statement)]

    def checkpoints(self, run_id: str) -> list[Checkpoint]:
        with self.database.reading() as connection:
            return _checkpoints(connection, run_id)


def _checkpoints(connection: Connection, run_id: str) -> list[Checkpoint]:
    columns = [checkpoints.c[name] for name in Checkpoint.__dataclass_fields__]
    newest = sa.select(*columns).where(checkpoints.c.run_id == run_id).order_by(checkpoints.c.number.desc())
    return [Checkpoint(**row._mapping) for row in connection.execute(newest)]


def _add_checkpoint(connection: Connection, run_id: str, checkpoint: Checkpoint) -> None:
    """Keep the new one and the one before it: should the file of the newest prove torn, that one is used."""
    of_run = checkpoints.c.run_id == run_id
    before = sa.select(sa.func.max(checkpoints.c.number)).where(of_run, checkpoints.c.number < checkpoint.number)
    latest = connection.execute(before).scalar_one_or_none() or 0
    connection.execute(sa.delete(checkpoints).where(of_run, checkpoints.c.number != latest))
    connection.execute(sa.insert(checkpoints).values(run_id=run_id, **asdict(checkpoint)))


def _has_items(connection: Connection, run_id: str) -> bool:
    items = sa.select(run_events.c.seq).where(run_events.c.run_id == run_id, run_events.c.item_key.is_not(None))
    return connection.execute(items.limit(1)).one_or_none() is not None


def _has_saved(connection: Connection, run: Run) -> bool:
    """Answer whether an attempt of the run has left something behind: finished items, or a state to go on from."""
    return bool(run.checkpointed_attempt) or _has_items(connection, run.id)


def _may_be_taken_up(run: Run) -> bool:
    """Answer whether results are to be made of a checkpoint: once only, whatever comes of it."""
    was_tried = run.claimed_at is not None and run.claimed_at >= (run.cancel_requested_at or 0.0)
    return bool(run.cancel_keep_partial and run.checkpointed_attempt and not was_tried)


def _conclude(connection: Connection, run: Run, to: State, keeps: bool, now: float) -> None:
    """Do what the end of a run brings with it, in the transaction that ends it."""
    settle_session(connection, run, to, now)
    if to is State.CANCELLED and not keeps:
        _discard(connection, run)
    if to is State.COMPLETED:
        connection.execute(sa.delete(checkpoints).where(checkpoints.c.run_id == run.id))


def _discard(connection: Connection, run: Run) -> None:
    """Forget what a run has brought so far: its artifacts, and what its items held; that they were stays.

    A checkpoint stays where partial results were to be kept: the run can be resumed.
    """
    for table in (artifacts,) if run.cancel_keep_partial else (artifacts, checkpoints):
        connection.execute(sa.delete(table).where(table.c.run_id == run.id))
    items = sa.update(run_events).where(run_events.c.run_id == run.id, run_events.c.item_key.is_not(None))
    connection.execute(items.values(payload={"key": "", "item": {}, "discarded": True}))


def run_of(row: Row[Any]) -> Run:
    """Answer the run of a row."""
    values = dict(row._mapping)
    return Run(**values | {"state": State(values["state"]), "tags": tuple(values["tags"])})
