"""A real `pitboss serve` in a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import httpx
import psutil

from support.engine import until

STRATEGY = """\
name: ema-cross
timeframe: 5m
indicators:
  fast: ema(close, fast_period)
  slow: ema(close, slow_period)
entry:
  long: crosses_above(fast, slow)
  short: crosses_below(fast, slow)
exit:
  long: crosses_below(fast, slow)
  short: crosses_above(fast, slow)
risk: {stop_loss: 2 * atr(14), take_profit: 3%}
sizing: {type: percent_equity, value: 50%}
costs: {commission: 0.01%, slippage: 0.005%}
parameters:
  fast_period: {default: 12, low: 2, high: 100}
  slow_period: {default: 48, low: 2, high: 400}
"""


def pitboss(*arguments: object, data_dir: Path | None = None, **options) -> subprocess.CompletedProcess:
    """Run one command of the program and answer what it printed."""
    command = [sys.executable, "-m", "pitboss.cli.main", *map(str, arguments)]
    if data_dir is not None:
        command += ["--data-dir", str(data_dir)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def pitboss_here(*arguments: object, data_dir: Path | None = None) -> subprocess.CompletedProcess:
    """The same inside this process, for tests that run many commands: nothing is imported anew."""
    from pitboss.cli.main import app, report

    words = [str(word) for word in arguments] + (["--data-dir", str(data_dir)] if data_dir is not None else [])
    out, complaints, umask = io.StringIO(), io.StringIO(), os.umask(0o022)
    os.umask(umask)
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaints):
        try:
            app(words)
        except SystemExit as end:
            code = end.code or 0
        except Exception as error:
            code = report(error)
        finally:
            os.umask(umask)
    return subprocess.CompletedProcess(words, code, out.getvalue(), complaints.getvalue())


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """Starts, kills and restarts a server over one data folder."""

    flags = ("--slots", "2")
    python = sys.executable

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.environment = os.environ | {"PITBOSS_MIN_FREE_DISK_MB": "0"} | environment
        self.process: subprocess.Popen | None = None
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}/api/v1", timeout=20)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=30)
        for worker in self.worker_pids():
            os.kill(worker, signal.SIGKILL)

    def start(self) -> None:
        with (self.data_dir / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "pitboss.cli.main", "serve", "--port", str(self.port),
                 "--data-dir", str(self.data_dir), *self.flags],
                stdout=log, stderr=log, env=self.environment,
            )  # fmt: skip
        until(self.is_ready, 30, "the server is ready")

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(json.load(answer)["workers"])
        except OSError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def memory(self) -> int:
        """Answer the bytes that are resident."""
        assert self.process is not None
        return psutil.Process(self.process.pid).memory_info().rss

    def worker_pids(self) -> list[int]:
        """Answer the workers of this data folder that are alive."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            try:
                if "worker" in (process.info["cmdline"] or []) and process.status() != psutil.STATUS_ZOMBIE:
                    if process.environ().get("PITBOSS_DATA_DIR") == str(self.data_dir):
                        found.append(process.pid)
            except psutil.Error:
                continue
        return found

    def submit(self, kind: str, **params: object) -> dict:
        body = {"kind": kind, "params": {"strategy": STRATEGY, "symbols": ["SYN"], "timeframe": "5m", **params}}
        answer = self.http.post("/runs", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def get(self, run_id: str) -> dict:
        return self.http.get(f"/runs/{run_id}").json()

    def wait(self, run_id: str, seconds: float = 60.0) -> dict:
        def ended() -> dict | None:
            run = self.get(run_id)
            return run if run["ended_at"] else None

        found = until(ended, seconds, "the run ends")
        assert isinstance(found, dict)
        return found


class ApiServer(Server):
    """One of several servers, without a worker of its own."""

    flags = ("--no-worker",)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz").status_code == 200
        except httpx.TransportError:
            return False
