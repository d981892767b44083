"""Real workers, real processes, real signals."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from pitboss.core.principal import LOCAL
from support.engine import Engine, is_gone, marked_processes, until
from support.jobs import HOSTILE
from support.postgres import new_postgres_database


@pytest.fixture
def engine(tmp_path):
    with Engine(tmp_path) as engine:
        yield engine


def test_a_run_does_its_work_and_tells(engine):
    engine.start_worker()
    run = engine.submit("steps", {"count": 5, "seconds": 0.01})
    ended = engine.wait(run)
    assert (ended.state, ended.result, ended.attempt) == ("completed", {"done": 5}, 1)
    assert ended.progress["percent"] == 100.0
    types = [event.type for event in engine.events(run)]
    assert types[:3] == ["queued", "claimed", "started"]
    assert types.count("item_completed") == 5
    assert types[-1] == "completed"
    (artifact,) = engine.service.artifacts(LOCAL, run.id)
    assert (engine.settings.data_dir / artifact.path).read_text() == "5\n"


def test_the_slots_are_never_exceeded(engine):
    engine.start_worker()
    runs = [engine.submit("steps", {"count": 10, "seconds": 0.1}) for _ in range(6)]
    most = 0
    while not all(engine.service.get(LOCAL, run.id).state.is_terminal for run in runs):
        most = max(most, len(engine.store.queue().active))
    assert most == 2


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("keep", [True, False], ids=["keep", "discard"])
def test_cancel_ends_whatever_the_code_does_within_two_seconds(engine, kind, keep):
    engine.start_worker()
    run = engine.submit(kind)
    pid = engine.wait_progress(run).pid
    asked = time.monotonic()
    engine.service.cancel(LOCAL, run.id, keep_partial=keep)
    ended = engine.wait(run, seconds=5)
    assert time.monotonic() - asked <= 2.0
    assert (ended.state, ended.partial, ended.result) == ("cancelled", False, None)
    assert is_gone(pid)
    until(lambda: not marked_processes(), 0.5, "no grandchild is left")
    terminal = [e.type for e in engine.events(run) if e.type in ("completed", "failed", "cancelled")]
    assert terminal == ["cancelled"]


@pytest.mark.parametrize("keep", [True, False], ids=["keep", "discard"])
def test_a_cooperative_cancel_keeps_or_discards_what_is_done(engine, keep):
    engine.start_worker()
    run = engine.submit("steps", {"count": 1000, "seconds": 0.01})
    engine.wait_progress(run, "stepping", 5)
    asked = time.monotonic()
    engine.service.cancel(LOCAL, run.id, keep_partial=keep)
    ended = engine.wait(run)
    assert time.monotonic() - asked < 1.0
    assert (ended.state, ended.partial) == ("cancelled", keep)
    folder = engine.settings.data_dir / "artifacts" / run.id
    if keep:
        assert 5 <= ended.result["done"] < 1000
        assert (folder / "steps.txt").read_text() == f"{ended.result['done']}\n"
    else:
        assert ended.result is None
        assert engine.service.artifacts(LOCAL, run.id) == []
        until(lambda: not folder.exists(), 1, "the files are gone")


def test_cancel_of_a_finished_run_says_so_and_changes_nothing(engine):
    engine.start_worker()
    run = engine.submit("nothing")
    before = engine.wait(run)
    answer = engine.service.cancel(LOCAL, run.id, keep_partial=True)
    assert "already finished" in answer.message
    assert engine.service.get(LOCAL, run.id) == before


def test_a_killed_run_is_known_within_a_second_with_its_signal(engine):
    engine.start_worker()
    run = engine.submit("sleeping")
    pid = engine.wait_progress(run).pid
    os.kill(pid, signal.SIGKILL)
    ended = engine.wait(run, seconds=1)
    assert (ended.state, ended.error["kind"]) == ("failed", "lost")
    assert "SIGKILL" in ended.error["message"]


def test_errors_are_told_without_a_traceback(engine):
    engine.start_worker()
    broken, silent = engine.submit("broken"), engine.submit("silent_exit")
    error = engine.wait(broken).error
    assert error["message"] == "ZeroDivisionError: of its own making"
    assert "--log" in error["remedy"]
    assert "Traceback" in (engine.settings.data_dir / "logs" / "runs" / f"{broken.id}.log").read_text()
    assert "exit code 3" in engine.wait(silent).error["message"]


def test_limits_of_time_and_memory_end_a_run_and_are_named(engine):
    engine.start_worker()
    slow = engine.submit("deaf_loop", options={"max_execution_seconds": 0.5})
    hungry = engine.submit("hungry", options={"memory_limit_mb": 700})
    assert engine.wait(slow).error["kind"] == "timeout"
    assert engine.wait(hungry).error["kind"] == "memory"


def test_a_daemon_that_a_run_leaves_behind_is_ended(engine):
    engine.start_worker()
    assert engine.wait(engine.submit("leaves_one_behind")).state == "completed"
    until(lambda: not marked_processes(), 1, "the daemon is gone")


def test_a_killed_worker_takes_its_children_along_and_its_runs_go_on(engine, tmp_path):
    journal = tmp_path / "journal"
    worker = engine.start_worker()
    steps = engine.submit("steps", {"count": 60, "seconds": 0.05, "journal": str(journal)})
    hostile = engine.submit("grandchildren")
    pids = [engine.wait_progress(run).pid for run in (steps, hostile)]
    engine.wait_progress(steps, "stepping", 3)
    descendants = psutil.Process(worker.pid).children(recursive=True)
    worker.kill()
    killed = time.monotonic()
    worker.wait()
    until(lambda: all(is_gone(p.pid) for p in descendants) and not marked_processes(), 2, "all children are gone")
    assert all(is_gone(pid) for pid in pids)
    engine.start_worker(waits=False)
    engine.wait_attempt(steps, 2, seconds=8)
    assert time.monotonic() - killed < 6.0  # and not when the lease has run out; other tests take the machine meanwhile
    ended = engine.wait(steps)
    assert (ended.state, ended.result) == ("completed", {"done": 60})
    items = [e.payload["key"] for e in engine.events(steps) if e.type == "item_completed"]
    assert sorted(items, key=int) == [str(i) for i in range(60)]
    assert_attempts_never_overlap(journal)


def assert_attempts_never_overlap(journal):
    lines = [line.split() for line in journal.read_text().splitlines()]
    attempts = [int(attempt) for _, attempt, _ in lines]
    assert attempts == sorted(attempts)


def test_a_stopped_worker_loses_its_runs_and_writes_nothing_afterwards(tmp_path):
    journal = tmp_path / "journal"
    with Engine(tmp_path, lease_seconds=2.0, renew_seconds=0.3) as engine:
        stopped = engine.start_worker()
        run = engine.submit("steps", {"count": 200, "seconds": 0.05, "journal": str(journal)})
        first = engine.wait_progress(run, "stepping", 3)
        engine.freeze(stopped)
        until(lambda: is_gone(first.pid), 4, "the fork server kills what the worker no longer holds")
        engine.start_worker()
        second = engine.wait_attempt(run, 2)
        assert second.worker_id != first.worker_id
        time.sleep(3 * 2.0)
        os.kill(stopped.pid, signal.SIGCONT)
        ended = engine.wait(run)
        assert (ended.state, ended.attempt, ended.worker_id) == ("completed", 2, second.worker_id)
        claims = [e.payload["worker"] for e in engine.events(run) if e.type == "claimed"]
        assert claims == [first.worker_id, second.worker_id]
        assert_attempts_never_overlap(journal)


def test_a_cancel_that_no_worker_confirms_says_so_until_the_lease_ends_it(tmp_path):
    with Engine(tmp_path, lease_seconds=4.0, renew_seconds=0.3) as engine:
        worker = engine.start_worker()
        run = engine.wait_progress(engine.submit("sleeping"))
        engine.freeze(worker)
        assert engine.service.cancel(LOCAL, run.id, keep_partial=True).message == "cancel requested"
        assert engine.service.cancel(LOCAL, run.id, keep_partial=True).message == "already being cancelled"
        until(lambda: engine.service.unconfirmed(engine.service.get(LOCAL, run.id)), 4, "it is known to take too long")
        assert "cancel unconfirmed after" in engine.service.cancel(LOCAL, run.id, keep_partial=True).message
        engine.start_worker()
        assert engine.wait(run).state == "cancelled"
        assert engine.service.unconfirmed(engine.service.get(LOCAL, run.id)) == ""


def test_sigterm_requeues_what_runs_and_the_next_worker_takes_it_up(engine):
    worker = engine.start_worker()
    run = engine.submit("steps", {"count": 40, "seconds": 0.05})
    engine.wait_progress(run, "stepping", 3)
    worker.terminate()
    assert worker.wait(timeout=10) == 0
    waiting = engine.service.get(LOCAL, run.id)
    assert (waiting.state, waiting.attempt) == ("queued", 2)
    assert engine.service.workers() == []
    engine.start_worker()
    assert engine.wait(run).result == {"done": 40}


def test_sigterm_to_everything_at_once_loses_nothing(engine, tmp_path):
    worker = engine.start_worker()
    run = engine.submit("journaled", {"count": 40, "seconds": 0.05, "journal": str(tmp_path / "journal")})
    engine.wait_progress(run, "stepping", 3)
    family = [*psutil.Process(worker.pid).children(recursive=True), psutil.Process(worker.pid)]
    for process in family:  # as a machine that shuts down does
        process.terminate()
    assert worker.wait(timeout=10) == 0
    assert engine.service.get(LOCAL, run.id).state == "queued"
    engine.start_worker()
    assert engine.wait(run).state == "completed"


def test_a_killed_fork_server_is_replaced(engine):
    worker = engine.start_worker()
    run = engine.submit("sleeping")
    pid = engine.wait_progress(run).pid
    os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
    ended = engine.wait(run)
    assert (ended.state, ended.error["kind"]) == ("failed", "lost")
    until(lambda: is_gone(pid), 2, "what the fork server ran is gone")
    assert engine.wait(engine.submit("nothing")).state == "completed"
    assert worker.poll() is None
    children = psutil.Process(worker.pid).children
    until(
        lambda: all(child.status() != psutil.STATUS_ZOMBIE for child in children()), 2, "the worker takes leave of it"
    )


def test_a_worker_without_room_says_why_runs_wait(tmp_path):
    with Engine(tmp_path, min_free_memory_mb=10_000_000) as engine:
        engine.start_worker()
        run = engine.submit("nothing")
        until(lambda: "free memory" in engine.service.place(run).waiting_reason, 5, "the reason is told")
        assert engine.service.get(LOCAL, run.id).state == "queued"


def test_busy_slots_are_named_as_the_reason_with_an_estimate(engine):
    engine.start_worker()
    for _ in range(2):
        engine.wait_progress(engine.submit("steps", {"count": 100, "seconds": 0.05}), "stepping", 25)
    place = engine.service.place(engine.submit("nothing"))
    assert (place.position, place.waiting_reason) == (1, "2 of 2 default slots busy")


def test_the_engine_works_the_same_over_postgresql(tmp_path, postgres_url):
    with Engine(tmp_path, database_url=new_postgres_database(postgres_url)) as engine:
        worker = engine.start_worker()
        assert engine.wait(engine.submit("steps", {"count": 5, "seconds": 0.01})).result == {"done": 5}
        run = engine.submit("steps", {"count": 1000, "seconds": 0.01})
        engine.wait_progress(run, "stepping", 3)
        asked = time.monotonic()
        engine.service.cancel(LOCAL, run.id, keep_partial=True)
        assert engine.wait(run).partial
        assert time.monotonic() - asked < 2.0
        run = engine.submit("steps", {"count": 50, "seconds": 0.02})
        engine.wait_progress(run, "stepping", 3)
        worker.kill()
        worker.wait()
        engine.start_worker(waits=False)
        engine.wait_attempt(run, 2)
        assert engine.wait(run).result == {"done": 50}
        engine.events(run)
