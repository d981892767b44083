"""No disk, no right to write, no descriptors: no false success, a clear message, and recovery without help."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import psycopg
import pytest

from faults import journal
from faults.scenarios import check_log
from pitboss.core.errors import DiskFull, StorageUnavailable
from pitboss.core.principal import LOCAL
from pitboss.worker import runfile
from support import faults
from support.engine import Engine, is_gone, until
from support.privileges import may_mount, needs
from support.server import Server, free_port
from support.servers import PostgresServer

as_root = needs(may_mount(), "mounting needs root on Linux")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own that is soon full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder) -> None:
    # without a buffer nothing is left to be written when it closes
    with (folder / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 65_536)


@as_root
def test_a_full_disk_fails_nothing_silently_and_heals_by_itself(small_disk, tmp_path):
    path = tmp_path / "journal"
    with Engine(small_disk) as engine:
        faults.make_bars(engine)
        engine.start_worker()
        going = engine.submit("journaled", {"count": 150, "seconds": 0.05, "journal": str(path)})
        engine.wait_progress(going, "stepping", 5)
        fill(small_disk)
        with pytest.raises(DiskFull) as refused:
            while True:  # what is left of the last page of the log may still take one or two
                engine.submit("nothing", {"text": "x" * 10_000})
        assert "disk" in refused.value.message
        time.sleep(2.0)
        assert engine.service.get(LOCAL, going.id).state != "completed"
        (small_disk / "ballast").unlink()
        ended = engine.wait(going, seconds=40)
        assert ended.state == "completed", ended.error
        check_log(engine, ended)
        journal.assert_no_overlap(path)
        assert (
            engine.wait(engine.submit("backtest", faults.backtest_params() | {"symbols": ["SHORT"]})).state
            == "completed"
        )


@as_root
def test_results_that_do_not_fit_fail_the_run_and_say_so(small_disk):
    with Engine(small_disk) as engine:
        engine.start_worker()
        run = engine.submit("heavy_artifact", {"megabytes": 100})
        ended = engine.wait(run)
        assert (ended.state, ended.result) == ("failed", None)
        assert "cannot write big.bin" in ended.error["message"]
        assert "disk" in ended.error["remedy"]
        assert engine.service.artifacts(LOCAL, run.id) == []
        assert engine.wait(engine.submit("heavy_artifact", {"megabytes": 1})).state == "completed"


def test_a_read_only_database_is_said_and_runs_go_on_when_it_is_mended(tmp_path):
    path = tmp_path / "journal"
    folder = Path("/tmp") / f"pitboss-read-only-{os.getpid()}"
    postgres = PostgresServer(folder, free_port())
    postgres.start()
    with Engine(tmp_path, database_url=postgres.url(), lease_seconds=3.0, renew_seconds=0.5) as engine:
        engine.start_worker()
        run = engine.submit("journaled", {"count": 100, "seconds": 0.05, "journal": str(path)})
        first = engine.wait_progress(run, "stepping", 5)
        make_read_only(postgres, "on")
        until(lambda: is_gone(first.pid), 4, "its process ends before the lease does")
        with pytest.raises(StorageUnavailable) as refused:
            engine.submit("nothing")
        assert "read-only" in refused.value.message
        assert "default_transaction_read_only" in refused.value.remedy
        make_read_only(postgres, "off")
        ended = engine.wait(run, seconds=40)
        assert (ended.state, ended.attempt) == ("completed", 2), ended.error
        check_log(engine, ended)
        journal.assert_no_overlap(path)
    postgres.stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)


def test_a_watch_at_the_terminal_outlasts_a_restart_of_the_database(tmp_path):
    folder = Path("/tmp") / f"pitboss-watched-{os.getpid()}"
    postgres = PostgresServer(folder, free_port())
    postgres.start()
    with Engine(tmp_path, database_url=postgres.url()) as engine:
        engine.start_worker()
        run = engine.submit("steps", {"count": 100, "seconds": 0.05})
        command = [sys.executable, "-m", "pitboss.cli.main", "runs", "watch", run.id, "--data-dir", str(tmp_path)]
        environment = os.environ | {"PITBOSS_DATABASE_URL": postgres.url(), "PITBOSS_LOCAL_WORKER": "0"}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as watching:
            read_until("stepping", watching.stderr)
            postgres.stop()
            read_until("waiting", watching.stderr)
            postgres.start()
            told, _ = watching.communicate(timeout=60)
            assert (watching.returncode, "completed" in told) == (0, True)
    postgres.stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)


def read_until(word: str, lines: IO[str]) -> None:
    """Read a command's lines up to the one that holds `word`."""
    while word not in (said := lines.readline()):
        assert said, f"it ended without {word!r}"


def make_read_only(postgres: PostgresServer, how: str) -> None:
    """What a failover leaves behind: a server that refuses to write."""
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {how}")
        connection.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("spare", [0, 1])
def test_a_worker_without_descriptors_says_so_and_works_again_when_it_has_some(tmp_path, spare):
    with Engine(tmp_path) as engine:
        worker = engine.start_worker()
        assert engine.wait(engine.submit("nothing")).state == "completed"
        used = len(os.listdir(f"/proc/{worker.pid}/fd"))
        before = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (used + spare, before[1]))
        run = engine.submit("nothing")
        until(
            lambda: (place := engine.service.place(run)) and "Too many open files" in place.waiting_reason,
            10,
            "it waits and says why",
        )
        assert "cannot be started" in engine.service.place(run).waiting_reason
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, before)
        assert engine.wait(run).state == "completed"
        assert engine.wait(engine.submit("nothing")).state == "completed"
        check_log(engine, engine.service.get(LOCAL, run.id))
        assert worker.poll() is None


@as_root
def test_shared_memory_that_is_full_is_done_without(tmp_path):
    """The worker's own `/dev/shm` has no room left: the panels of runs lie in the data folder."""
    script = 'mount -t tmpfs -o size=4k tmpfs /dev/shm && (head -c 8k /dev/zero > /dev/shm/full; true) && exec "$@"'
    with Engine(tmp_path) as engine:
        engine.start_worker(on=lambda command: ["unshare", "--mount", "sh", "-c", script, "sh", *command])
        ended = engine.wait(engine.submit("steps", {"count": 3, "seconds": 0.01}))
        assert (ended.state, ended.attempt) == ("completed", 1), ended.error


def test_where_a_runs_own_file_has_no_room_every_place_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(runfile, "SHARED_MEMORY", tmp_path / "nowhere")
    with pytest.raises(OSError, match=r"nowhere.*gone") as refused:
        runfile.write_run_file({}, tmp_path / "gone")
    assert "No such file" in refused.value.strerror


@as_root
def test_bars_that_do_not_fit_on_the_disk_are_refused_as_such(small_disk):
    with Server(small_disk) as server:
        fill(small_disk)
        answer = server.http.put(
            "/data/SYN/1d", content=b"ts,open,high,low,close\n" + b"2024-01-01,1,1,1,1\n" * 200_000
        )
        assert (answer.status_code, answer.json()["title"]) == (507, "disk full"), answer.text
        assert answer.json()["remedy"]
        (small_disk / "ballast").unlink()
        answer = server.http.put("/data/SYN/1d", content=b"ts,open,high,low,close\n2024-01-01,1,1,1,1\n")
        assert answer.status_code == 200, answer.text
