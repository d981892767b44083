"""The engine's figures: how soon a run starts, ends, is missed, and what one costs."""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil
from table import Row

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from pitboss.core.principal import LOCAL
from pitboss.worker.doorbell import ring
from support.engine import Engine, is_gone, until
from support.jobs import HOSTILE


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def rows():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, Engine(Path(folder), slots=6) as engine:
        worker = engine.start_worker()
        engine.wait(engine.submit("nothing"))
        yield from starting(engine)
        yield from cancelling(engine)
        yield from cost(engine, worker)
        yield from dying(engine, worker)


def submit(engine, kind, params=None):
    run = engine.submit(kind, params)
    ring(engine.settings.data_dir)
    return run


def starting(engine):
    milliseconds = []
    for _ in range(100):
        before = engine.store.queue().now
        run = engine.wait(submit(engine, "nothing"))
        milliseconds.append((run.started_at - before) * 1e3)
    yield Row("submit to the job's first line, p95", percentile(milliseconds, 0.95), "ms", 60, "limit")
    yield Row("the same, p50", statistics.median(milliseconds), "ms", 60, "limit")


def cancelling(engine):
    seconds = []
    for _ in range(60):
        run = submit(engine, "steps", {"count": 10_000, "seconds": 0.005})
        engine.wait_progress(run, "stepping", 2)
        seconds.append(cancel(engine, run))
    yield Row("cancel, cooperative, partial results kept, p50", statistics.median(seconds), "s", 0.15, "limit")
    yield Row("the same, p99", percentile(seconds, 0.99), "s", 0.5, "limit")
    seconds = []
    for kind in HOSTILE * 3:
        run = submit(engine, kind)
        pid = engine.wait_progress(run).pid
        seconds.append(cancel(engine, run))
        assert is_gone(pid)
    yield Row("cancel, hostile code, slowest", max(seconds), "s", 2.0, "limit")


def cancel(engine, run):
    before = time.monotonic()
    engine.service.cancel(LOCAL, run.id, keep_partial=True)
    ring(engine.settings.data_dir)
    engine.wait(run, seconds=5)
    return time.monotonic() - before


def cost(engine, worker):
    family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children()]

    def cpu():
        return sum(sum(p.cpu_times()[:4]) for p in family)

    count = 200
    runs = [engine.submit("nothing") for _ in range(count)]  # submitting is not the engine's cost
    before, start = cpu(), time.monotonic()
    until(lambda: not engine.store.queue().queued, 60, "the queue is empty")
    for run in runs[-8:]:
        engine.wait(run)
    elapsed = time.monotonic() - start
    yield Row("cost of a run that does nothing", 1e3 * (cpu() - before) / count, "ms CPU", 25, "limit")
    yield Row("runs a second", count / elapsed, "/s", 60, "limit", more_is_better=True)


def dying(engine, worker):
    run = submit(engine, "sleeping")
    pid = engine.wait_progress(run).pid
    before = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    engine.wait(run)
    yield Row("run's process killed to recorded", time.monotonic() - before, "s", 1.0, "limit")
    run = submit(engine, "steps", {"count": 1000, "seconds": 0.02})
    pid = engine.wait_progress(run, "stepping", 2).pid
    before = time.monotonic()
    worker.kill()
    worker.wait()
    until(lambda: is_gone(pid), 5, "its child is gone")
    gone = time.monotonic() - before
    engine.start_worker(waits=False)
    engine.wait_attempt(run, 2)
    yield Row("worker killed to its child gone", gone, "s", 2.0, "limit")
    yield Row("worker killed to its run going again, same host", time.monotonic() - before, "s", 3.0, "limit")
