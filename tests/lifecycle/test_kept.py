"""What "keep" keeps: whatever an attempt has saved or finished, whoever has died since, whoever ends the run."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import polars as pl
import pytest

from pitboss.core.errors import Conflict
from pitboss.core.principal import LOCAL
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.store import Nature
from pitboss.market.synth import synthesize
from support import faults
from support.engine import Engine, until
from support.server import pitboss


@pytest.fixture
def engine(tmp_path):
    with Engine(tmp_path, slots=1, checkpoint_seconds=0.1) as engine:
        timeframe = parse_timeframe("5m")
        frame = synthesize(timeframe, datetime(2022, 1, 1, tzinfo=UTC), 365, seed=1)
        engine.platform.bars.store(frame, "SHORT", timeframe, Nature("synthetic", is_synthetic=True))
        yield engine


def items(engine, run):
    return [e for e in engine.service.events(LOCAL, run.id, limit=100_000) if e.type == "item_completed"]


def interrupted_sweep(engine, least=200):
    """Answer a sweep of which an attempt has finished some variants and saved its state, and whose worker is dead."""
    worker = engine.start_worker()
    params = faults.sweep_params()
    run = engine.submit("sweep", params)
    until(lambda: len(items(engine, run)) > least and engine.store.checkpoints(run.id), 60, "variants are saved")
    worker.kill()
    worker.wait()
    return engine.service.get(LOCAL, run.id)


def assert_kept(engine, run, least):
    assert (run.state, run.partial) == ("cancelled", True)
    assert least <= run.result["variants"] < run.result["total"]
    path = engine.settings.data_dir / "artifacts" / run.id / "variants.parquet"
    assert len(pl.read_parquet(path)) == run.result["variants"]
    kept = items(engine, run)
    assert len(kept) >= least
    assert all(event.payload["item"]["metrics"] for event in kept)
    assert [e.type for e in engine.events(run)][-1] == "cancelled"


def test_a_run_that_waits_between_two_attempts_keeps_what_it_saved(engine):
    run = interrupted_sweep(engine)
    saved = len(items(engine, run))
    blocker = engine.submit("sleeping", priority="high")
    engine.start_worker()
    engine.wait_progress(blocker)
    engine.wait(run, "queued")
    asked = time.monotonic()
    assert engine.service.cancel(LOCAL, run.id, keep_partial=True).message == "cancel requested"
    ended = engine.wait(run, seconds=10)
    assert time.monotonic() - asked < 4.0, "its results are made though the slot is taken"
    assert_kept(engine, ended, saved // 2)
    assert engine.service.get(LOCAL, blocker.id).state == "running"


def test_a_cancel_of_a_run_whose_worker_died_starts_a_worker_and_keeps_what_was_saved(engine):
    run = interrupted_sweep(engine)
    saved = len(items(engine, run))
    done = pitboss("runs", "cancel", run.id, data_dir=engine.settings.data_dir)
    assert done.returncode == 0, done.stderr
    assert_kept(engine, engine.wait(run, seconds=30), saved // 2)


def test_a_worker_that_dies_while_it_cancels_leaves_that_to_the_next(engine):
    worker = engine.start_worker()
    run = engine.submit("sweep", faults.sweep_params())
    until(lambda: len(items(engine, run)) > 200 and engine.store.checkpoints(run.id), 60, "variants are saved")
    engine.freeze(worker)
    engine.service.cancel(LOCAL, run.id, keep_partial=True)
    worker.kill()
    worker.wait()
    engine.start_worker()
    assert_kept(engine, engine.wait(run, seconds=20), 100)


def test_discarding_discards_what_was_saved_too(engine):
    run = interrupted_sweep(engine)
    blocker = engine.submit("sleeping", priority="high")
    engine.start_worker()
    engine.wait_progress(blocker)
    engine.wait(run, "queued")
    ended = engine.service.cancel(LOCAL, run.id, keep_partial=False).run
    assert (ended.state, ended.partial, ended.result) == ("cancelled", False, None)
    assert engine.store.checkpoints(run.id) == []
    assert all(event.payload["discarded"] for event in items(engine, run))


def test_what_is_finished_is_kept_where_no_worker_can_make_results_of_it(engine):
    run = interrupted_sweep(engine)
    with engine.platform.database.writing() as connection:  # as after its lease, when no worker is left to look
        connection.exec_driver_sql("UPDATE runs SET state='queued', worker_id=NULL, lease_token=NULL, lease_until=NULL")
    assert engine.service.cancel(LOCAL, run.id, keep_partial=True).run.state == "cancelling"
    time.sleep(3.2)  # nobody takes it up in time
    engine.start_worker()
    ended = engine.wait(run, seconds=20)
    assert (ended.state, ended.partial) == ("cancelled", True)
    assert len(items(engine, run)) > 200


@pytest.mark.parametrize("command", [("runs", "list"), ("queue",), ("runs", "show", "latest"), ("doctor",)])
def test_a_command_that_finds_work_unattended_starts_a_worker(engine, command):
    engine.start_worker().kill()
    run = engine.submit("backtest", faults.backtest_params() | {"symbols": ["SHORT"]})
    until(lambda: all(w.poll() is not None for w in engine.workers), 5, "the worker is dead")
    done = pitboss(*command, data_dir=engine.settings.data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    assert engine.wait(run, seconds=30).state == "completed"


def test_keys_that_differ_at_their_end_are_two_and_one_key_is_for_one_request(engine):
    run = interrupted_sweep(engine)
    engine.start_worker()
    engine.service.cancel(LOCAL, run.id, keep_partial=True)
    engine.wait(run)
    long = "k" * 199
    first = engine.service.resume(LOCAL, run.id, key=f"{long}a")
    assert engine.service.resume(LOCAL, run.id, key=f"{long}a").id == first.id
    assert engine.service.resume(LOCAL, run.id, key=f"{long}b").id != first.id
    with pytest.raises(Conflict):
        engine.service.retry(LOCAL, run.id, key=f"{long}a")
    assert engine.service.resume(LOCAL, run.id, key="").id != engine.service.resume(LOCAL, run.id, key="").id
