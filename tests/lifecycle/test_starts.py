"""Every start that fails has a verdict: whoever waits or asks is told why, little is spent on it, and it heals."""

from __future__ import annotations

import html
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from support.breakable import Installation, WaitingCommand
from support.engine import until
from support.privileges import control_group, may_group, needs
from support.server import ApiServer, free_port

TOLD_SECONDS = 12.0  # three on an idle machine; here the other core may be at anything
HEALED_SECONDS = 60.0


@dataclass(frozen=True)
class Fault:
    """One way in which a start fails: how it is brought about and undone, and words of the reason that is told."""

    begin: Callable[[Installation], object]
    reason: str
    end: Callable[[Installation], object] = Installation.mend


def broken(part: str, how: str) -> Callable[[Installation], None]:
    return lambda home: home.break_into(part, how)


def in_the_way(name: str, is_folder: bool = False) -> Callable[[Installation], None]:
    def put(home: Installation) -> None:
        path = home.data_dir / name
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if is_folder else path.write_text("in the way")

    return put


def out_of_the_way(name: str) -> Callable[[Installation], None]:
    def remove(home: Installation) -> None:
        path = home.data_dir / name
        path.rmdir() if path.is_dir() else path.unlink()

    return remove


def mend_and_kill_the_hung(home: Installation) -> None:
    home.mend()
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", "31337"]:
            process.kill()


FAULTS = {
    "a worker that crashes": Fault(broken("worker", "kill -SEGV $$"), "killed by SIGSEGV"),
    "a worker that ends without a word": Fault(broken("worker", "exit 7"), "exit code 7"),
    "a worker that says why it ends": Fault(broken("worker", "echo the wheel is square >&2; exit 1"), "wheel is square"),
    "a worker whose packages are gone": Fault(broken("worker", 'set -- -S "$@"'), "No module named"),
    "a worker that hangs": Fault(broken("worker", "exec sleep 31337"), "takes long to start", mend_and_kill_the_hung),
    "a worker without descriptors": Fault(broken("worker", "ulimit -n 7"), "Too many open files"),
    "a worker without memory": Fault(broken("worker", "ulimit -v 60000"), "the worker"),
    "a worker that may write no file": Fault(broken("worker", "trap '' XFSZ; ulimit -f 0"), "the worker"),
    "an interpreter that is gone": Fault(
        lambda home: home.python.rename(home.folder / "away"), "the worker cannot be started",
        lambda home: (home.folder / "away").rename(home.python),
    ),
    "a folder where the log should be": Fault(
        in_the_way("logs/worker.log", is_folder=True), "Is a directory", out_of_the_way("logs/worker.log")
    ),
    "a file where the folder of logs should be": Fault(in_the_way("logs"), "File exists", out_of_the_way("logs")),
    "a file where the logs of runs should be": Fault(
        in_the_way("logs/runs"), "runs cannot be started", out_of_the_way("logs/runs")
    ),
    "a fork server that crashes": Fault(broken("forks", "kill -SEGV $$"), "killed by SIGSEGV"),
    "a fork server that ends without a word": Fault(broken("forks", "exit 7"), "exit code 7"),
    "a fork server whose packages are gone": Fault(broken("forks", 'set -- -S "$@"'), "No module named"),
    "a fork server that hangs": Fault(broken("forks", "exec sleep 31337"), "takes long", mend_and_kill_the_hung),
    "a fork server without descriptors": Fault(broken("forks", "ulimit -n 8"), "Too many open files"),
    "a fork server without memory": Fault(broken("forks", "ulimit -v 300000"), "the fork server cannot start"),
    "a fork server that is killed at its start": Fault(broken("forks", "kill -KILL $$"), "killed by SIGKILL"),
}  # fmt: skip


@pytest.fixture
def home(tmp_path):
    installed = Installation(tmp_path / "home")
    made = installed.pitboss("data", "synth", "-s", "SYN", "-t", "5m", "--days", 30)
    assert made.returncode == 0, made.stderr
    assert installed.pitboss("runs", "list").returncode == 0
    yield installed
    installed.close()


