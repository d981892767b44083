"""The fork server: warm, small, without a database, and therefore never late.

It has imported the numeric libraries and called every kernel once, forks a process for each run, and is
its executioner: what passes the deadline on its panel is killed with all it started, even while the
worker is stopped or waits for the database. When the worker dies, everything here dies.

    python -m pitboss.worker.forkserver CONTROL_FD LIFELINE_FD OPTIONS      started by `forkclient.ForkClient`
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pitboss.core import panel as cells
from pitboss.core.clock import boot_nanoseconds
from pitboss.core.places import place_caches
from pitboss.core.python import extend_path
from pitboss.worker.processes import (
    OOM_FORK_SERVER,
    adopt_orphans,
    children_of_this,
    group_exists,
    kill_family,
    kill_orphans,
    offer_to_the_kernel,
)
from pitboss.worker.runfile import Panel, read_order
from pitboss.worker.runprocess import Ways, run_and_exit

TICK_SECONDS = 0.02
PASSING = 3  # exit code when the system has refused something; any other says that the code to be loaded is wrong


@dataclass
class Child:
    """A run's process as the fork server knows it."""

    run_id: str
    token: str
    pid: int
    panel: Panel
    is_doomed: bool = False


class ForkServer:
    """Forks, watches deadlines, reaps, and tells the worker of every exit."""

    def __init__(self, control: socket.socket, lifeline: int) -> None:
        self.control = control
        self.lifeline = lifeline
        self.children: dict[int, Child] = {}
        self.wake_read, self.wake_write = os.pipe()
        for fd in (self.wake_read, self.wake_write):
            os.set_blocking(fd, False)

    def serve(self) -> None:
        """Say that all is ready, then serve until the worker is gone."""
        self.tell({"type": "ready"})
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            for source in (self.control, self.lifeline, self.wake_read):
                selector.register(source, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select(TICK_SECONDS if self.children else None)}
                if self.lifeline in ready:
                    self.end()
                if self.wake_read in ready:
                    os.read(self.wake_read, 4096)
                if self.control in ready:
                    self.hear()
                self.execute_the_late()
                self.reap()

    def end(self) -> None:
        """The worker is gone: nothing may outlive it."""
        for pid in list(self.children):
            kill_family(pid)
        kill_orphans(set(), set())
        os._exit(0)

    def hear(self) -> None:
        """Do what the worker asks: fork a process, or say that this one is alive."""
        message, descriptors, _, _ = socket.recv_fds(self.control, 4096, 4)
        if not message:
            self.end()
        order = json.loads(message)
        if order.pop("type") == "ping":
            self.tell({"type": "alive"})
            return
        try:
            self.fork(order, descriptors)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            self.tell({"type": "refused", **order, "error": f"cannot fork: {reason}"})
        finally:
            for fd in descriptors:
                os.close(fd)

    def fork(self, order: dict[str, Any], descriptors: Sequence[int]) -> None:
        if len(descriptors) < order.pop("descriptors"):  # the kernel leaves out what this process has no room for
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        run_file, log, *secrets, pipe = descriptors
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for fd in (self.control.fileno(), self.lifeline, self.wake_read, self.wake_write):
                os.close(fd)
            run_and_exit(read_order(run_file), Panel(run_file), Ways(pipe, log, *secrets), parent)
        self.children[pid] = Child(order["run_id"], order["token"], pid, Panel(run_file))
        self.tell({"type": "spawned", **order, "pid": pid})

    def execute_the_late(self) -> None:
        """Kill what is past the deadline on its panel, or past the lease of its worker."""
        now = boot_nanoseconds()
        for child in self.children.values():
            panel = child.panel
            if panel[cells.LEASE_UNTIL] and now > panel[cells.LEASE_UNTIL]:
                panel.kill_after(now - 1, cells.REASON_LEASE)
            if panel[cells.KILL_AT] and now > panel[cells.KILL_AT] and not child.is_doomed:
                child.is_doomed = True
                kill_family(child.pid)

    def reap(self) -> None:
        """Take leave of ended processes, and of whatever a run left running."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self.children.pop(pid, None)
            if child is None:
                continue
            if group_exists(pid):
                kill_family(pid)
            if len(children_of_this()) > len(self.children):
                kill_orphans(set(self.children), set(self.children))
            reason = child.panel[cells.KILL_REASON] if child.is_doomed else cells.REASON_NONE
            child.panel.close()
            self.tell(
                {
                    "type": "exited",
                    "run_id": child.run_id,
                    "token": child.token,
                    "pid": pid,
                    "code": os.waitstatus_to_exitcode(status),
                    "reason": reason,
                    "peak_kilobytes": usage.ru_maxrss,
                }
            )

    def tell(self, message: dict[str, Any]) -> None:
        try:
            self.control.send(json.dumps(message).encode())
        except OSError:
            self.end()


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    lifeline = int(sys.argv[2])
    for fd in (control.fileno(), lifeline):
        os.set_inheritable(fd, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the worker ends its runs first, then this
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the worker reads one of them
    adopt_orphans()
    offer_to_the_kernel(OOM_FORK_SERVER)
    options = json.loads(sys.argv[3])
    place_caches(Path(options["data_dir"]))
    extend_path(options["python_path"])
    try:
        load(options["preload"])
        load_jobs(options["jobs"])
    except Exception as error:
        traceback.print_exc()  # its last line is what people are told
        sys.exit(PASSING if isinstance(error, OSError | MemoryError) else 1)
    gc.collect()
    gc.freeze()  # keeps the collector from touching, and so copying, every page in each child
    ForkServer(control, lifeline).serve()


def load(modules: Sequence[str]) -> None:
    """Import what runs need, and have it warm up."""
    for name in modules:
        module = importlib.import_module(name)
        if hasattr(module, "warm_up"):
            module.warm_up()


def load_jobs(modules: Sequence[str]) -> None:
    """Import what runs begin with. One that fails does so again in its run, which tells why."""
    for name in modules:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit):
            traceback.print_exc()


if __name__ == "__main__":
    main()
