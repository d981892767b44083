"""What this machine lets pitboss have: cores and memory, as affinity, control groups and the kernel allow."""

from __future__ import annotations

import math
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

MOST_DESCRIPTORS = 65_536
_ROOT = Path("/sys/fs/cgroup")


def cores() -> int:
    """Answer how many cores this process may use at once, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in _groups("cpu") if (quota := _cpu_quota(folder)) is not None]
    return max(1, min([allowed, *map(math.ceil, quotas)]))


def free_memory() -> int:
    """Answer how many bytes of memory can still be had, by this machine or by the narrowest control group."""
    rooms = [room for folder in _groups("memory") if (room := _room(folder)) is not None]
    return max(0, min([psutil.virtual_memory().available, *rooms]))


def raise_descriptor_limit() -> None:
    """Let this process have as many files open as it may ask for by itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def kernel_kills() -> int:
    """Answer how many processes the kernel has killed for want of memory since it started, in whatever group."""
    return _field(Path("/proc/vmstat"), "oom_kill") or 0


def group_kills() -> int:
    """Answer how many processes of this process's own control group the kernel has killed for want of memory.

    Where no group tells, it is `kernel_kills()`, which counts neighbours that have nothing to do with us as well.
    """
    files = (folder / name for folder in _groups("memory") for name in ("memory.events", "memory.oom_control"))
    told = next((count for file in files if (count := _field(file, "oom_kill")) is not None), None)
    return kernel_kills() if told is None else told


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups that bound this process for one controller, the nearest first."""
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = _ROOT / controllers if controllers else _ROOT
        folder = top / path.lstrip("/")
        if not folder.is_dir():  # a container sees its own group at the top
            folder = top
        yield folder
        while folder not in (top, folder.parent):
            folder = folder.parent
            yield folder


def _cpu_quota(folder: Path) -> float | None:
    """Answer how many cores' time the group may use, None for no limit."""
    quota, _, period = (_text(folder / "cpu.max") or "").partition(" ")
    if not quota:
        quota, period = _text(folder / "cpu.cfs_quota_us") or "", _text(folder / "cpu.cfs_period_us") or ""
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _room(folder: Path) -> int | None:
    """Answer the bytes that the group may still take, None for no limit; what files are cached gives way."""
    limit = _text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes") or ""
    used = _text(folder / "memory.current") or _text(folder / "memory.usage_in_bytes") or ""
    if not limit.isdigit() or not used.isdigit():
        return None
    stat = folder / "memory.stat"
    cached = _field(stat, "total_inactive_file")
    return int(limit) - int(used) + (cached if cached is not None else _field(stat, "inactive_file") or 0)


def _field(path: Path, name: str) -> int | None:
    for line in _lines(path):
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return None


def _lines(path: Path) -> list[str]:
    return (_text(path) or "").splitlines()


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def signal_name(number: int) -> str:
    """Answer what a signal is called."""
    return signal.Signals(number).name if number in set(signal.Signals) else "real-time"
