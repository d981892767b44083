"""Watching a run at the terminal: a live bar, and what Ctrl-C does."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from pitboss.cli.desk import Desk
from pitboss.cli.options import print_json
from pitboss.cli.render import notes
from pitboss.cli.reports import show_run
from pitboss.core.errors import StorageUnavailable
from pitboss.runs.model import Run, StoredEvent
from pitboss.runs.progress import percent_of, seconds_left
from pitboss.runs.wording import duration, number, words_of

ENSURE_SECONDS = 0.5
WAIT_SECONDS = 0.5  # between two looks at what a run waits for
PATIENCE_SECONDS = 60.0  # with a database that is away
CHOICES = {
    "k": "keep what is done and stop it",
    "d": "discard what is done and stop it",
    "g": "go on watching",
    "l": "leave it going",
}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT.*")
EXIT_CODES = {"completed": 0, "failed": 1, "cancelled": 3}


def follow_submitted(desk: Desk, run: Run, as_json: bool, detach: bool) -> None:
    """Have somebody work on a run; watch it to its end, unless it is left to itself."""
    desk.launcher.ensure()
    if detach:
        print_json({"id": run.id, "number": run.number}) if as_json else print(run.id)
        return
    finish(desk, run, as_json)


def finish(desk: Desk, run: Run, as_json: bool, at_interrupt: str = "k") -> None:
    """Watch a run to its end, show what came of it and leave with its exit code; see `follow`."""
    run = follow(desk, run, as_json, at_interrupt)
    if as_json:
        print_json(run.as_dict())
    else:
        show_run(desk, run)
    code = EXIT_CODES[run.state.value]
    if code:
        raise typer.Exit(code)


def follow(desk: Desk, run: Run, is_quiet: bool, at_interrupt: str = "k") -> Run:
    """Watch a run to its end, keeping a worker alive for it; answers the run as it ended.

    Ctrl-C asks what to do, one of `CHOICES`, and takes `at_interrupt` where nobody answers; a second one leaves the
    run to the worker.
    """
    seen = [0]
    while True:
        try:
            return _follow(desk, run, is_quiet, seen)
        except KeyboardInterrupt:
            _interrupted(desk, run, at_interrupt)


def _follow(desk: Desk, run: Run, is_quiet: bool, seen: list[int]) -> Run:
    """Watch from the last of the events `seen`, and note each."""
    ensured = 0.0
    with LiveLine(is_quiet) as line:
        for event in news(desk, run, seen[-1]):
            if time.monotonic() - ensured > ENSURE_SECONDS:
                with suppress(StorageUnavailable):
                    desk.launcher.ensure()
                ensured = time.monotonic()
            if event is None:
                line.wait(desk, run.id)
                continue
            seen[-1] = event.seq
            line.show(event.type, event.payload)
    return ended(desk, run)


def ended(desk: Desk, run: Run) -> Run:
    """Answer a run whose last event was seen; a database that is away for a while is waited for."""
    asked_at = time.monotonic()
    while True:
        try:
            return desk.service.get(desk.who, run.id)
        except StorageUnavailable:
            if time.monotonic() - asked_at > PATIENCE_SECONDS:
                raise
            time.sleep(ENSURE_SECONDS)


def news(desk: Desk, run: Run, after: int = 0) -> Iterator[StoredEvent | None]:
    """Yield a run's events as they come, None now and then; a database that is away for a while is waited for."""
    heard_at, is_silent = time.monotonic(), False
    while True:
        try:
            for event in desk.service.watch(desk.who, run.id, after):
                heard_at, is_silent = time.monotonic(), False
                after = event.seq if event else after
                yield event
            return
        except StorageUnavailable as error:
            if time.monotonic() - heard_at > PATIENCE_SECONDS:
                raise
            if not is_silent:
                notes.print(f"{error.message}; the run goes on, waiting for news of it", markup=False)
            is_silent = True
            time.sleep(ENSURE_SECONDS)


