"""What this machine lets tests do; where it does not, they are skipped with the reason, but never when CI is set."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

from support.engine import until


@cache
def may_mount() -> bool:
    """True when file systems can be mounted: as root on Linux, and not in a container without the right."""
    with tempfile.TemporaryDirectory() as folder:
        return _works("mount", "-t", "tmpfs", "tmpfs", folder) and _works("umount", folder)


@cache
def may_make_hosts() -> bool:
    """True when namespaces of the network can be made."""
    name = f"probe{os.getpid()}"
    works = _works("ip", "netns", "add", name) and _works("ip", "netns", "exec", name, "unshare", "--uts", "true")
    _works("ip", "netns", "del", name)
    return works


def may_group(controller: str) -> bool:
    """True when control groups of the first kind can be made for a controller."""
    try:
        with control_group(controller):
            return True
    except OSError:
        return False


@contextmanager
def control_group(controller: str, name: str = "", value: str = "") -> Iterator[Path]:
    """A control group below our own, with a limit; what is left in it at the end is moved out."""
    line = next((line for line in Path("/proc/self/cgroup").read_text().splitlines() if f":{controller}:" in line), "")
    parent = Path("/sys/fs/cgroup", controller, line.rpartition(":")[2].lstrip("/"))
    group = parent / f"pitboss-{os.getpid()}-{next(_count)}"
    group.mkdir()
    try:
        if name:
            (group / name).write_text(value)
        yield group
    finally:
        until(lambda: _left(group, parent), 10, "the group is empty")


def _left(group: Path, parent: Path) -> bool:
    """Move out what is in a group and remove it; what is about to die is in it until somebody has noticed."""
    for pid in (group / "tasks").read_text().split():
        with suppress(OSError):
            (parent / "tasks").write_text(pid)
    with suppress(OSError):
        group.rmdir()
    return not group.exists()


_count = itertools.count()


def _works(*command: str) -> bool:
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def needs(is_allowed: bool, reason: str) -> pytest.MarkDecorator:
    """Answer a mark that skips where something is not allowed, unless CI is set."""
    return pytest.mark.skipif(not is_allowed and not os.environ.get("CI"), reason=reason)
