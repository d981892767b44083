"""The ways in which starts fail, and what must be told of each."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from support.breakable import Installation, WaitingCommand
from support.engine import until
from support.server import ApiServer

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


def assert_told_and_healed(home: Installation, name: str) -> None:
    """Break a start: whoever waits or asks must be told why, and all must be well by itself once it is mended."""
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
            examined = home.pitboss("doctor", "--json")
            assert examined.returncode == 1
            ill = {found["what"]: found["details"] for found in json.loads(examined.stdout) if not found["is_well"]}
            assert fault.reason in ill["workers"], ill
        page = api.http.get(f"http://127.0.0.1:{api.port}/", headers={"Accept": "text/html"}).text
        assert fault.reason in html.unescape(page)
        assert "Traceback" not in waiting.said()
        fault.end(home)
        assert waiting.process.wait(timeout=HEALED_SECONDS) == 0, waiting.said()
        until(lambda: api.http.get(f"http://127.0.0.1:{api.port}/readyz").status_code == 200, 10, "all is well")