def _interrupted(desk: Desk, run: Run, default: str) -> None:
    answer = _asked(default) if sys.stdin.isatty() else default
    if answer == "l":
        notes.print(f"\nThe run goes on without you: pitboss runs watch {run.id}")
        sys.exit(130)
    found = ended(desk, run)
    if found.state.is_terminal:
        notes.print(f"The run has ended meanwhile: {found.state.value}")
    elif answer in ("k", "d"):
        said = desk.service.cancel(desk.who, run.id, keep_partial=answer == "k", reason="interrupted at the terminal")
        notes.print(said.message)


def _asked(default: str) -> str:
    """Answer the first letter of one of `CHOICES`; that of leaving the run alone at a second Ctrl-C."""
    choices = ", ".join(f"[bold]{letter}[/]{meaning[1:]}" for letter, meaning in CHOICES.items())
    notes.print(f"\nThe run: {choices}?")
    try:
        answer = typer.prompt("keep, discard, go on or leave", default=default, err=True).strip().lower()[:1]
    except (KeyboardInterrupt, typer.Abort):
        return "l"
    return answer if answer in CHOICES else "g"


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


class LiveLine:
    """One line that moves on a terminal; elsewhere a line of text for every tenth of the way."""

    def __init__(self, is_quiet: bool) -> None:
        self.is_quiet = is_quiet
        self.is_live = notes.is_terminal and not is_quiet
        self._printed = ("", -1)
        self._has_begun = False
        self._waits_for = ""
        self._ask_at = time.monotonic() + WAIT_SECONDS
        self._task: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>5.1f} %"),
            TextColumn("{task.fields[details]}", markup=False),
            console=notes,
            transient=True,
            disable=not self.is_live,
        )

    def __enter__(self) -> LiveLine:
        if self.is_live:  # the cursor is hidden meanwhile: it must come back however the command ends
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, _leave)
        self._progress.start()
        self._task = self._progress.add_task("queued", total=100, details="")
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, kind: str, payload: dict[str, Any]) -> None:
        """Show one event."""
        assert self._task is not None
        self._has_begun = kind not in ("queued", "requeued", "claimed")
        if kind == "progress":
            details = details_of(payload)
            percent = percent_of(payload)
            self._progress.update(self._task, description=payload["stage"], completed=percent or 0, details=details)
            self._print(payload["stage"], percent, details)
        elif kind in ("claimed", "started", "requeued", "cancel_requested"):
            words = kind.replace("_", " ")
            self._progress.update(self._task, description=words)
            self._print(words, None, payload.get("reason", ""))
        elif kind == "log" and not self.is_quiet:
            notes.print(f"{payload['level']}: {payload['message']}", markup=False)

    def wait(self, desk: Desk, run_id: str) -> None:
        """Nothing is new: while the run has not begun, show what it waits for."""
        assert self._task is not None
        if self._has_begun or time.monotonic() < self._ask_at:
            return
        self._ask_at = time.monotonic() + WAIT_SECONDS
        with suppress(StorageUnavailable):
            reason = desk.service.waits_for(desk.service.get(desk.who, run_id))
            if reason and reason != self._waits_for:
                self._progress.update(self._task, description="waits", details=reason)
                self._print(f"waits: {reason}", None, "")
            self._waits_for = reason

    def _print(self, stage: str, percent: float | None, details: str) -> None:
        if self.is_live or self.is_quiet:
            return
        mark = (stage, -1 if percent is None else int(percent) // 10)
        if mark != self._printed:
            self._printed = mark
            shown = "" if percent is None else f" {percent:.0f} %"
            print(f"{stage}{shown}  {details}".rstrip(), file=sys.stderr, flush=True)


def details_of(progress: dict[str, Any]) -> str:
    """Answer time left, the current item, what the gauges show and the rate as one short text."""
    metrics = progress.get("metrics") or {}
    parts = []
    if (left := seconds_left(progress)) is not None:
        parts.append(f"{duration(left)} left")
    if progress.get("current_item"):
        item = str(progress["current_item"])
        parts.append(item.replace("T", " ").removesuffix("Z") if _MOMENT.fullmatch(item) else item)
    parts += [f"{number(value)} {words_of(name)}" for name, value in metrics.items() if name != "items_per_second"]
    if metrics.get("items_per_second"):
        parts.append(f"{metrics['items_per_second']:,.0f}/s")
    return " · ".join(parts)
