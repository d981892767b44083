"""A command at a terminal, and the keys that somebody presses there."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.engine import until


@contextmanager
def at_the_question(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen, Callable[[str], str]]]:
    """Watch a sweep at a terminal, press Ctrl-C and read the question; a function that answers it comes back, which
    tells what is said then."""
    master, terminal = pty.openpty()
    child = subprocess.Popen(
        command, cwd=folder, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True, env=environment
    )
    os.close(terminal)
    screen = b""

    def reads(what: bytes) -> bool:
        nonlocal screen
        screen += os.read(master, 4096)
        return what in screen

    def reply(answer: str) -> str:
        os.write(master, answer.encode() + b"\n")
        said = b""
        while child.poll() is None:  # what it prints is read to the end, so that it never waits for us
            try:
                said += os.read(master, 4096)
            except OSError:
                break
        return said.decode(errors="replace")

    try:
        until(lambda: reads(b"sweeping"), 30, "the sweep is shown")
        time.sleep(0.5)
        os.killpg(child.pid, signal.SIGINT)
        until(lambda: reads(b"keep, discard, go on or leave"), 10, "the question is asked")
        yield child, reply
    finally:
        child.kill()
        child.wait()
        os.close(master)
