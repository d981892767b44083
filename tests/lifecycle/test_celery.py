"""Workers under a real Celery with a real Redis, which may die, forget, hang and repeat itself."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from pitboss.core.principal import LOCAL
from pitboss.launch.celery import WAKE, make_app
from pitboss.runs.submission import Submission
from support import faults
from support.cluster import Cluster
from support.engine import is_gone, until

SOON = 5.0  # seconds; `script/faults broker` holds the second that is promised on an idle machine


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    cluster.redis.start()
    faults.make_bars(cluster)
    yield cluster
    cluster.close()


def test_a_broker_that_dies_forgets_or_hangs_delays_nothing(cluster):
    cluster.start_worker()
    assert cluster.started_after(cluster.submit()) < SOON
    cluster.redis.kill()
    assert cluster.started_after(cluster.submit()) < SOON
    cluster.redis.start()
    cluster.redis.flush()
    assert cluster.started_after(cluster.submit()) < SOON
    cluster.redis.pause()
    before = time.monotonic()
    run = cluster.submit()
    assert time.monotonic() - before < 1.0, "a submit does not wait for the broker"
    assert cluster.started_after(run) < SOON
    cluster.redis.resume()
    assert cluster.started_after(cluster.submit()) < SOON


def test_a_hundred_doorbells_for_each_run_start_it_once(cluster):
    cluster.start_worker()
    cluster.start_worker()
    app = make_app(cluster.settings)
    runs = [cluster.submit() for _ in range(5)]
    for _ in range(100 * len(runs)):
        app.send_task(WAKE, queue="default")
    for run in runs:
        assert cluster.wait(run).state == "completed"
        events = [event.type for event in cluster.service.events(LOCAL, run.id)]
        assert events.count("claimed") == events.count("started") == events.count("completed") == 1
    app.close()


def test_messages_reach_the_worker_that_serves_the_resource(cluster):
    cluster.start_worker("--resource", "gpu")
    plain = cluster.submit()
    assert cluster.wait(cluster.submit(options={"resource": "gpu"})).state == "completed"
    assert cluster.service.place(cluster.service.get(LOCAL, plain.id)).waiting_reason == "needs a default worker"
    cluster.start_worker()
    assert cluster.wait(plain).state == "completed"


@pytest.mark.parametrize("is_hung", [False, True], ids=["broker up", "broker hung"])
def test_sigterm_suspends_what_runs_though_the_broker_hangs(cluster, is_hung):
    worker = cluster.start_worker()
    run = cluster.service.submit(LOCAL, Submission(kind="sweep", params=faults.sweep_params()))
    until(lambda: (cluster.service.get(LOCAL, run.id).progress or {}).get("done", 0) > 20, 20, "the sweep gets on")
    if is_hung:
        cluster.redis.pause()
    worker.terminate()
    worker.wait(timeout=20)
    waiting = cluster.service.get(LOCAL, run.id)
    assert (waiting.state, waiting.checkpointed_attempt) == ("queued", 1)
    assert cluster.service.workers() == []


def test_a_killed_celery_process_leaves_nothing_running(cluster):
    worker = cluster.start_worker()
    run = cluster.service.submit(LOCAL, Submission(kind="sweep", params=faults.sweep_params()))
    until(lambda: (cluster.service.get(LOCAL, run.id).progress or {}).get("done", 0) > 20, 20, "the sweep gets on")
    family = psutil.Process(worker.pid).children(recursive=True)
    worker.kill()
    worker.wait()
    until(lambda: all(is_gone(p.pid) for p in family), 12, "its worker and that one's runs are gone")
    assert cluster.service.get(LOCAL, run.id).state == "queued"


def test_a_killed_supervisor_is_started_again(cluster):
    cluster.start_worker()
    (before,) = cluster.service.workers()
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: [w.id for w in cluster.service.workers()] not in ([], [before.id]), 10, "a new one signs on")
    assert cluster.wait(cluster.submit()).state == "completed"
