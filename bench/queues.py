"""The same five figures for job queues that people know, with their defaults, on the same machine in the same run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import engine as figures
import psutil
from table import Row

from pitboss.core.principal import LOCAL
from support.engine import Engine, is_gone, until

HERE = Path(__file__).parent
PEERS = HERE.parent / ".bench-venv" / "bin" / "python"
OBSERVE_SECONDS = 60


def rows():
    told = subprocess.run([PEERS, HERE / "peers" / "queues.py"], stdout=subprocess.PIPE, check=True, text=True)
    ours = own_figures()
    for name, theirs in json.loads(told.stdout).items():
        if theirs:
            yield from compared(f"{name} {theirs['version']}", ours, theirs)


def compared(peer, ours, theirs):
    yield Row("submit to the first line, p95", ours["first_line_p95_ms"], "ms", theirs["first_line_p95_ms"], peer)
    yield Row("an empty run", ours["cpu_ms"], "ms CPU", theirs["cpu_ms"], peer)
    yield Row("empty runs a second", ours["per_second"], "/s", theirs["per_second"], peer, more_is_better=True)
    known, gone = theirs["killed_known_seconds"], theirs["cancel_gone_seconds"]
    late = "" if known else f", which shows nothing within {OBSERVE_SECONDS} s"
    yield Row(
        "worker killed to its job known as dead",
        ours["killed_known_seconds"],
        "s",
        known or OBSERVE_SECONDS,
        peer + late,
    )
    late = "" if gone else ", where it goes on"
    yield Row("cancelled busy loop really gone", ours["cancel_gone_seconds"], "s", gone or 20, peer + late)


def own_figures():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, Engine(Path(folder), slots=2) as engine:
        worker = engine.start_worker()
        engine.wait(engine.submit("nothing"))
        first = next(iter(figures.starting(engine)))
        cost, speed = figures.cost(engine, worker)
        gone = []
        for _ in range(5):
            run = figures.submit(engine, "deaf_loop")
            pid = engine.wait_progress(run).pid
            asked = time.monotonic()
            engine.service.cancel(LOCAL, run.id, keep_partial=False)
            until(lambda pid=pid: is_gone(pid), 5, "the loop is gone")
            gone.append(time.monotonic() - asked)
        return {
            "first_line_p95_ms": first.value, "cpu_ms": cost.value, "per_second": speed.value,
            "killed_known_seconds": killed_to_known(engine, worker), "cancel_gone_seconds": sorted(gone)[2],
        }  # fmt: skip


def killed_to_known(engine, worker):
    """Kill the whole family of a worker while another one is alive."""
    engine.start_worker()
    runs = [figures.submit(engine, "steps", {"count": 10_000, "seconds": 0.05}) for _ in range(4)]
    held = [engine.wait_progress(run, "stepping", 1) for run in runs]
    (victim,) = [run for run in held if run.worker_id == worker_id_of(engine, worker)][:1]
    family = psutil.Process(worker.pid).children(recursive=True)
    for process in (psutil.Process(worker.pid), *family):
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    killed = time.monotonic()
    until(lambda: engine.service.get(LOCAL, victim.id).attempt == 2, OBSERVE_SECONDS, "the death is known")
    return time.monotonic() - killed


def worker_id_of(engine, worker):
    return next(info.id for info in engine.service.workers() if info.pid == worker.pid)
