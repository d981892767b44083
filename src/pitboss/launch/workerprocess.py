"""A worker of this machine from its start on: whether it works, or why it does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pitboss.core.errors import PitbossError
from pitboss.core.python import NEUTRAL_FOLDER, command_of, own_environment

Answer = TypeVar("Answer")
SLOW_SECONDS = 1.5  # of starting, after which people are told
STARTING_SECONDS = 60.0  # after which a start is given up
SHORT_LIFE_SECONDS = 5.0
TAIL_BYTES = 8192


class WorkerProcess:
    """One `pitboss worker`, which says through a pipe that it works, or why it cannot. Raises OSError.

    What it writes goes to the end of `log`, or where this process writes without one. With `dies_along` it is told to
    end when this process dies; then the thread that makes it must live as long as it does.
    """

    def __init__(
        self, arguments: Sequence[str], environment: dict[str, str], log: Path | None, dies_along: bool = False
    ) -> None:
        self.log = log
        self.is_ready = False
        self.failure = ""  # why it came to nothing, once that is known
        self.started_at = time.monotonic()
        self._log_start = 0
        self._words, theirs = os.pipe()
        os.set_blocking(self._words, False)
        own = ("--report", str(theirs), *(("--parent", str(os.getpid())) if dies_along else ()))
        try:
            self._popen = self._start(command_of("pitboss.cli.main", "worker", *own, *arguments), environment, theirs)
        except OSError:
            os.close(self._words)
            raise
        finally:
            os.close(theirs)
        self.pid = self._popen.pid

    def _start(self, command: list[str], environment: dict[str, str], words: int) -> subprocess.Popen[bytes]:
        more = own_environment(**environment)
        if self.log is None:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(words,), env=more)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as file:
            self._log_start = file.tell()
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, pass_fds=(words,), env=more,
                cwd=NEUTRAL_FOLDER, start_new_session=True,
            )  # fmt: skip

    @property
    def is_alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def is_slow(self) -> bool:
        """True when it takes longer to start than it should."""
        return not self.is_ready and time.monotonic() - self.started_at > SLOW_SECONDS

    def look(self) -> None:
        """Hear what it has said, and whether it has ended; one that does not come about is ended."""
        is_alive = self.is_alive  # asked first: what it said before its end is heard
        said = self._heard()
        if "failed" in said:
            self.failure = str(said["failed"])
        self.is_ready = self.is_ready or "ready" in said
        age = time.monotonic() - self.started_at
        if is_alive and not self.is_ready and age > STARTING_SECONDS:
            self.kill()
            self.failure = self.failure or f"the worker did not start within {age:.0f} s"
        code = self._popen.poll()
        has_failed = bool(code) and (not self.is_ready or age < SHORT_LIFE_SECONDS)
        if not is_alive and has_failed and not self.failure:
            self.failure = f"the worker {'died' if self.is_ready else 'cannot start'}: {self._last_words()}"

    def wait(self) -> int:
        """Wait for its end; answer the exit code."""
        return self._popen.wait()

    def stop(self, seconds: float) -> None:
        """Have it end, letting it requeue what runs; kill it when that takes longer."""
        if self.is_alive:
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Kill it; its children die with it, and its runs are recovered."""
        self._popen.kill()
        self._popen.wait()

    def close(self) -> None:
        """Let go of it, whatever it does."""
        os.close(self._words)

    def _heard(self) -> dict[str, object]:
        with suppress(BlockingIOError):
            if text := os.read(self._words, 4096):
                said: dict[str, object] = json.loads(text)
                return said
        return {}

    def _last_words(self) -> str:
        code = self._popen.returncode
        if code < 0:
            known = -code in set(signal.Signals)
            return f"killed by {signal.Signals(-code).name if known else f'signal {-code}'}"
        return self._end_of_log().removeprefix(f"{sys.executable}: ") or f"exit code {code}"

    def _end_of_log(self) -> str:
        if self.log is None:
            return ""
        with suppress(OSError), self.log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, end - TAIL_BYTES))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
            return next((line for line in reversed(lines) if line), "")[:300]
        return ""


class Report:
    """The other end, in the worker: says once whether it works."""

    def __init__(self, descriptor: int | None) -> None:
        self.is_wanted = descriptor is not None
        self._descriptor = descriptor

    def ready(self) -> None:
        self._say({"ready": True})

    def during(self, start: Callable[[], Answer]) -> Answer:
        """Do what may fail at the start of a worker; say why it did, and let it through."""
        try:
            return start()
        except Exception as error:
            told = error.message if isinstance(error, PitbossError) else f"{type(error).__name__}: {error}"
            self._say({"failed": f"the worker cannot start: {told}"[:480]})
            raise

    def _say(self, word: dict[str, object]) -> None:
        if self._descriptor is not None:
            with suppress(OSError):  # nobody waits for it any more
                os.write(self._descriptor, json.dumps(word).encode())
                os.close(self._descriptor)
            self._descriptor = None
