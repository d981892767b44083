"""Runs that are interrupted go on from where they were, and end as if nothing had happened."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from pitboss.core.errors import Conflict
from pitboss.core.principal import LOCAL
from support import faults
from support.engine import Engine, until


@pytest.fixture
def engine(tmp_path):
    with Engine(tmp_path, checkpoint_seconds=0.1) as engine:
        yield engine


def settled(ask):
    """Answer what is found when nothing more comes."""
    before = ask()
    time.sleep(0.3)
    return before if before == ask() else None


def journal_of(path):
    return [line.split() for line in path.read_text().splitlines()]


def careful(engine, tmp_path, count=40, **params):
    journal = tmp_path / "journal"
    return engine.submit("careful_steps", {"count": count, "seconds": 0.03, "journal": str(journal), **params}), journal


def test_a_killed_run_goes_on_from_its_last_checkpoint(engine, tmp_path):
    engine.start_worker()
    run, journal = careful(engine, tmp_path)
    for attempt in (1, 2, 3):
        os.kill(engine.wait_progress(engine.wait_attempt(run, attempt), "stepping", 8 * attempt).pid, signal.SIGKILL)
    ended = engine.wait(run)
    assert (ended.state, ended.attempt, ended.result) == ("completed", 4, {"done": 40})
    steps = [int(step) for *_, step in journal_of(journal)]
    assert sorted(set(steps)) == list(range(40))
    assert len(steps) <= 40 + 3 * 2, "only what came after the last checkpoint is done again"
    reasons = [e.payload["reason"] for e in engine.events(run) if e.type == "requeued"]
    assert all("SIGKILL" in reason for reason in reasons)
    until(lambda: not list(Path(engine.settings.data_dir / "checkpoints").rglob("*.*")), 2, "spent files are removed")


def test_sigterm_saves_the_state_and_the_next_worker_goes_on_there(engine, tmp_path):
    worker = engine.start_worker()
    run, journal = careful(engine, tmp_path)
    engine.wait_progress(run, "stepping", 5)
    worker.terminate()
    assert worker.wait(timeout=10) == 0
    assert engine.service.get(LOCAL, run.id).state == "queued"
    engine.start_worker()
    assert engine.wait(run).result == {"done": 40}
    steps = [int(step) for *_, step in journal_of(journal)]
    assert steps == list(range(40)), "nothing was done twice"


@pytest.mark.parametrize("kind", ["sweep", "backtest"])
def test_a_run_killed_again_and_again_leaves_the_same_files_byte_for_byte(engine, kind):
    faults.make_bars(engine)
    engine.start_worker()
    params = faults.sweep_params()
    if kind == "backtest":
        params = faults.backtest_params() | {"symbols": faults.make_many_bars(engine, 6)}
    outcome = faults.kill_runs(engine, kind, params, kills=2, least=0.3, most=0.8, seed=3)
    assert outcome["kills"] == 2


def test_a_torn_checkpoint_is_passed_over_for_the_one_before(engine, tmp_path):
    engine.start_worker()
    run, _ = careful(engine, tmp_path, count=60)
    engine.wait_progress(run, "stepping", 10)
    pid = engine.service.get(LOCAL, run.id).pid
    os.kill(pid, signal.SIGSTOP)
    newest, _ = until(lambda: settled(lambda: engine.store.checkpoints(run.id)), 5, "all it said is recorded")
    path = engine.settings.data_dir / newest.path
    path.write_bytes(path.read_bytes()[:-100])
    os.kill(pid, signal.SIGKILL)
    assert engine.wait(run).result == {"done": 60}
    said = [e.payload["message"] for e in engine.events(run) if e.type == "log"]
    assert any("torn" in message for message in said)
    assert any("goes on from checkpoint" in message for message in said)


def test_a_cancelled_run_is_resumed_as_a_new_one(engine):
    faults.make_bars(engine)
    engine.start_worker()
    whole = engine.wait(engine.submit("sweep", faults.sweep_params()), seconds=60)
    run = engine.submit("sweep", faults.sweep_params())
    engine.wait_progress(run, "sweeping", 100)
    engine.service.cancel(LOCAL, run.id, keep_partial=True)
    cancelled = engine.wait(run)
    assert cancelled.partial
    again = engine.service.resume(LOCAL, run.id)
    ended = engine.wait(again, seconds=60)
    assert (ended.parent, ended.state, ended.number) == (run.id, "completed", run.number + 1)
    assert faults.digests(engine, again) == faults.digests(engine, whole)
    items = [e.payload["key"] for e in engine.events(again) if e.type == "item_completed"]
    assert len(items) == len(set(items)) == ended.result["variants"]
    said = [e.payload["message"] for e in engine.events(again) if e.type == "log"]
    assert any("goes on from checkpoint" in message for message in said)


def test_a_resume_is_refused_when_what_it_was_made_from_has_changed(engine):
    faults.make_bars(engine)
    engine.start_worker()
    run = engine.submit("sweep", faults.sweep_params())
    engine.wait_progress(run, "sweeping", 50)
    engine.service.cancel(LOCAL, run.id, keep_partial=True)
    engine.wait(run)
    faults.make_bars(engine, seed=2)
    with pytest.raises(Conflict) as refused:
        engine.service.resume(LOCAL, run.id)
    assert "the bars of SHORT was" in refused.value.message
    assert "retry" in refused.value.remedy


def test_a_run_that_kept_nothing_cannot_be_resumed(engine):
    engine.start_worker()
    run = engine.submit("broken")
    engine.wait(run)
    with pytest.raises(Conflict, match="no checkpoint"):
        engine.service.resume(LOCAL, run.id)
    done = engine.submit("nothing")
    engine.wait(done)
    with pytest.raises(Conflict, match="completed"):
        engine.service.resume(LOCAL, done.id)


def test_a_state_made_from_something_else_is_not_used(engine, tmp_path):
    engine.start_worker()
    run, journal = careful(engine, tmp_path, count=30)
    engine.wait_progress(run, "stepping", 10)
    engine.service.cancel(LOCAL, run.id, keep_partial=True)
    engine.wait(run)
    saved = engine.store.checkpoints(run.id)
    assert saved[0].identity == {"version": "1"}
    again = engine.service.resume(LOCAL, run.id)
    ended = engine.wait(again)
    assert ended.result == {"done": 30}
    assert len(journal_of(journal)) < 2 * 30
