"""The figures of a start: how long a user waits for the simplest answers, and what idle processes hold."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager

import psutil
from table import Row

SETTLE_SECONDS = 3.0


def rows():
    with tempfile.TemporaryDirectory() as folder:
        for arguments, limit in ((["--help"], 0.15), (["runs", "list", "--data-dir", folder], 0.3)):
            seconds = []
            for _ in range(9):
                start = time.perf_counter()
                subprocess.run(command(*arguments), capture_output=True, check=True)
                seconds.append(time.perf_counter() - start)
            words = " ".join(word for word in arguments if word not in (folder, "--data-dir"))
            yield Row(f"`pitboss {words}`", sorted(seconds)[4], "s", limit, "limit")
        with running("serve", "--port", str(free_port()), "--data-dir", folder) as server:
            yield Row("idle server, resident memory", server.memory_info().rss / (1 << 20), "MB", 110, "limit")
        with running("worker", "--data-dir", folder) as worker:
            yield Row("worker without runs, resident memory in all", resident(worker), "MB", 130, "limit")


def command(*arguments):
    return [sys.executable, "-m", "pitboss.cli.main", *arguments]


@contextmanager
def running(*arguments):
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(SETTLE_SECONDS)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def resident(process):
    """Megabytes of a process and of all that it has started."""
    family = [process, *process.children(recursive=True)]
    return sum(member.memory_info().rss for member in family) / (1 << 20)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
