"""Processes as the operating system sees them: is one alive, and ending one with all it started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path

import psutil

# of 1000: what the kernel adds to a process's share of the memory when it looks for one to end. A run goes before the
# fork server that would start it anew, and that before the worker, which sees to both
OOM_RUN, OOM_FORK_SERVER = 800, 400
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(parent: int, how: int = signal.SIGKILL) -> None:
    """Have the kernel send `how` to this process when its parent dies; ends it now if that has happened already."""
    _prctl(_PR_SET_PDEATHSIG, how)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, so that none gets away."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        _libc().prctl(option, value, 0, 0, 0)


@cache
def _libc() -> ctypes.CDLL:
    """Answer the C library, which a fork server opens for all that it forks."""
    return ctypes.CDLL(None, use_errno=True)


def start_time(pid: int) -> float | None:
    """Answer when the process started, None when there is none: tells it from a later one of its pid.

    On Linux in seconds since the machine started, which no change of the clock moves. Raises OSError when that
    cannot be told, such as for want of descriptors.
    """
    try:
        if Path(f"/proc/{pid}/stat").exists():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if fields[0] == "Z" else int(fields[19]) / os.sysconf("SC_CLK_TCK")
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (psutil.Error, FileNotFoundError, ProcessLookupError):
        return None


def is_same_process(pid: int, started_at: float) -> bool:
    """Answer whether `pid` is still the process that started at `started_at`; it is, where that cannot be told."""
    try:
        found = start_time(pid)
    except OSError:
        return True
    return found is not None and abs(found - started_at) < 1.0


def kill_family(leader: int) -> None:
    """SIGKILL a session leader, its process group and everything it or they started."""
    doomed = _descendants(leader)
    _kill_group(leader)
    _kill(leader)  # it may not have made its group yet
    for pid in doomed:
        _kill(pid)
    for pid in _session(leader):
        _kill(pid)


def kill_session(leader: int, not_before: float) -> None:
    """SIGKILL what is left of a session whose members started after `not_before`, as `start_time` tells it."""
    for pid in _session(leader):
        if (start_time(pid) or 0.0) >= not_before:
            _kill(pid)


def offer_to_the_kernel(score: int) -> None:
    """Have the kernel, when it is out of memory, end this process before those that look after it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(score))


def reap_orphans(own: Collection[int]) -> None:
    """Take leave of the ended children that were adopted, all but our `own`: nobody else waits for them."""
    for pid in children_of_this():
        if pid not in own:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def kill_orphans(known: set[int], living_sessions: set[int]) -> None:
    """SIGKILL the children of this process that no living run accounts for."""
    for pid in children_of_this():
        if pid in known:
            continue
        try:
            session = os.getsid(pid)
        except ProcessLookupError:
            continue
        if session not in living_sessions:
            kill_family(pid)


def children_of_this() -> list[int]:
    """Answer the direct children of this process."""
    try:
        pid = os.getpid()
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return [child.pid for child in psutil.Process().children()]


def group_exists(leader: int) -> bool:
    """Answer whether any process of the group is left."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def resident_bytes(pid: int) -> int:
    """Answer the resident memory of a process and its descendants, 0 when it is gone."""
    total = 0
    for member in (pid, *_descendants(pid)):
        with contextlib.suppress(psutil.Error, OSError):
            total += psutil.Process(member).memory_info().rss
    return total


def _descendants(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except (psutil.Error, OSError):
        return []


def _session(leader: int) -> list[int]:
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == leader:
                found.append(pid)
        except OSError:
            continue
    return found


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
