"""The worker's side of the fork server: starts it, orders processes, hears of their exits."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import psutil

from pitboss.worker.dossier import Panel, write_dossier
from pitboss.worker.processes import kill_family

PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


class Forge:
    """Owns one fork server. Not thread-safe."""

    def __init__(self, preload: Sequence[str]) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        lifeline_read, self._lifeline = os.pipe()
        # one thread for linear algebra: the run's own threads are what uses the cores
        environment = os.environ | dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pitboss.worker.forkserver",
                str(theirs.fileno()),
                str(lifeline_read),
                *preload,
            ],
            pass_fds=(theirs.fileno(), lifeline_read),
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        theirs.close()
        os.close(lifeline_read)
        self.control.setblocking(False)

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def spawn(self, order: dict[str, Any], log: int) -> tuple[Panel, int]:
        """Order a process; answer its panel and the end of the pipe it will speak into."""
        dossier = write_dossier(order)
        try:
            return self._send(dossier, {"run_id": order["run_id"], "token": order["token"]}, log)
        finally:
            os.close(dossier)

    def _send(self, dossier: int, message: dict[str, Any], log: int) -> tuple[Panel, int]:
        ours, theirs = os.pipe()
        panel = None
        try:
            if sys.platform == "linux":
                with contextlib.suppress(OSError):  # a user's pipes may not hold more than so much in all
                    fcntl.fcntl(ours, _F_SETPIPE_SZ, PIPE_BYTES)
            os.set_blocking(ours, False)
            panel = Panel(dossier)
            socket.send_fds(self.control, [json.dumps(message).encode()], [dossier, theirs, log])
            return panel, ours
        except OSError:
            os.close(ours)
            if panel is not None:
                panel.close()
            raise
        finally:
            os.close(theirs)

    def notices(self) -> list[dict[str, Any]]:
        """Answer what the fork server told since the last call: spawned and exited processes."""
        found: list[dict[str, Any]] = []
        while True:
            try:
                message = self.control.recv(65_536)
            except (BlockingIOError, ConnectionError):
                return found
            found.append(json.loads(message))

    def close(self) -> None:
        """End the fork server and every process it started."""
        os.close(self._lifeline)
        self.control.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            kill_family(self.process.pid)
            self.process.wait()

    def bury(self) -> None:
        """Clean up after a fork server that died: its children died with it, theirs are ended here."""
        for child in psutil.Process().children(recursive=True):
            kill_family(child.pid)
        os.close(self._lifeline)
        self.control.close()
