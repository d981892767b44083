"""What a machine does to its processes: clocks that go back over a reboot, too little memory, stopped processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from pitboss.core.principal import LOCAL
from support.engine import Engine, is_gone, until
from support.privileges import control_group, may_group, may_mount, needs
from support.server import STRATEGY, ApiServer, pitboss


@pytest.fixture
def engine(tmp_path):
    with Engine(tmp_path, checkpoint_seconds=0.1) as engine:
        yield engine


def fork_server_of(worker) -> psutil.Process:
    return next(
        child for child in psutil.Process(worker.pid).children() if "pitboss.worker.forkserver" in child.cmdline()
    )


def in_another_boot(command: list[str], shift: str) -> list[str]:
    """Answer a command that runs as if the machine had been booted another time, with a clock that is off."""
    found = find_spec("libfaketime")
    assert found, "libfaketime is not installed"
    library = next(Path(found.submodule_search_locations[0]).rglob("libfaketime.so.1"))
    boot = Path("/tmp") / f"pitboss-boot-{os.getpid()}"
    boot.write_text(f"{uuid.uuid4()}\n")
    mount = f"mount --bind {boot} /proc/sys/kernel/random/boot_id && exec env LD_PRELOAD={library} FAKETIME={shift} "
    return ["unshare", "--mount", "sh", "-c", f'{mount} DONT_FAKE_MONOTONIC=1 "$@"', "sh", *command]


@needs(may_mount(), "another boot needs root on Linux")
@pytest.mark.parametrize("shift", ["+3600", "-3600"])
def test_the_worker_of_another_boot_is_dead_whatever_the_clock_says(engine, tmp_path, shift):
    """The machine is switched off under a worker, and comes back with its clock an hour earlier, or later."""
    worker = engine.start_worker(on=lambda command: in_another_boot(command, shift))
    run = engine.submit("careful_steps", {"count": 100, "seconds": 0.05, "journal": str(tmp_path / "journal")})
    engine.wait_progress(run, "stepping", 5)
    (before,) = engine.service.workers()
    assert abs(before.silent_seconds) > 3000, "its clock is off"
    worker.kill()
    worker.wait()
    killed = time.monotonic()
    engine.start_worker(waits=False)
    engine.wait_attempt(run, 2, seconds=15)
    assert time.monotonic() - killed < 10.0
    assert engine.wait(run).state == "completed"
    assert [w.id for w in engine.service.workers()] != [before.id]


@needs(may_mount(), "another boot needs root on Linux")
def test_a_command_after_a_reboot_with_an_earlier_clock_starts_a_worker(engine):
    worker = engine.start_worker(on=lambda command: in_another_boot(command, "+3600"))
    engine.wait(engine.submit("nothing"))
    worker.kill()
    worker.wait()
    engine.platform.catalog  # noqa: B018  (the folder is in use)
    made = pitboss("data", "synth", "-s", "SYN", "-t", "5m", "--days", 30, data_dir=engine.settings.data_dir)
    assert made.returncode == 0, made.stderr
    (engine.settings.data_dir / "ema.yaml").write_text(STRATEGY)
    done = pitboss("backtest", engine.settings.data_dir / "ema.yaml", "-s", "SYN", data_dir=engine.settings.data_dir)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("asks", ["cancel", "work"])
def test_a_fork_server_that_is_stopped_is_replaced(engine, tmp_path, asks):
    worker = engine.start_worker()
    run = engine.submit("careful_steps", {"count": 200, "seconds": 0.05, "journal": str(tmp_path / "journal")})
    first = engine.wait_progress(run, "stepping", 5)
    stopped = fork_server_of(worker)
    stopped.suspend()
    asked = time.monotonic()
    if asks == "cancel":
        engine.service.cancel(LOCAL, run.id, keep_partial=True)
        ended = engine.wait(run, seconds=10)
        assert time.monotonic() - asked < 5.0
        assert (ended.state, ended.partial) == ("cancelled", True)
    else:
        engine.wait_attempt(run, 2, seconds=10)
        assert time.monotonic() - asked < 8.0
        assert engine.wait(run, seconds=30).state == "completed"
    assert is_gone(first.pid)
    assert is_gone(stopped.pid)
    assert worker.poll() is None
    assert engine.wait(engine.submit("nothing")).state == "completed"


@needs(may_group("freezer"), "control groups need root on Linux")
def test_a_fork_server_that_the_kernel_holds_frozen_is_done_without(engine, tmp_path):
    """A frozen process does not even die while it is frozen; its run goes on all the same, once."""
    worker = engine.start_worker()
    run = engine.submit("careful_steps", {"count": 100, "seconds": 0.05, "journal": str(tmp_path / "journal")})
    first = engine.wait_progress(run, "stepping", 5)
    frozen = fork_server_of(worker)
    with control_group("freezer") as group:
        (group / "cgroup.procs").write_text(str(frozen.pid))
        (group / "freezer.state").write_text("FROZEN")
        try:
            engine.wait_attempt(run, 2, seconds=15)
            assert is_gone(first.pid)
            assert engine.wait(run, seconds=30).state == "completed"
        finally:
            (group / "freezer.state").write_text("THAWED")
        until(lambda: is_gone(frozen.pid), 5, "it dies when it is thawed")
    assert worker.poll() is None


def test_sigterm_ends_a_worker_in_time_though_its_fork_server_is_stopped(engine):
    worker = engine.start_worker()
    runs = [engine.submit("sleeping"), engine.submit("steps", {"count": 1000, "seconds": 0.05})]
    pids = [engine.wait_progress(run).pid for run in runs]
    fork_server_of(worker).suspend()
    asked = time.monotonic()
    worker.terminate()
    assert worker.wait(timeout=20) == 0
    assert time.monotonic() - asked < 10.0
    assert all(is_gone(pid) for pid in pids)
    assert not engine.store.queue().active


def test_a_worker_that_was_stopped_itself_does_not_blame_its_fork_server(engine):
    worker = engine.start_worker()
    engine.wait(engine.submit("nothing"))
    server = fork_server_of(worker)
    worker.send_signal(signal.SIGSTOP)
    time.sleep(3.0)  # longer than a fork server may be silent
    worker.send_signal(signal.SIGCONT)
    assert engine.wait(engine.submit("nothing")).state == "completed"
    assert server.is_running()
    assert fork_server_of(worker).pid == server.pid


@needs(may_group("memory"), "control groups need root on Linux")
def test_the_kernel_ends_the_run_and_not_the_fork_server(engine):
    with control_group("memory", "memory.limit_in_bytes", str(700 << 20)) as group:
        worker = engine.start_worker(on=lambda command: within(group, command))
        engine.wait(engine.submit("nothing"))
        server = fork_server_of(worker)
        ended = engine.wait(engine.submit("hungry"), seconds=60)
        assert (ended.state, ended.error["kind"]) == ("failed", "memory")
        assert "out of memory" in ended.error["message"]
        assert server.is_running(), "the fork server was not the victim"
        assert engine.wait(engine.submit("nothing")).state == "completed"
        assert fork_server_of(worker).pid == server.pid
        worker.terminate()
        worker.wait(timeout=20)


@needs(may_group("memory"), "control groups need root on Linux")
def test_where_the_fork_server_itself_has_no_room_runs_fail_of_memory_after_three_tries(engine):
    with (
        ApiServer(engine.settings.data_dir) as api,
        control_group("memory", "memory.limit_in_bytes", str(98 << 20)) as group,
    ):
        worker = engine.start_worker(on=lambda command: within(group, command))
        run = engine.submit("numeric")
        until(lambda: "too little memory" in api.http.get(f"http://127.0.0.1:{api.port}/readyz").text, 20, "it is told")
        ended = engine.wait(run, seconds=120)
        assert (ended.state, ended.error["kind"]) == ("failed", "memory")
        assert worker.poll() is None
        (group / "memory.limit_in_bytes").write_text(str(900 << 20))
        assert engine.wait(engine.submit("numeric"), seconds=60).state == "completed"
        worker.terminate()
        worker.wait(timeout=20)


@needs(may_group("memory"), "control groups need root on Linux")
def test_a_run_whose_worker_dies_of_memory_again_and_again_fails_of_it(engine, tmp_path):
    run = engine.submit("careful_steps", {"count": 10_000, "seconds": 0.05, "journal": str(tmp_path / "journal")})
    for attempt in (1, 2, 3):
        with control_group("memory", "memory.limit_in_bytes", str(900 << 20)) as group:
            worker = engine.start_worker(on=lambda command, group=group: within(group, command))
            engine.wait_progress(engine.wait_attempt(run, attempt), "stepping", 3)
            assert engine.service.get(LOCAL, run.id).memory_kills == attempt - 1
            Path(f"/proc/{worker.pid}/oom_score_adj").write_text("1000")  # the kernel will choose the worker
            hog = within(group, [sys.executable, "-c", "hoard = bytearray(1 << 30)"])
            subprocess.run(hog, check=False, capture_output=True)
            assert worker.wait(timeout=10) == -signal.SIGKILL
    engine.start_worker()
    ended = engine.wait(run)
    assert (ended.state, ended.error["kind"], ended.attempt) == ("failed", "memory", 3)
    assert "for want of memory" in ended.error["message"]


def within(group: Path, command: list[str]) -> list[str]:
    return ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command]


@needs(may_group("memory"), "control groups need root on Linux")
def test_free_memory_and_cores_are_what_the_group_and_the_affinity_allow():
    asked = "from pitboss.core import machine as m; print(m.cores(), m.free_memory())"
    with control_group("memory", "memory.limit_in_bytes", str(300 << 20)) as group:
        told = subprocess.run(
            within(group, ["taskset", "-c", "0", sys.executable, "-c", asked]),
            capture_output=True,
            text=True,
            check=True,
        )
    cores, memory = map(int, told.stdout.split())
    assert cores == 1
    assert 100 << 20 < memory <= 300 << 20


@needs(may_mount(), "namespaces of processes need root on Linux")
def test_the_first_process_of_a_container_takes_leave_of_orphans(tmp_path):
    """`pitboss serve` as process 1: what others leave to it does not stay as a zombie, and SIGTERM ends it."""
    script = (
        "import os, subprocess, sys, time, urllib.request\n"
        "from pitboss.core.firstprocess import reap_as_the_first\n"
        "assert os.getpid() == 1\n"
        "reap_as_the_first()\n"
        "assert os.getppid() == 1\n"
        "subprocess.run(['sh', '-c', 'sleep 0.2 & sleep 0.2 & sleep 0.2 &'])\n"
        "time.sleep(1)\n"
        "states = [open(f'/proc/{pid}/stat').read().split()[2] for pid in os.listdir('/proc') if pid.isdigit()]\n"
        "print('Z' in states, len(states), flush=True)\n"
        "time.sleep(60)\n"
    )
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as container:
        assert container.stdout.readline().split()[0] == "False"
        first = psutil.Process(container.pid).children()[0]
        first.terminate()
        assert container.wait(timeout=10) == 128 + signal.SIGTERM
