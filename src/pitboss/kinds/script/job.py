"""A script under the eyes of its run's process: started, listened to, ended with all that it has started."""

from __future__ import annotations

import contextlib
import mimetypes
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from pitboss.core.errors import InvalidInput, PitbossError, RunCancelled
from pitboss.core.machine import signal_name
from pitboss.core.masking import MaskedStream
from pitboss.core.places import work_folder
from pitboss.kinds.script.declaration import read_declaration
from pitboss.kinds.script.output import MARK, BoundedLog, Lines, ProgressReader, Step
from pitboss.kinds.script.params import ScriptParams
from pitboss.kinds.script.registry import Script
from pitboss.runs.context import RunContext
from pitboss.runs.model import PARQUET

LOOK_SECONDS = 0.05
TERM_SECONDS = 0.7  # from SIGTERM to SIGKILL: what is left of a cancel's time is for what it leaves behind
CLOSED_SECONDS = 0.5  # in which a pipe that others still hold is read after the script's end
READ_BYTES = 1 << 16
MOST_LINES = 1_000  # that are told live; all of them stand in the log
LINES_A_SECOND = 20
MOST_TOLD = 1_000  # characters of a line
LAST_LINES = 10  # of what it said, in the failure of one that failed
MOST_ARTIFACTS = 1_000


