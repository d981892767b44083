"""The worker's side of one fork server: starts it, orders processes, hears of their exits and of its own troubles."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pitboss.core.python import NEUTRAL_FOLDER, command_of, own_environment
from pitboss.worker.processes import kill_family
from pitboss.worker.runfile import Panel, write_run_file, write_secrets

logger = logging.getLogger("pitboss.worker")

PIPE_BYTES = 1 << 20
CLOSE_SECONDS = 5.0
LAST_WORDS = 20  # lines
_F_SETPIPE_SZ = 1031
# one thread for linear algebra: the run's own threads are what uses the cores
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class ForkOptions:
    """What a fork server is told: the modules that it has loaded, those of jobs, and where else modules may be found.

    It does not start without the former; a job's module that does not load is that job's trouble."""

    preload: Sequence[str]
    jobs: Sequence[str]
    data_dir: Path
    python_path: Sequence[str] = ()

    def as_json(self) -> str:
        return json.dumps(asdict(self) | {"data_dir": str(self.data_dir)})


@dataclass
class ForkClient:
    """Owns one fork server. Not thread-safe. Raises OSError when none can be started."""

    options: ForkOptions
    is_ready: bool = False
    control: socket.socket = field(init=False)
    process: subprocess.Popen[bytes] = field(init=False)
    _said: deque[str] = field(init=False, default_factory=lambda: deque(maxlen=LAST_WORDS))
    _unfinished: bytes = field(init=False, default=b"")

    def __post_init__(self) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        lifeline = -1
        with contextlib.ExitStack() as undo:
            undo.callback(self.control.close)
            undo.callback(theirs.close)
            lifeline, self._lifeline = os.pipe()
            undo.callback(os.close, self._lifeline)
            try:
                self.process = self._start(theirs, lifeline)
            finally:
                os.close(lifeline)
            undo.pop_all()
        theirs.close()
        self.control.setblocking(False)
        os.set_blocking(self.errors, False)

    def _start(self, control: socket.socket, lifeline: int) -> subprocess.Popen[bytes]:
        described = (str(control.fileno()), str(lifeline), self.options.as_json())
        return subprocess.Popen(
            command_of("pitboss.worker.forkserver", *described), pass_fds=(control.fileno(), lifeline),
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=own_environment(**_ONE_THREAD),
            cwd=NEUTRAL_FOLDER, start_new_session=True,
        )  # fmt: skip

    @property
    def errors(self) -> int:
        """The descriptor of what it writes for people."""
        assert self.process.stderr is not None
        return self.process.stderr.fileno()

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def spawn(self, order: dict[str, Any], log: int, secrets: Mapping[str, str]) -> tuple[Panel, int]:
        """Order a process; answer its panel and the end of the pipe it will speak into. Its secrets never lie in a
        file. Raises OSError."""
        given = [write_run_file(order, self.options.data_dir), log]
        try:
            if secrets:
                given.append(write_secrets(secrets))
            return self._send(given, {"type": "fork", "run_id": order["run_id"], "token": order["token"]})
        finally:
            for descriptor in (given[0], *given[2:]):
                os.close(descriptor)

    def _send(self, given: Sequence[int], message: dict[str, Any]) -> tuple[Panel, int]:
        ours, theirs = os.pipe()
        panel = None
        try:
            if sys.platform == "linux":
                with contextlib.suppress(OSError):  # a user's pipes may not hold more than so much in all
                    fcntl.fcntl(ours, _F_SETPIPE_SZ, PIPE_BYTES)
            os.set_blocking(ours, False)
            panel = Panel(given[0])
            message["descriptors"] = len(given) + 1
            socket.send_fds(self.control, [json.dumps(message).encode()], [*given, theirs])
            return panel, ours
        except OSError:
            os.close(ours)
            if panel is not None:
                panel.close()
            raise
        finally:
            os.close(theirs)

    def ping(self) -> None:
        """Ask for a sign of life; it comes as a notice."""
        with contextlib.suppress(OSError):  # full: it has not read the last ones, and its silence will tell
            self.control.send(b'{"type": "ping"}')

    def notices(self) -> list[dict[str, Any]]:
        """Answer what the fork server told since the last call: that it is ready or alive, and of its processes."""
        found: list[dict[str, Any]] = []
        while True:
            try:
                message = self.control.recv(65_536)
            except (BlockingIOError, ConnectionError):
                return found
            found.append(json.loads(message))

    def listen(self) -> None:
        """Take down what it writes for people, line by line, into the log."""
        while chunk := self._read_errors():
            *lines, self._unfinished = (self._unfinished + chunk).split(b"\n")
            for line in lines:
                self._note(line)

    def _read_errors(self) -> bytes:
        try:
            return os.read(self.errors, 65_536)
        except BlockingIOError:
            return b""

    def _note(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            self._said.append(text)
            logger.warning("the fork server says", extra={"line": text})

    def last_words(self) -> str:
        """Answer why it ended, as far as it can be told: its last line, its signal, or its exit code."""
        self.listen()
        self._note(self._unfinished)
        self._unfinished = b""
        code = self.process.returncode
        if code is not None and code < 0:
            return f"killed by {_signal_name(-code)}"
        return self._said[-1].removeprefix(f"{sys.executable}: ") if self._said else f"exit code {code}"

    def close(self) -> None:
        """End the fork server and every process it started, wait for that, and let go of it."""
        os.close(self._lifeline)
        self.control.close()
        try:
            self.process.wait(timeout=CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._close_errors()

    def discard(self) -> None:
        """Kill the fork server, dead or silent, and let go of it; its processes die with it."""
        self.kill()
        os.close(self._lifeline)
        self.control.close()
        self._close_errors()

    def kill(self) -> None:
        """Kill it with all it started; one that the kernel holds frozen is not waited for."""
        kill_family(self.process.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=0.5)

    def _close_errors(self) -> None:
        assert self.process.stderr is not None
        self.process.stderr.close()


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
