"""The contract of `runs.ports` over every adapter: SQLite and a real PostgreSQL."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pitboss.core.errors import QueueFull, Unstorable
from pitboss.core.ids import new_id
from pitboss.runs import events as ev
from pitboss.runs.model import Artifact, Checkpoint, Limits, NewRun, RunQuery, Serves, WorkerInfo
from pitboss.runs.ports import Lost, Move, RunWrite
from pitboss.runs.remarks import Remarks
from pitboss.runs.states import TRANSITIONS, State
from pitboss.storage.database import Database
from pitboss.storage.events import SqlEventLog
from pitboss.storage.figures import SqlFigures
from pitboss.storage.remarks import SqlRemarks
from pitboss.storage.runs import SqlRunStore
from pitboss.storage.workers import SqlWorkerRegistry
from support.engine import until

NUMBERS = itertools.count(1)


def requeue(run):
    return Move(State.QUEUED, error={"message": "its worker was lost"})


def lost_for_good(run):
    return Move(State.FAILED, error={"kind": "lost", "message": "its worker was lost", "remedy": "retry it"})


KINDS = ("backtest", "sweep", "a", "b")
LIMITS = Limits(100, {}, 100, 60.0)


@pytest.fixture
def store(database):
    return SqlRunStore(database)


@pytest.fixture
def log(database):
    return SqlEventLog(database)


@pytest.fixture
def registry(database):
    return SqlWorkerRegistry(database)


def submit(store, subject="strategy/a", kind="backtest", owner="local", limit=1000, run_id=None, **fields):
    new = NewRun(
        id=run_id or new_id(), kind=kind, subject=subject, owner=owner, params={"x": 1}, snapshot={"s": 2}, **fields
    )
    return store.submit(new, limit)


def claim(
    store,
    worker="w1",
    count=1,
    lease=15.0,
    limits=LIMITS,
    resources=("default",),
    kinds=KINDS,
):
    return store.claim(worker, lease, limits, Serves(kinds, dict.fromkeys(resources, count)))


def numbered(claimed, *parts, **fields):
    """A write of a claim, with the next number."""
    return RunWrite(claimed.run.id, claimed.token, next(NUMBERS), *parts, **fields)


def move(store, claimed, to, **fields):
    return store.write([numbered(claimed, move=Move(to, **fields))])


def running(store, **fields):
    submit(store, **fields)
    (claimed,) = claim(store)
    assert not move(store, claimed, State.RUNNING, pid=7)
    return claimed


def types(log, run_id):
    events = log.read(run_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [event.type for event in events]


def test_a_run_goes_from_queued_to_completed(store, log):
    claimed = running(store)
    move(store, claimed, State.COMPLETING)
    store.write(
        [
            numbered(claimed, [ev.Logged(level="info", message="hello")],
                artifacts=[Artifact("a.parquet", "artifacts/a.parquet", 3, "d")],
                move=Move(State.COMPLETED, result={"answer": 42}),
            )
        ]
    )  # fmt: skip
    run = store.get(claimed.run.id)
    assert (run.state, run.result, run.pid, run.partial) == (State.COMPLETED, {"answer": 42}, 7, False)
    assert types(log, run.id) == ["queued", "claimed", "started", "log", "completed"]
    assert [a.name for a in store.artifacts(run.id)] == ["a.parquet"]
    assert run.created_at <= run.claimed_at <= run.started_at <= run.ended_at


def test_numbers_count_within_a_subject_and_are_never_reused(store):
    assert [submit(store, "strategy/a").number for _ in range(3)] == [1, 2, 3]
    assert submit(store, "strategy/b").number == 1


def test_numbers_stay_unique_when_many_submit_at_once(store):
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: submit(store).number, range(40)))
    assert sorted(numbers) == list(range(1, 41))


def test_an_idempotency_key_answers_the_same_run(store):
    first = submit(store, idempotency_key="k")
    assert submit(store, idempotency_key="k").id == first.id
    assert submit(store, owner="other", idempotency_key="k").id != first.id


def test_latest_is_what_was_submitted_last_whatever_the_ids_say(store):
    """An id tells the time of a machine, and that may be wrong."""
    later = submit(store, run_id="ffffffff-0000-7000-8000-000000000000")
    earlier = submit(store, run_id="00000000-0000-7000-8000-000000000000")
    assert [run.id for run in store.find(RunQuery())] == [earlier.id, later.id]
    assert [run.id for run in store.find(RunQuery(cursor=earlier.id))] == [later.id]
    assert store.find(RunQuery(cursor="no such run")) == []
    assert (later.serial, earlier.serial) == (1, 2)


def test_a_full_queue_refuses_and_stores_nothing(store):
    submit(store, limit=2)
    submit(store, limit=2)
    with pytest.raises(QueueFull) as refused:
        submit(store, limit=2)
    assert refused.value.retry_after_seconds > 0
    assert len(store.find(RunQuery())) == 2


def test_highest_priority_is_claimed_first_then_the_oldest(store):
    low, first, second, high = (submit(store, priority=p) for p in (-10, 0, 0, 10))
    assert [c.run.id for c in claim(store, count=4)] == [high.id, first.id, second.id, low.id]


def test_of_which_kinds_runs_wait(store):
    assert store.waiting_kind(["nothing", "steps"]) is None
    submit(store, kind="steps")
    assert store.waiting_kind(["nothing"]) is None
    assert store.waiting_kind(["nothing", "steps"]) == "steps"
    assert store.waiting_kind([]) is None


def test_waiting_raises_a_priority_so_that_nothing_starves(store):
    old = submit(store, priority=0)
    time.sleep(0.25)
    new = submit(store, priority=1)
    (claimed,) = claim(store, limits=Limits(100, {}, 100, ageing_seconds=0.1))
    assert claimed.run.id == old.id != new.id


def test_limits_hold_in_the_claim(store):
    for kind, owner in (("a", "x"), ("a", "x"), ("b", "x"), ("b", "y"), ("b", "y")):
        submit(store, kind=kind, owner=owner)
    limits = Limits(4, {"a": 1}, 2, 60.0)
    taken = [(c.run.kind, c.run.owner) for c in claim(store, count=10, limits=limits)]
    assert taken == [("a", "x"), ("b", "x"), ("b", "y"), ("b", "y")]
    assert claim(store, count=10, limits=limits) == []


def test_a_race_of_workers_claims_each_run_once_and_keeps_the_limit(store):
    for _ in range(30):
        submit(store)
    limits = Limits(20, {}, 100, 60.0)
    start = threading.Barrier(6)

    def take(worker):
        start.wait()
        return [c.run.id for _ in range(5) for c in claim(store, f"w{worker}", 2, limits=limits)]

    with ThreadPoolExecutor(6) as pool:
        taken = [run_id for part in pool.map(take, range(6)) for run_id in part]
    assert len(taken) == len(set(taken)) == 20


def test_a_stale_token_writes_nothing(store, log):
    claimed = running(store)
    before = types(log, claimed.run.id)
    stale = RunWrite(claimed.run.id, "0" * 32, 1, [ev.Logged(level="info", message="x")], {"done": 1},
                     [Artifact("a", "p", 1, "d")], move=Move(State.FAILED, error={"kind": "error", "message": "x", "remedy": ""}))  # fmt: skip
    assert store.write([stale]) == {claimed.run.id}
    assert types(log, claimed.run.id) == before
    assert store.get(claimed.run.id).progress is None
    assert store.artifacts(claimed.run.id) == []


def test_one_stale_write_does_not_stop_the_others(store, log):
    one, two = running(store), running(store)
    event = [ev.Logged(level="info", message="x")]
    assert store.write([RunWrite(one.run.id, "bad", 1, event), numbered(two, event)]) == {one.run.id}
    assert types(log, two.run.id)[-1] == "log"


def test_an_item_stands_once_however_often_it_is_reported(store, log):
    claimed = running(store)
    for keys in (["a", "b", "a"], ["b", "c"]):
        store.write([numbered(claimed, [ev.ItemCompleted(key=k, item={"k": k}) for k in keys])])
    items = [e.payload["key"] for e in log.read(claimed.run.id) if e.type == "item_completed"]
    assert items == ["a", "b", "c"]
    types(log, claimed.run.id)


def test_cancel_of_a_queued_run_is_immediate(store, log):
    run = submit(store)
    cancelled = store.request_cancel(run.id, True, "no more")
    assert (cancelled.state, cancelled.cancel_reason) == (State.CANCELLED, "no more")
    assert types(log, run.id) == ["queued", "cancel_requested", "cancelled"]
    assert claim(store) == []


def test_cancel_of_a_running_run_waits_for_its_worker(store, log):
    claimed = running(store)
    assert store.request_cancel(claimed.run.id, True, "").state is State.CANCELLING
    ((run_id, (keep, age)),) = store.cancelling("w1").items()
    assert (run_id, keep) == (claimed.run.id, True)
    assert 0 <= age < 5
    assert store.cancelling("w2") == {}
    move(store, claimed, State.CANCELLED, result={"half": 1}, partial=True)
    run = store.get(claimed.run.id)
    assert (run.state, run.partial, run.result) == (State.CANCELLED, True, {"half": 1})


def test_a_second_cancel_changes_nothing(store, log):
    claimed = running(store)
    store.request_cancel(claimed.run.id, True, "first")
    assert store.request_cancel(claimed.run.id, False, "second").cancel_reason == "first"
    assert types(log, claimed.run.id).count("cancel_requested") == 1


@pytest.mark.parametrize("end", [State.COMPLETED, State.FAILED, State.QUEUED])
def test_a_cancel_that_came_first_wins_over_every_other_end(store, end):
    claimed = running(store)
    store.request_cancel(claimed.run.id, True, "")
    error = {"kind": "error", "message": "x", "remedy": ""}
    move(store, claimed, end, result={"r": 1} if end is State.COMPLETED else None, error=error)
    run = store.get(claimed.run.id)
    assert run.state is State.CANCELLED
    assert run.partial is (end is State.COMPLETED)


def test_a_cancel_while_results_are_written_is_too_late(store):
    claimed = running(store)
    move(store, claimed, State.COMPLETING)
    assert store.request_cancel(claimed.run.id, True, "").state is State.COMPLETING
    move(store, claimed, State.COMPLETED, result={})
    assert store.get(claimed.run.id).state is State.COMPLETED


def test_discarded_partial_results_leave_no_artifacts(store):
    claimed = running(store)
    store.write([numbered(claimed, artifacts=[Artifact("a", "p", 1, "d")])])
    store.request_cancel(claimed.run.id, False, "")
    move(store, claimed, State.CANCELLED)
    assert store.artifacts(claimed.run.id) == []


def test_only_legal_moves_are_made_and_terminal_states_stay(store):
    legal = {(t.source, t.target) for t in TRANSITIONS}
    for target in (State.RUNNING, State.COMPLETING, State.COMPLETED, State.FAILED, State.CANCELLED, State.QUEUED):
        claimed = running(store)
        move(store, claimed, target, result={}, error={"kind": "error", "message": "m", "remedy": ""})
        reached = store.get(claimed.run.id).state
        assert reached is (target if (State.RUNNING, target) in legal else State.RUNNING)
        if reached.is_terminal:
            move(store, claimed, State.RUNNING)
            store.request_cancel(claimed.run.id, True, "")
            assert store.get(claimed.run.id).state is reached


def test_a_lease_is_renewed_until_it_is_lost(store):
    claimed = running(store)
    held = {claimed.run.id: claimed.token}
    assert store.renew("w1", held, 15.0) == set()
    assert store.renew("w1", {claimed.run.id: "bad"}, 15.0) == {claimed.run.id}
    assert store.recover(Lost(KINDS), requeue) == []


def test_an_ended_lease_is_recovered_and_fences_off_its_holder(store, log):
    submit(store)
    (claimed,) = claim(store, lease=0.05)
    move(store, claimed, State.RUNNING, pid=1)
    time.sleep(0.1)
    (run,) = store.recover(Lost(KINDS), requeue)
    assert (run.state, run.attempt, run.worker_id) == (State.QUEUED, 2, None)
    assert move(store, claimed, State.FAILED, error={"kind": "error", "message": "", "remedy": ""}) == {run.id}
    (again,) = claim(store, "w2")
    assert again.run.attempt == 2
    assert again.token != claimed.token
    assert types(log, run.id) == ["queued", "claimed", "started", "requeued", "queued", "claimed"]


def test_a_dead_worker_is_recovered_before_its_leases_end(store):
    claimed = running(store)
    assert store.recover(Lost(KINDS, ["w2"]), requeue) == []
    assert [r.id for r in store.recover(Lost(KINDS, ["w1"]), requeue)] == [claimed.run.id]


def test_lost_runs_of_kinds_that_a_worker_does_not_know_are_left_to_others(store):
    known, unknown, unwanted = (running(store, kind=kind) for kind in ("a", "b", "b"))
    store.request_cancel(unwanted.run.id, True, "")
    recovered = store.recover(Lost(("a",), ["w1"]), requeue)
    assert {(run.id, run.state) for run in recovered} == {
        (known.run.id, State.QUEUED), (unwanted.run.id, State.CANCELLED)}  # fmt: skip
    assert store.get(unknown.run.id).state is State.RUNNING


def test_what_cannot_start_again_fails_as_lost(store):
    running(store)
    (run,) = store.recover(Lost(KINDS, ["w1"]), lost_for_good)
    assert (run.state, run.error["kind"]) == (State.FAILED, "lost")
    assert run.error["remedy"]


def test_cancel_of_a_lost_run_ends_in_cancelled(store):
    claimed = running(store)
    store.request_cancel(claimed.run.id, True, "")
    (run,) = store.recover(Lost(KINDS, ["w1"]), requeue)
    assert (run.state, run.partial) == (State.CANCELLED, False)


def test_many_recover_at_once_and_each_run_is_requeued_once(store):
    submit(store)
    claim(store)
    with ThreadPoolExecutor(6) as pool:
        recovered = [
            r for part in pool.map(lambda _: store.recover(Lost(KINDS, ["w1"]), requeue), range(6)) for r in part
        ]
    assert len(recovered) == 1
    assert recovered[0].attempt == 2


def test_lists_are_filtered_and_paged(store):
    made = [submit(store, subject=f"s/{i % 2}", tags=("even",) if i % 2 == 0 else ("o%dd",)) for i in range(6)]
    newest = [run.id for run in reversed(made)]
    assert [r.id for r in store.find(RunQuery(limit=4))] == newest[:4]
    assert [r.id for r in store.find(RunQuery(limit=4, cursor=newest[3]))] == newest[4:]
    assert [r.id for r in store.find(RunQuery(tag="even"))] == [newest[1], newest[3], newest[5]]
    assert len(store.find(RunQuery(tag="o%dd"))) == 3
    assert store.find(RunQuery(tag="%")) == []
    assert len(store.find(RunQuery(subject="s/1", states=(State.QUEUED,)))) == 3


def test_statistics_count_completed_runs_alone(store):
    for end in (State.COMPLETED, State.FAILED, State.CANCELLED):
        claimed = running(store)
        if end is State.COMPLETED:
            move(store, claimed, State.COMPLETING)
        if end is State.CANCELLED:
            store.request_cancel(claimed.run.id, False, "")
        move(store, claimed, end, result={}, error={"kind": "error", "message": "", "remedy": ""})
    figures = SqlFigures(store.database).statistics("local")
    assert figures["completed"] == 1
    assert (figures["by_state"]["failed"], figures["by_state"]["cancelled"]) == (1, 1)
    assert figures["longest_seconds"] >= figures["mean_seconds"] >= 0
    assert SqlFigures(store.database).statistics("local", "nothing")["completed"] == 0


def test_the_log_is_read_after_a_position_and_in_pages(store, log):
    claimed = running(store)
    store.write([numbered(claimed, [ev.Logged(level="info", message=str(i)) for i in range(10)])])
    assert [e.seq for e in log.read(claimed.run.id, after=3, limit=4)] == [4, 5, 6, 7]
    assert log.heads([claimed.run.id, "nope"]) == {claimed.run.id: 13}


def test_a_change_is_noticed(database, store):
    changes = database.changes()
    until(changes.poll, 5, "it listens")
    assert not changes.poll()
    submit(store)
    until(changes.poll, 5, "it hears of the write")
    changes.close()


def test_an_address_to_listen_at_that_never_answers_holds_nobody_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://postgres@127.0.0.1:{silent.getsockname()[1]}/postgres"
        changes = Database(url).changes()
        before = time.monotonic()
        assert not any(changes.poll() for _ in range(10))
        assert time.monotonic() - before < 2.0, "connecting is given up after four seconds"
        changes.close()


def worker(name, host="h", pid=1):
    return WorkerInfo(
        id=name, host=host, pid=pid, process_started_at=1.0, slots=2, version="0", started_at=0.0, renewed_at=0.0
    )


def test_a_sole_worker_is_added_unless_a_live_one_serves_its_host(registry):
    assert registry.register(worker("a"), True, 15.0)
    assert not registry.register(worker("b"), True, 15.0)
    assert registry.register(worker("c", host="elsewhere"), True, 15.0)
    assert registry.register(worker("d"), False, 15.0)
    registry.remove("a")
    registry.remove("d")
    assert registry.register(worker("b"), True, 15.0)
    assert {w.id for w in registry.all()} == {"b", "c"}


def test_a_stale_worker_does_not_keep_a_new_one_out(registry):
    registry.register(worker("a"), True, 15.0)
    time.sleep(0.1)
    assert registry.register(worker("b"), True, 0.05)


def test_the_queue_says_what_waits_and_who_works(store, registry):
    registry.register(worker("w1"), False, 15.0)
    registry.annotate("w1", "free memory below 1 MB")
    running(store)
    waiting = submit(store)
    snapshot = store.queue()
    assert [r.id for r in snapshot.queued] == [waiting.id]
    assert len(snapshot.active) == 1
    assert snapshot.workers[0].note == "free memory below 1 MB"


def checkpoint(number, attempt=1):
    return Checkpoint(number, attempt, f"checkpoints/x/{number}", 10, f"d{number}", {"bars": "b"})


def test_the_two_newest_checkpoints_are_kept_and_handed_to_the_next_attempt(store, log):
    claimed = running(store)
    for number in (1, 2, 3):
        store.write([numbered(claimed, checkpoint=checkpoint(number))])
    assert store.checkpoints(claimed.run.id) == [checkpoint(3), checkpoint(2)]
    assert store.get(claimed.run.id).checkpointed_attempt == 1
    store.recover(Lost(KINDS, ["w1"]), requeue)
    (again,) = claim(store, "w2")
    assert (again.run.attempt, again.checkpoints) == (2, (checkpoint(3), checkpoint(2)))
    assert types(log, claimed.run.id).count("checkpointed") == 3


def test_a_checkpoint_with_a_stale_token_is_refused(store):
    claimed = running(store)
    stale = RunWrite(claimed.run.id, "0" * 32, 9, checkpoint=checkpoint(1))
    assert store.write([stale]) == {claimed.run.id}
    assert store.checkpoints(claimed.run.id) == []


@pytest.mark.parametrize(("keep", "left"), [(True, 1), (False, 0)])
def test_a_cancel_keeps_the_checkpoint_with_the_partial_results_or_discards_both(store, keep, left):
    claimed = running(store)
    store.write([numbered(claimed, checkpoint=checkpoint(1))])
    store.request_cancel(claimed.run.id, keep, "")
    move(store, claimed, State.CANCELLED)
    assert len(store.checkpoints(claimed.run.id)) == left


def test_a_completed_run_needs_no_checkpoint(store):
    claimed = running(store)
    store.write([numbered(claimed, checkpoint=checkpoint(1))])
    move(store, claimed, State.COMPLETING)
    move(store, claimed, State.COMPLETED, result={})
    assert store.checkpoints(claimed.run.id) == []


def test_a_new_run_takes_up_the_checkpoints_of_another(store):
    submit(store, checkpoints=(checkpoint(4), checkpoint(3)))
    (claimed,) = claim(store)
    assert claimed.checkpoints == (checkpoint(4), checkpoint(3))


def test_a_write_that_comes_twice_is_applied_once(store, log):
    claimed = running(store)
    said = numbered(claimed, [ev.Logged(level="info", message="hello")])
    assert store.write([said]) == store.write([said]) == set()
    assert types(log, claimed.run.id).count("log") == 1
    move(store, claimed, State.COMPLETING)
    done = numbered(claimed, move=Move(State.COMPLETED, result={"a": 1}))
    assert store.write([done]) == set()
    store.write([done])
    assert types(log, claimed.run.id).count("completed") == 1


def test_a_run_whose_claim_was_never_answered_is_recovered_at_once(store):
    submit(store)
    submit(store)
    known, unknown = claim(store, "w1", count=2)
    assert store.recover(Lost(KINDS, (), "w2", ()), requeue) == []
    (run,) = store.recover(Lost(KINDS, (), "w1", (known.token,)), requeue)
    assert (run.id, run.state, run.attempt) == (unknown.run.id, State.QUEUED, 2)


def test_a_worker_claims_only_what_needs_a_resource_it_serves(store):
    plain, gpu = submit(store), submit(store, resource="gpu")
    assert [c.run.id for c in claim(store, count=5)] == [plain.id]
    assert [c.run.id for c in claim(store, count=5, resources=("default", "gpu"))] == [gpu.id]


def test_a_worker_leaves_kinds_that_it_does_not_know_to_others(store):
    run = submit(store, kind="sweep")
    assert claim(store, kinds=("backtest",)) == []
    assert [c.run.id for c in claim(store)] == [run.id]


def test_runs_beyond_a_limit_do_not_hide_those_behind_them(store):
    for _ in range(220):
        submit(store, owner="busy", priority=5)
    other = submit(store, owner="other")
    limits = Limits(100, {}, 1, 60.0)
    claim(store, count=3, limits=limits)
    claim(store, count=3, limits=limits)
    assert store.get(other.id).state is State.STARTING


def test_a_drained_worker_reads_so_in_the_registry(store, registry):
    registry.register(worker("a"), False, 15.0)
    registry.drain(["a"])
    assert [w.is_draining for w in registry.all()] == [True]
    assert 0 <= registry.all()[0].silent_seconds < 5


def test_a_value_that_the_database_refuses_is_told_from_a_database_that_is_away(store, database):
    claimed = running(store)
    said = numbered(claimed, [ev.ItemCompleted(key="k" * 201, item={})])
    if database.is_sqlite:  # it keeps texts of any length
        assert store.write([said]) == set()
    else:
        with pytest.raises(Unstorable):
            store.write([said])
    assert store.get(claimed.run.id).state is State.RUNNING


def test_a_queued_run_is_moved_and_one_that_has_begun_is_not(store, log):
    first, second = submit(store), submit(store)
    assert store.prioritize(second.id, 10).priority == 10
    assert [run.id for run in store.queue().queued] == [second.id, first.id]
    assert [event.type for event in log.read(second.id)] == ["queued", "prioritized"]
    assert store.prioritize(second.id, 10).last_seq == 2, "nothing has changed, and nothing is said"
    assert store.prioritize("nothing", 1) is None
    (claim,) = store.claim("w", 60.0, Limits(1, {}, 9, 60.0), Serves((first.kind,), {"default": 1}))
    assert claim.run.id == second.id
    assert store.prioritize(second.id, -5).priority == 10


def test_what_bears_a_tag_is_found_and_seen_to_move(store):
    first, second = submit(store, tags=("nightly",)), submit(store, tags=("nightly", "a%b"))
    submit(store)
    submit(store, tags=("nightly",), owner="eve")
    found = [run.id for run in store.find(RunQuery(tag="nightly", owner=first.owner))]
    assert found == [second.id, first.id]
    assert [run.id for run in store.find(RunQuery(tag="nightly", owner=first.owner, limit=1))] == [second.id]
    assert len(store.find(RunQuery(tag="nightly"))) == 3
    assert store.find(RunQuery(tag="night")) == []
    seen = [store.positions(first.owner, ["nightly", "a%b", "nothing"])]
    for move in (
        lambda: submit(store, tags=("nightly",)),
        lambda: store.prioritize(first.id, 7),
        lambda: store.request_cancel(first.id, False, ""),
    ):
        move()
        seen.append(store.positions(first.owner, ["nightly", "a%b", "nothing"]))
    assert len({position["nightly"] for position in seen}) == 4
    assert len({position["a%b"] for position in seen}) == len({position["nothing"] for position in seen}) == 1


def test_parts_of_a_log_are_read_by_their_types(store, log):
    run = submit(store)
    for priority in range(1, 41):
        store.prioritize(run.id, priority)
    assert len(log.read(run.id, types=("prioritized",), limit=7)) == 7
    latest = log.latest(run.id, 3, ("prioritized",))
    assert [event.payload["priority"] for event in latest] == [38, 39, 40]
    assert [event.payload["priority"] for event in log.latest(run.id, 2, ("prioritized",), until=21)] == [19, 20]
    sampled = log.sample(run.id, 10, "prioritized", run.last_seq + 40)
    assert (8 <= len(sampled) <= 20, sampled[-1].payload["priority"]) == (True, 40)
    assert log.sample(run.id, 10, "log", run.last_seq) == []
    both = log.latest(run.id, 40, ("queued", "prioritized"), until=39)
    assert [event.seq for event in both] == list(range(1, 40)), "of several types, in the order of the log"
    assert log.read(run.id, 0, 3, ("prioritized", "queued")) == both[:3]


def test_remarks_are_kept_replaced_and_removed(database):
    remarks = SqlRemarks(database)
    assert remarks.of("run", ["a"]) == {}
    remarks.put("run", "a", Remarks(("x", "y"), "one"))
    remarks.put("run", "a", Remarks((), "two"))
    remarks.put("backtest", "a", Remarks(("z",)))
    assert remarks.of("run", ["a", "b"]) == {"a": Remarks((), "two")}
    remarks.remove("run", "a")
    assert (remarks.of("run", ["a"]), remarks.of("backtest", ["a"])) == ({}, {"a": Remarks(("z",))})
