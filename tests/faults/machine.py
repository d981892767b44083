"""A state machine over the life of runs, in which the database may fail at every call.

A call may fail before its transaction commits, at any of its statements, or after: then it has happened, and
only the answer is lost. Whoever called does what the program does: a client submits again under the same key,
a worker sends the same write again and gives up claims whose answer it never saw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pitboss.core.errors import StorageUnavailable
from pitboss.core.ids import new_id
from pitboss.runs import events as ev
from pitboss.runs.model import Checkpoint, Claim, Limits, NewRun, RunQuery, Serves
from pitboss.runs.ports import Lost, Move, RunWrite
from pitboss.runs.states import State, is_legal
from pitboss.storage.database import Database
from pitboss.storage.figures import SqlFigures
from pitboss.storage.runs import SqlRunStore
from pitboss.storage.tables import audit, metadata, run_events, runs

LIMITS = Limits(3, {"b": 1}, 100, 60.0)
KINDS = ("a", "b")
WORKERS = ("w1", "w2")
PICK = st.integers(0, 99)
AT = st.none() | st.sampled_from((0, 0, 1, 2, 3, 4, 5, 6))  # where the next write fails


def again_or_lost(run) -> Move:
    """Answer what becomes of a run that was lost, by its kind."""
    if run.kind == "a":
        return Move(State.QUEUED, error={"message": "its worker was lost"})
    return Move(State.FAILED, error={"kind": "lost", "message": "its worker was lost"})


class FaultyDatabase(Database):
    """A database whose next write fails at its n-th statement, or after its commit (`crash_at` 0)."""

    crash_at: int | None = None

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        at, self.crash_at = self.crash_at, None
        with super().writing() as connection:
            if at:
                self._count_down(connection, at)
            yield connection
        if at == 0:
            raise StorageUnavailable("the answer was lost")

    def _count_down(self, connection: sa.Connection, at: int) -> None:
        left = [at]

        def before(*_: Any) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise StorageUnavailable(f"failed at statement {at}")

        sa.event.listen(connection, "before_cursor_execute", before)


@dataclass
class Holder:
    """What a worker knows of a run that it holds."""

    claim: Claim
    number: int = 0
    pending: list[RunWrite] = field(default_factory=list)


class LifeCycle(RuleBasedStateMachine):
    """Clients and two workers over one database, which each sequence empties first."""

    database: FaultyDatabase
    store: SqlRunStore

    @initialize()
    def begin(self) -> None:
        self.database.crash_at = None
        with self.database.writing() as connection:
            for table in reversed(metadata.sorted_tables):
                if table is not audit:  # which only grows
                    connection.execute(sa.delete(table))
        self.ids: list[str] = []
        self.held: dict[str, dict[str, Holder]] = {worker: {} for worker in WORKERS}
        self.stale: list[tuple[str, str]] = []
        self.ended: dict[str, tuple[State, Any]] = {}
        self.keys = self.said = 0
        for kind in ("a", "a", "b"):  # nothing can go wrong with nothing: begin in the midst of work
            self.submit(kind, 0)
        for worker in WORKERS:
            self.claim(worker, 1)

    # --- what may go wrong

    @rule(at=AT)
    def let_the_next_write_fail(self, at: int | None) -> None:
        self.database.crash_at = at

    def survive(self, action: Callable[[], Any]) -> Any:
        """Do it, and again when the database failed: what a client does, or a worker with a write."""
        try:
            return action()
        except StorageUnavailable:
            return action()

    # --- what people do

    @rule(kind=st.sampled_from(("a", "b")), priority=st.integers(-1, 1))
    def submit(self, kind: str, priority: int) -> None:
        self.keys += 1
        key = f"k{self.keys}"

        def ask() -> Any:
            new = NewRun(
                id=new_id(),
                kind=kind,
                subject="subject",
                owner="local",
                params={},
                snapshot={},
                priority=priority,
                idempotency_key=key,
            )
            return self.store.submit(new, 1000)

        self.ids.append(self.survive(ask).id)

    @precondition(lambda self: self.ids)
    @rule(pick=PICK, keep=st.booleans())
    def cancel(self, pick: int, keep: bool) -> None:
        run_id = self.ids[pick % len(self.ids)]
        before = self.store.get(run_id)
        after = self.survive(lambda: self.store.request_cancel(run_id, keep, "why"))
        is_made_results_of = keep and before.checkpointed_attempt
        expected = {
            State.QUEUED: State.CANCELLING if is_made_results_of else State.CANCELLED,
            State.STARTING: State.CANCELLING,
            State.RUNNING: State.CANCELLING,
        }
        assert after.state is expected.get(before.state, before.state)

    # --- what workers do

    @rule(worker=st.sampled_from(WORKERS), count=st.integers(1, 3), at=AT)
    def claim(self, worker: str, count: int, at: int | None = None) -> None:
        self.database.crash_at = at
        try:
            claims = self.store.claim(worker, 60.0, LIMITS, Serves(KINDS, {"default": count}))
        except StorageUnavailable:
            self.recover(worker, [])  # whatever was claimed without an answer is given up
            ours = {run.id for run in self.store.queue().active if run.worker_id == worker}
            assert ours <= set(self.held[worker]), "nobody works on what was claimed"
            return
        for claim in claims:
            self.take(worker, claim)

    def take(self, worker: str, claim: Claim) -> None:
        holder = Holder(claim)
        if (
            claim.run.id in self.held[worker]
        ):  # it came back to whom its lease had ended: given up, with the old attempt
            self.forget(worker, claim.run.id)
            self.write(worker, holder, move=Move(State.QUEUED, error={"message": "claimed twice"}))
        else:
            self.held[worker][claim.run.id] = holder

    def unique(self, holder: Holder) -> str:
        """Answer a message that tells which attempt said it, and that no other message is like."""
        self.said += 1
        return f"{holder.claim.run.attempt} {self.said}"

    def holders(self) -> list[tuple[str, Holder]]:
        return [(worker, holder) for worker in WORKERS for holder in self.held[worker].values()]

    def write(self, worker: str, holder: Holder, **fields: Any) -> None:
        holder.number += 1
        holder.pending.append(RunWrite(holder.claim.run.id, holder.claim.token, holder.number, **fields))
        try:
            stale = self.store.write(holder.pending)
        except StorageUnavailable:
            return  # it is sent again with the next
        holder.pending = []
        if stale:
            self.held[worker].pop(holder.claim.run.id, None)

    @precondition(lambda self: self.holders())
    @rule(
        pick=PICK,
        what=st.sampled_from(("start", "say", "save", "complete", "done", "fail", "cancelled", "requeue")),
        at=AT,
    )
    def work(self, pick: int, what: str, at: int | None) -> None:
        self.database.crash_at = at
        worker, holder = self.holders()[pick % len(self.holders())]
        run_id = holder.claim.run.id
        match what:
            case "start":
                self.write(worker, holder, move=Move(State.RUNNING, pid=1))
            case "say":
                item = ev.ItemCompleted(key=str(pick % 4), item={"x": pick})
                self.write(
                    worker,
                    holder,
                    events=[item, ev.Logged(level="info", message=self.unique(holder))],
                    progress={"done": pick},
                )
            case "save":
                number = max((c.number for c in self.store.checkpoints(run_id)), default=0) + 1
                saved = Checkpoint(number, holder.claim.run.attempt, f"c/{number}", 1, "d", {})
                if not holder.pending:
                    self.write(worker, holder, checkpoint=saved)
            case _:
                self.end(worker, holder, what)

    def end(self, worker: str, holder: Holder, what: str) -> None:
        error = {"kind": "error", "message": "m", "remedy": "r"}
        if what == "done":
            self.write(worker, holder, move=Move(State.COMPLETING))
        move = {
            "complete": Move(State.COMPLETING), "done": Move(State.COMPLETED, result={"a": 1}),
            "fail": Move(State.FAILED, error=error), "cancelled": Move(State.CANCELLED, partial=False),
            "requeue": Move(State.QUEUED, error={"message": "shut down"}),
        }[what]  # fmt: skip
        if holder.claim.run.id in self.held[worker]:
            self.write(worker, holder, move=move)

    @rule(worker=st.sampled_from(WORKERS))
    def renew(self, worker: str) -> None:
        tokens = {run_id: holder.claim.token for run_id, holder in self.held[worker].items()}
        try:
            lost = self.store.renew(worker, tokens, 60.0)
        except StorageUnavailable:
            return
        for run_id in lost:
            self.forget(worker, run_id)

    @rule(worker=st.sampled_from(WORKERS))
    def die(self, worker: str) -> None:
        """The worker is killed; another one sees it."""
        for run_id in list(self.held[worker]):
            self.forget(worker, run_id)
        self.survive(lambda: self.store.recover(Lost(KINDS, [worker]), again_or_lost))

    @precondition(lambda self: self.holders())
    @rule(pick=PICK)
    def let_a_lease_end(self, pick: int) -> None:
        """A worker is cut off: it still believes that it holds the run, while another one takes it up."""
        worker, holder = self.holders()[pick % len(self.holders())]
        armed, self.database.crash_at = self.database.crash_at, None
        with self.database.writing() as connection:
            connection.execute(sa.update(runs).where(runs.c.lease_token == holder.claim.token).values(lease_until=1.0))
        self.database.crash_at = armed
        self.survive(lambda: self.store.recover(Lost(KINDS), again_or_lost))
        self.claim(WORKERS[worker == WORKERS[0]], 3)

    @rule(worker=st.sampled_from(WORKERS))
    def look_after(self, worker: str) -> None:
        self.recover(worker, [holder.claim.token for holder in self.held[worker].values()])

    def recover(self, worker: str, tokens: list[str]) -> None:
        known = [holder.claim.token for holder in self.held[worker].values()]
        self.survive(lambda: self.store.recover(Lost(KINDS, (), worker, tokens or known), again_or_lost))

    def forget(self, worker: str, run_id: str) -> None:
        holder = self.held[worker].pop(run_id)
        self.stale.append((run_id, holder.claim.token))

    @precondition(lambda self: self.stale)
    @rule(pick=PICK)
    def write_with_a_stale_token(self, pick: int) -> None:
        run_id, token = self.stale[pick % len(self.stale)]
        before = self.store.get(run_id)
        held = any(holder.claim.token == token for _, holder in self.holders())
        with self.database.reading() as connection:
            is_current = connection.execute(sa.select(runs.c.lease_token).where(runs.c.id == run_id)).scalar() == token
        if not held and not is_current:
            write = RunWrite(run_id, token, 99, [ev.Logged(level="info", message="late")], move=Move(State.COMPLETED))
            assert self.survive(lambda: self.store.write([write])) == {run_id}
            assert self.store.get(run_id) == before

    # --- what always holds

    @invariant()
    def everything_holds(self) -> None:
        self.database.crash_at, armed = None, self.database.crash_at
        found = {run.id: run for run in self.store.find(RunQuery(limit=1000))}
        assert set(found) == set(self.ids), "acknowledged runs are there, and no others"
        assert sorted(run.number for run in found.values()) == list(range(1, len(found) + 1))
        self.check_active(found)
        with self.database.reading() as connection:
            rows = connection.execute(
                sa.select(run_events.c.run_id, run_events.c.seq, run_events.c.type, run_events.c.item_key, run_events.c.payload)
                .order_by(run_events.c.run_id, run_events.c.seq)
            ).all()  # fmt: skip
        logs: dict[str, list[Any]] = {run_id: [] for run_id in found}
        for row in rows:
            logs[row.run_id].append(row)
        for run_id, log in logs.items():
            self.check_log(found[run_id], log)
        told = SqlFigures(self.database).statistics("local")
        assert told["completed"] == sum(run.state is State.COMPLETED for run in found.values())
        self.database.crash_at = armed

    def check_active(self, found: dict[str, Any]) -> None:
        active = [run for run in found.values() if run.state.is_active]
        assert len(active) <= LIMITS.max_concurrent
        assert sum(run.kind == "b" for run in active) <= 1
        with self.database.reading() as connection:
            tokens = dict(connection.execute(sa.select(runs.c.id, runs.c.lease_token)).tuples().all())
        for run in found.values():
            waits_for_results = run.state is State.CANCELLING and run.worker_id is None  # of its checkpoint; see ADR 11
            is_held = run.state.is_active and not waits_for_results
            assert bool(tokens[run.id]) == is_held, "a token is held exactly while somebody works on the run"
            if run.state.is_terminal:
                end = (run.state, run.ended_at)
                assert self.ended.setdefault(run.id, end) == end, "an end is final"

    def check_log(self, run: Any, log: list[Any]) -> None:
        assert [row.seq for row in log] == list(range(1, run.last_seq + 1)), "no gap, no repeat"
        keys = Counter(row.item_key for row in log if row.item_key)
        assert not keys or max(keys.values()) == 1
        ends = [row.type for row in log if row.type in ("completed", "failed", "cancelled")]
        assert ends == ([run.state.value] if run.state.is_terminal else [])
        assert not ends or log[-1].type == ends[0]
        types = Counter(row.type for row in log)
        assert run.attempt == types["requeued"] + 1
        # once more, in the same attempt, to make results of a checkpoint that a cancel wants kept; see ADR 11
        again = bool(run.cancel_keep_partial and run.checkpointed_attempt)
        assert types["claimed"] <= run.attempt + again
        assert types["cancel_requested"] <= 1
        said = [row.payload["message"].split() for row in log if row.type == "log"]
        assert len({number for _, number in said}) == len(said), "what was said once stands once"
        self.check_moves(log)

    def check_moves(self, log: list[Any]) -> None:
        state, attempt = State.QUEUED, 1
        told = {
            "claimed": State.STARTING,
            "started": State.RUNNING,
            "requeued": State.QUEUED,
            "cancel_requested": State.CANCELLING,
        }
        for row in log:
            if row.type == "claimed" and state is State.CANCELLING:
                continue  # to make results of a checkpoint: the run stays what it is
            if row.type == "requeued":
                attempt = row.payload["attempt"]
            if row.type == "log":
                assert row.payload["message"].split()[0] == str(attempt), "only the holder writes"
            if row.type in told:
                assert is_legal(state, told[row.type]), (state, row.type)
                state = told[row.type]


def life_cycle(database: FaultyDatabase) -> type[LifeCycle]:
    """Answer the machine over a database."""
    return type("LifeCycle", (LifeCycle,), {"database": database, "store": SqlRunStore(database)})
