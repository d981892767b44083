"""What this machine lets tests do; where it does not, they are skipped with the reason, but never when CI is set."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache

import pytest


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