@pytest.mark.parametrize("name", FAULTS)
def test_a_start_that_fails_is_told_to_all_who_ask_and_heals_by_itself(home, name):
    fault = FAULTS[name]
    with ApiServer(home.data_dir) as api:
        if not name.startswith("an interpreter"):
            fault.begin(home)
        waiting = WaitingCommand(home, "backtest", home.strategy, "-s", "SYN")
        if name.startswith("an interpreter"):
            until(lambda: waiting.process.poll() is None and home.processes(), 10, "the command has begun")
            fault.begin(home)
        until(lambda: fault.reason in waiting.said(), TOLD_SECONDS, f"the command that waits says '{fault.reason}'")
        told = api.http.get(f"http://127.0.0.1:{api.port}/readyz")
        assert (told.status_code, fault.reason in told.json()["detail"]) == (503, True), told.text
        if not name.startswith("an interpreter"):
            assert fault.reason in home.pitboss("queue").stdout
            examined = home.pitboss("doctor")
            assert (examined.returncode, fault.reason in examined.stdout) == (1, True), examined.stdout
        page = api.http.get(f"http://127.0.0.1:{api.port}/", headers={"Accept": "text/html"}).text
        assert fault.reason in html.unescape(page)
        assert "Traceback" not in waiting.said()
        fault.end(home)
        assert waiting.process.wait(timeout=HEALED_SECONDS) == 0, waiting.said()
        until(lambda: api.http.get(f"http://127.0.0.1:{api.port}/readyz").status_code == 200, 10, "all is well")


@needs(may_group("pids"), "control groups need root on Linux")
def test_a_process_that_cannot_be_forked_is_told(home):
    with ApiServer(home.data_dir) as api, control_group("pids") as group:
        home.break_into("forks", f"echo $$ > {group}/cgroup.procs")
        assert home.pitboss("backtest", home.strategy, "-s", "SYN").returncode == 0
        (group / "pids.max").write_text((group / "pids.current").read_text())
        waiting = WaitingCommand(home, "backtest", home.strategy, "-s", "SYN")
        until(lambda: "cannot fork: Resource temporarily" in waiting.said(), TOLD_SECONDS, "it says why")
        told = api.http.get(f"http://127.0.0.1:{api.port}/readyz")
        assert (told.status_code, "cannot" in told.json()["detail"]) == (503, True), told.text
        (group / "pids.max").write_text("max")
        assert waiting.process.wait(timeout=HEALED_SECONDS) == 0, waiting.said()


@pytest.mark.parametrize("kind", ["a file", "a folder", "a folder with something in it", "a dangling link"])
def test_what_is_no_doorbell_is_replaced_or_done_without(home, kind):
    bell = home.data_dir / "doorbell"
    bell.unlink(missing_ok=True)
    match kind:
        case "a file":
            bell.write_text("restored from a backup")
        case "a dangling link":
            bell.symlink_to("/nowhere/bell")
        case _:
            bell.mkdir()
            if "something" in kind:
                (bell / "clapper").touch()
    done = home.pitboss("backtest", home.strategy, "-s", "SYN")
    assert done.returncode == 0, done.stderr
    assert bell.is_fifo() or kind == "a folder with something in it"


def test_runs_fail_in_the_end_where_nothing_will_get_better(home, monkeypatch):
    home.break_into("forks", 'set -- -S "$@"')
    waiting = WaitingCommand(home, "backtest", home.strategy, "-s", "SYN")
    assert waiting.process.wait(timeout=120) == 1
    assert "No module named" in waiting.said()
    home.mend()
    assert home.pitboss("runs", "retry", "latest").returncode == 0
    assert home.pitboss("runs", "watch", "latest").returncode == 0