def run(_params: ScriptParams, context: RunContext) -> dict[str, Any]:
    """Run the script to its end; see `runs.kinds.Kind`."""
    known = context.snapshot["script"]
    path = Path(known["path"])
    script = Script(path, read_declaration(path))
    if script.digest() != known["digest"]:
        raise InvalidInput(f"the script {script.name} has changed since the run was submitted", "rerun it", "script")
    folder = work_folder(context.world.data_dir, context.run_id)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        return _Execution(script, context, folder).run(script.command(context.snapshot["values"]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Execution:
    """One script under way."""

    def __init__(self, script: Script, context: RunContext, folder: Path) -> None:
        self.script = script
        self.context = context
        self.folder = folder
        self.reader = ProgressReader(script.declaration.progress)
        self.log = BoundedLog(lambda chunk: os.write(1, chunk))
        self.last = {"info": deque[str](maxlen=LAST_LINES), "warning": deque[str](maxlen=LAST_LINES)}
        self.count = 0
        self.stage: tuple[str, int | None] = ("running", None)
        self._told = 0
        self._may_tell_at = 0.0

    def run(self, command: list[str]) -> dict[str, Any]:
        started = time.monotonic()
        self.context.begin_stage("running")
        process = self._start(command)
        try:
            self._listen(process)
        finally:
            _end(process, 0.0)  # whatever it has left running
        self.log.finish()
        self.context.end_stage()
        code = process.wait()
        if self.context.is_cancelled and not self.context.keeps_partial:
            raise RunCancelled("the script was cancelled")
        if code and not self.context.is_cancelled:
            raise PitbossError(self._failure(code), f"see its log: pitboss runs show {self.context.run_id} --log")
        if not self.context.is_cancelled:
            self.context.begin_results()
        names = [self._keep(path) for path in self._left()]
        seconds = round(time.monotonic() - started, 3)
        return {"exit_code": code, "seconds": seconds, "lines": self.count, "artifacts": names}

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                command, cwd=self.folder, env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, process_group=0,
            )  # fmt: skip
        except OSError as error:
            what = f"{self.script.name} cannot be started: {error.strerror or error}: {command[0]}"
            raise InvalidInput(what, "mend its declaration or its first line", "command") from None

    def _environment(self) -> dict[str, str]:
        """What the worker has, but for pitboss's settings, which may hold a password, and of its Python."""
        hidden = ("PITBOSS_", "PYTHONSAFEPATH", "PYTHONNOUSERSITE", "PYTHONPATH")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        own = dict.fromkeys(("RUN_ID", "STRATEGY_RUN_ID", "PITBOSS_RUN_ID"), self.context.run_id)
        return inherited | self.script.declaration.environment | self.context.secrets | own

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Read both pipes until the script has ended, or a cancel has ended it."""
        closing_at: float | None = None
        with selectors.DefaultSelector() as selector:
            for pipe, level in ((process.stdout, "info"), (process.stderr, "warning")):
                assert pipe is not None
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, (level, Lines(), MaskedStream(self.context.masker)))
            while selector.get_map():
                ready = selector.select(LOOK_SECONDS)
                if self.context.is_cancelled and closing_at is None:
                    _end(process, TERM_SECONDS, lambda: self._read(selector, selector.select(0)))
                    closing_at = time.monotonic()
                self._read(selector, ready)
                if closing_at is None and process.poll() is not None:
                    closing_at = time.monotonic() + CLOSED_SECONDS  # others may hold its pipes for ever
                if closing_at is not None and time.monotonic() > closing_at:
                    break

    def _read(self, selector: selectors.BaseSelector, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        for key, _ in ready:
            level, lines, masked = key.data
            try:
                chunk = os.read(key.fd, READ_BYTES)
            except BlockingIOError:
                continue
            if not chunk:
                selector.unregister(key.fileobj)
            shown = masked.feed(chunk, is_last=not chunk)
            self.log.add(shown)
            for line in lines.feed(shown, is_last=not chunk):
                self._hear(line, level)

    def _hear(self, line: str, level: str) -> None:
        self.count += 1
        step = self.reader.step(line)
        if step is not None:
            self._advance(step)
        if line.strip() and (step is None or not line.startswith(MARK)):
            self.last[level].append(line[:MOST_TOLD])
            if step is None:
                self._tell(line, level)

    def _tell(self, line: str, level: str) -> None:
        """Have a line seen live, as far as anybody could read so many."""
        now = time.monotonic()
        if self._told >= MOST_LINES or now < self._may_tell_at:
            return
        self._told += 1
        if self._told % LINES_A_SECOND == 0:
            self._may_tell_at = now + 1.0
        self.context.log(line[:MOST_TOLD].replace("\x00", "\N{REPLACEMENT CHARACTER}"), level)
        if self._told == MOST_LINES:
            self.context.log("further lines stand in the run's log", "info")

    def _advance(self, step: Step) -> None:
        stage = (step.stage or self.stage[0], step.total if step.done is not None else self.stage[1])
        if stage != self.stage:
            if step.stage is not None and step.stage != self.stage[0]:
                self.context.end_stage()
            self.stage = stage
            self.context.begin_stage(stage[0], stage[1], 0 if step.done == step.total else step.done or 0)
        if step.done is not None:
            self.context.report(step.done, step.item, step.message, **step.metrics)
        elif step.item or step.message or step.metrics:
            self.context.report(self.context.done, step.item, step.message, **step.metrics)

    def _failure(self, code: int) -> str:
        said = self.last["warning"] or self.last["info"]
        told = "\n".join(said)
        how = f"exit code {code}" if code > 0 else f"signal {-code} ({signal_name(-code)})"
        return f"{self.script.name} ended with {how}{': ' if told else ''}{told}"[:2000]

    def _left(self) -> list[Path]:
        """Answer the files in the working folder that the declaration names; links lead nowhere."""
        found = {
            path
            for pattern in self.script.declaration.artifacts
            for path in self.folder.glob(pattern)
            if path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(self.folder.resolve())
        }
        return sorted(found)[:MOST_ARTIFACTS]

    def _keep(self, path: Path) -> str:
        name = "__".join(path.relative_to(self.folder).parts)
        name = name.encode(errors="replace").decode().replace("\x00", "")[-200:]
        media_type = PARQUET if path.suffix == ".parquet" else mimetypes.guess_type(path.name)[0]
        self.context.save_artifact(name, partial(shutil.copyfile, path), media_type or "application/octet-stream")
        return name


def _end(process: subprocess.Popen[bytes], term_seconds: float, meanwhile: Callable[[], object] | None = None) -> None:
    """End a script with all that it has started, those that have left its group and its session among them: they are
    told first, where there is time, and killed then."""
    if term_seconds and process.poll() is None:
        _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + term_seconds
        while _living() and time.monotonic() < deadline:
            if meanwhile is not None:
                meanwhile()
            process.poll()
            time.sleep(LOOK_SECONDS / 5)
    while _living():
        _signal(process, signal.SIGKILL)
        process.poll()
        time.sleep(LOOK_SECONDS / 5)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
    for child in _living():
        with contextlib.suppress(psutil.Error):
            child.send_signal(number)


def _living() -> list[psutil.Process]:
    """Answer what this process has started, or taken in as an orphan of theirs, and is not dead."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found
