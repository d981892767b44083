"""Every start that fails has a verdict: whoever waits or asks is told why, little is spent on it, and it heals."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from support.breakable import Installation, WaitingCommand
from support.engine import until
from support.server import ApiServer, free_port
from support.starts import FAULTS, HEALED_SECONDS, TOLD_SECONDS, assert_told_and_healed


@pytest.mark.parametrize("name", [name for name in FAULTS if "fork server" not in name])
def test_a_start_that_fails_is_told_to_all_who_ask_and_heals_by_itself(home, name):
    assert_told_and_healed(home, name)


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
