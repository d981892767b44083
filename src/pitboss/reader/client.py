"""A process beside the server that has the libraries of numbers loaded, for as long as somebody asks it."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from pitboss.core.errors import DiskFull, InvalidInput, NotFound, PitbossError, Problem, StorageUnavailable
from pitboss.core.python import NEUTRAL_FOLDER, command_of, own_environment

IDLE_SECONDS = 60.0
LONGEST_SECONDS = 60.0
_ERRORS = {"NotFound": NotFound, "DiskFull": DiskFull, "StorageUnavailable": StorageUnavailable}


class Reader:
    """Asks `reader.process`, one request at a time. It is started when it is first needed, and ends when nobody has
    asked it for a minute, or when an answer takes longer than `longest_seconds`. Safe to use from any thread."""

    def __init__(self, data_dir: Path, files_url: str, longest_seconds: float = LONGEST_SECONDS) -> None:
        self._command = command_of("pitboss.reader.process", str(data_dir), files_url)
        self._turn = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._longest_seconds = longest_seconds
        self._asked_at = 0.0
        self._is_asked = False

    def ask(self, name: str, *arguments: object) -> Any:
        """Answer a request. Raises what it raised there, StorageUnavailable when the process ends under it."""
        with self._turn:
            self._asked_at, self._is_asked = time.monotonic(), True
            said = self._exchange(json.dumps([name, arguments]))
            self._is_asked = False
        if not said:
            what = "the process that reads bars has ended"
            if time.monotonic() - self._asked_at > self._longest_seconds:
                what = f"reading took longer than {self._longest_seconds:g} seconds, and was given up"
            raise StorageUnavailable(what, "try again; see the server's log")
        answer = json.loads(said)
        if "error" in answer:
            raise _error_of(answer)
        return answer["answer"]

    def _exchange(self, request: str) -> str:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(request + "\n")
            process.stdin.flush()
            said = process.stdout.readline()
        except (OSError, ValueError):
            said = ""
        if not said:
            self._end()
        return said

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            try:
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own_environment(),
                    cwd=NEUTRAL_FOLDER,
                )  # fmt: skip
            except OSError as error:
                what = f"the process that reads bars cannot be started: {error.strerror or error}"
                raise StorageUnavailable(what, "try again when the machine has room") from None
            threading.Thread(target=self._rest, args=(self._process,), name="reader", daemon=True).start()
        return self._process

    def _rest(self, process: subprocess.Popen[str]) -> None:
        """End a process that nobody has asked for long, or that does not answer."""
        while process.poll() is None:
            time.sleep(1.0)
            if self._is_asked and time.monotonic() - self._asked_at > self._longest_seconds:
                process.kill()  # whoever waits for it reads its end
            with self._turn:
                if self._process is process and time.monotonic() - self._asked_at > IDLE_SECONDS:
                    self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._end()


def _error_of(answer: dict[str, Any]) -> PitbossError:
    if answer["error"] == "InvalidInput":
        return InvalidInput([Problem(**problem) for problem in answer["problems"]])
    return _ERRORS[answer["error"]](answer["message"], answer["remedy"])
