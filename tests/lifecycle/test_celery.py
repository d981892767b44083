"""Workers under a real Celery with a real Redis, which may die, forget, hang and repeat itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pitboss.bootstrap import open_platform
from pitboss.core.settings import load_settings
from pitboss.launch.celery import WAKE, make_app
from pitboss.runs.service import Submission
from support import faults
from support.engine import is_gone, until
from support.server import free_port
from support.servers import RedisServer


class Cluster:
    """A data folder, a broker, and Celery workers."""

    def __init__(self, folder) -> None:
        self.redis = RedisServer(folder / "redis", free_port())
        self.settings = load_settings(data_dir=folder / "data", broker_url=self.redis.url, slots=2, min_free_disk_mb=0)
        self.platform = open_platform(self.settings)
        self.service = self.platform.service
        self.log = folder / "celery.log"
        self.workers: list[subprocess.Popen] = []

    def start_worker(self, *arguments: str) -> subprocess.Popen:
        environment = os.environ | {"PITBOSS_BROKER_URL": self.redis.url, "PITBOSS_MIN_FREE_DISK_MB": "0"}
        with self.log.open("ab") as log:
            command = ["worker", "--celery", "--slots", "2", "--data-dir", str(self.settings.data_dir), *arguments]
            worker = subprocess.Popen(
                [sys.executable, "-m", "pitboss.cli.main", *command], env=environment, stdout=log, stderr=log
            )
        self.workers.append(worker)
        count = len(self.workers)
        until(lambda: len(self.service.workers()) >= count, 30, "the worker signs on")
        return worker

    def submit(self, **fields):
        return self.service.submit(Submission("backtest", faults.backtest_params() | {"symbols": ["SHORT"]}, **fields))

    def wait(self, run, seconds=20.0):
        return until(lambda: (now := self.service.get(run.id)).state.is_terminal and now, seconds, "the run ends")

    def started_after(self, run) -> float:
        ended = self.wait(run)
        assert ended.state == "completed", ended.error
        return ended.started_at - ended.created_at

    def close(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                children = psutil.Process(worker.pid).children(recursive=True)
                worker.kill()
                worker.wait()
                psutil.wait_procs(children, 15)
        self.redis.kill()
        self.platform.close()


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    cluster.redis.start()
    faults.make_bars(cluster)
    yield cluster
    cluster.close()


def test_a_broker_that_dies_forgets_or_hangs_delays_nothing(cluster):
    cluster.start_worker()
    assert cluster.started_after(cluster.submit()) < 1.0
    cluster.redis.kill()
    assert cluster.started_after(cluster.submit()) < 1.0
    cluster.redis.start()
    cluster.redis.flush()
    assert cluster.started_after(cluster.submit()) < 1.0
    cluster.redis.pause()
    before = time.monotonic()
    run = cluster.submit()
    assert time.monotonic() - before < 0.5, "a submit does not wait for the broker"
    assert cluster.started_after(run) < 1.0
    cluster.redis.resume()
    assert cluster.started_after(cluster.submit()) < 1.0


def test_a_hundred_doorbells_for_each_run_start_it_once(cluster):
    cluster.start_worker()
    cluster.start_worker()
    app = make_app(cluster.settings)
    runs = [cluster.submit() for _ in range(5)]
    for _ in range(100 * len(runs)):
        app.send_task(WAKE, queue="default")
    for run in runs:
        assert cluster.wait(run).state == "completed"
        events = [event.type for event in cluster.service.events(run.id)]
        assert events.count("claimed") == events.count("started") == events.count("completed") == 1
    app.close()


def test_messages_reach_the_worker_that_serves_the_resource(cluster):
    cluster.start_worker("--resource", "gpu")
    plain = cluster.submit()
    assert cluster.wait(cluster.submit(options={"resource": "gpu"})).state == "completed"
    assert cluster.service.place(cluster.service.get(plain.id)).waiting_reason == "needs a default worker"
    cluster.start_worker()
    assert cluster.wait(plain).state == "completed"


@pytest.mark.parametrize("is_hung", [False, True], ids=["broker up", "broker hung"])
def test_sigterm_suspends_what_runs_though_the_broker_hangs(cluster, is_hung):
    worker = cluster.start_worker()
    run = cluster.service.submit(Submission("sweep", faults.sweep_params()))
    until(lambda: (cluster.service.get(run.id).progress or {}).get("done", 0) > 20, 20, "the sweep gets on")
    if is_hung:
        cluster.redis.pause()
    worker.terminate()
    worker.wait(timeout=20)
    waiting = cluster.service.get(run.id)
    assert (waiting.state, waiting.checkpointed_attempt) == ("queued", 1)
    assert cluster.service.workers() == []


def test_a_killed_celery_process_leaves_nothing_running(cluster):
    worker = cluster.start_worker()
    run = cluster.service.submit(Submission("sweep", faults.sweep_params()))
    until(lambda: (cluster.service.get(run.id).progress or {}).get("done", 0) > 20, 20, "the sweep gets on")
    family = psutil.Process(worker.pid).children(recursive=True)
    worker.kill()
    worker.wait()
    until(lambda: all(is_gone(p.pid) for p in family), 12, "its worker and that one's runs are gone")
    assert cluster.service.get(run.id).state == "queued"


def test_a_killed_supervisor_is_started_again(cluster):
    cluster.start_worker()
    (before,) = cluster.service.workers()
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: [w.id for w in cluster.service.workers()] not in ([], [before.id]), 10, "a new one signs on")
    assert cluster.wait(cluster.submit()).state == "completed"