def test_a_failing_start_costs_little(home):
    """Five per cent of a core is what the tries and those who wait may take together, the first try apart."""
    home.break_into("worker", 'set -- -S "$@"')
    waiting = WaitingCommand(home, "backtest", home.strategy, "-s", "SYN")
    until(lambda: "No module named" in waiting.said(), TOLD_SECONDS, "it says why")
    spent: dict[int, float] = {}
    start = time.monotonic()
    before = psutil.Process(waiting.process.pid).cpu_times()
    while time.monotonic() - start < 12.0:
        for process in home.processes():
            try:
                times = process.cpu_times()
                spent[process.pid] = times.user + times.system + times.children_user + times.children_system
            except psutil.Error:
                continue
        time.sleep(0.2)
    spent[waiting.process.pid] -= before.user + before.system + before.children_user + before.children_system
    assert sum(spent.values()) < 2 * 0.05 * 12.0, spent  # twice: this machine may be at anything, too


def failed(home: Installation, *arguments: object) -> str:
    done = home.pitboss(*arguments, seconds=30)
    assert done.returncode not in (0, 1), done.stdout
    assert "→" in done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_server_that_cannot_start_says_why(home):
    with ApiServer(home.data_dir) as api:
        assert "is pitboss running there already" in "".join(
            home.pitboss("serve", "--port", api.port).stderr.splitlines()
        )
    database = home.data_dir / "pitboss.db"
    kept = database.read_bytes()
    for name in ("pitboss.db-wal", "pitboss.db-shm"):
        (home.data_dir / name).unlink(missing_ok=True)
    database.write_bytes(b"this is no database, but long enough to look like one" * 100)
    assert "file is not a database" in failed(home, "serve", "--port", free_port())
    database.write_bytes(kept)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "newer than this program" in failed(home, "serve", "--port", free_port())
    (home.data_dir / "pitboss.toml").write_text("slots = ")
    assert "pitboss.toml" in failed(home, "serve", "--port", free_port())
    shutil.rmtree(home.data_dir)
    home.data_dir.write_text("a file")
    assert str(home.data_dir) in failed(home, "serve", "--port", free_port())


def test_a_worker_under_a_server_that_cannot_start_is_tried_rarely_and_told(home):
    home.break_into("worker", 'set -- -S "$@"')
    environment = home.environment | {"PITBOSS_DATA_DIR": str(home.data_dir)}
    port = free_port()
    with (home.folder / "serve.log").open("w") as log:
        server = subprocess.Popen(
            home.command("serve", "--port", port), stderr=log, stdout=log, env=environment, cwd=home.folder
        )
    try:

        def told() -> bool:
            try:
                return "No module named" in httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).text
            except httpx.TransportError:
                return False

        until(told, 30, "readiness tells why there is no worker")
        time.sleep(5.0)
        tries = (home.folder / "serve.log").read_text().count("no worker")
        assert tries <= 3, tries
        home.mend()
        until(
            lambda: httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200,
            HEALED_SECONDS,
            "it heals",
        )
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_nothing_of_the_current_folder_is_executed(home):
    """Files that look like modules of Python or of ours, beside the strategy: planted or innocent, none is imported."""
    trap = home.folder / "trap"
    trap.mkdir()
    for name in ("random", "signal", "queue", "platform", "polars", "numba", "sitecustomize", "usercustomize",
                 "structlog", "pitboss", "celery", "uvicorn", "psutil", "json", "site", "encodings"):  # fmt: skip
        (trap / f"{name}.py").write_text(f"open({str(trap / 'executed')!r}, 'a').write({name!r} + chr(10))\n")
    (trap / "ema.yaml").write_text(home.strategy.read_text())
    console = Path(sys.executable).with_name("pitboss")
    environment = home.environment | {"PITBOSS_DATA_DIR": str(home.data_dir)}
    done = subprocess.run([console, "backtest", "ema.yaml", "-s", "SYN"], cwd=trap, env=environment,
                          capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    port = free_port()
    server = subprocess.Popen(
        [console, "serve", "--port", str(port)], cwd=trap, stderr=subprocess.DEVNULL, env=environment
    )
    try:

        def is_up() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
            except httpx.TransportError:
                return False

        until(is_up, 30, "the server is up")
    finally:
        server.terminate()
        server.wait(timeout=30)
    assert not (trap / "executed").exists(), (trap / "executed").read_text()
