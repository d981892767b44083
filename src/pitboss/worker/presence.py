"""Whether a worker that is registered is still there, as far as that can be seen from here."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import psutil

from pitboss.runs.model import WorkerInfo
from pitboss.worker.processes import is_same_process


class Presence(Enum):
    """What can be seen of a worker's process."""

    HERE = "here"
    GONE = "gone"
    UNSEEN = "unseen"  # on another machine, or in a container whose processes we do not see: its lease tells


class Machine(NamedTuple):
    """Whose process ids a process sees: those of one boot of one machine, and of one container on it."""

    id: str
    boot: str
    container: str

    def __str__(self) -> str:
        return " ".join(self)


def this_machine() -> Machine:
    """Answer the machine that this process is on."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return Machine(_machine_id(), boot, os.readlink("/proc/self/ns/pid"))
    except OSError:
        return Machine(_machine_id(), f"{psutil.boot_time():.0f}", "-")


def presence(worker: WorkerInfo, host: str, shares_kernel: bool) -> Presence:
    """Answer what can be seen of a worker from `host`, this machine.

    With `shares_kernel` all workers are known to run under one kernel, as with SQLite, whose file they share through
    memory. Then, or where machines tell who they are, one of another boot is gone, whatever any clock says.
    """
    here = this_machine()
    there = _read(worker.machine)
    if there is None:
        return Presence.UNSEEN
    if there.boot != here.boot:
        is_ours = shares_kernel or (worker.host == host and there.id == here.id != _NAMELESS)
        return Presence.GONE if is_ours else Presence.UNSEEN
    if worker.host != host or there.container != here.container:
        return Presence.UNSEEN
    return Presence.HERE if is_same_process(worker.pid, worker.process_started_at) else Presence.GONE


_NAMELESS = "-"


def _read(text: str) -> Machine | None:
    """Read what a worker has registered; earlier versions said nothing of the machine itself."""
    parts = text.split(" ")
    return Machine(*parts) if len(parts) == 3 else Machine("", *parts) if len(parts) == 2 else None


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip()[:32] or _NAMELESS
    except OSError:
        return _NAMELESS
