"""Every error that pitboss raises on purpose.

PitbossError                     message, remedy; never shown with a traceback
├── InvalidInput                 the caller's mistakes, all of them, as Problems
├── NotFound                     no such thing, or not yours
├── Unauthorized                 nobody knows who asks
│   ├── SignInRefused            a name and a password that do not belong together
│   └── TooManyGuesses           try again after retry_after_seconds
├── Forbidden                    known, but not allowed to do such a thing at all
├── Conflict                     it exists, but its state forbids what was asked
├── QueueFull                    try again after retry_after_seconds
├── Unstorable                   a value that the database refuses, whoever else could be written
│   └── Duplicate                something of that name is there already
├── RunCancelled                 raised inside a job that noticed its cancel
├── RunSuspended                 raised inside a job that saved its state because its worker shuts down
├── StorageUnavailable           the database cannot be reached or is read-only
│   ├── DiskFull
│   ├── Misplaced                the data folder was moved away under the program
│   └── SchemaMismatch           the database is newer than the program, or older and not migrated
├── WorkerUnable                 a worker that can start no run
├── NotReady                     runs are taken, but none can be started
└── AlreadyRunning               a second server on the same port
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake of a user: what is wrong, where, and what to do about it.

    `line` and `column` count from 1; `text` is the piece of the user's text that is meant;
    `where` names the field, flag or file when there is no position.
    """

    message: str
    remedy: str = ""
    line: int | None = None
    column: int | None = None
    text: str = ""
    where: str = ""
    code: str = field(default="", repr=False)  # for programs that must tell this mistake from others

    def __str__(self) -> str:
        place = f"line {self.line}, column {self.column}: " if self.line is not None else ""
        if not place and self.where:
            place = f"{self.where}: "
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{place}{self.message}{remedy}"

    def as_dict(self) -> dict[str, Any]:
        described = asdict(self)
        del described["code"]
        return described


class PitbossError(Exception):
    """What happened, to what (`message`), and what to do next (`remedy`)."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


class InvalidInput(PitbossError):
    """The caller's mistakes, collected and reported together."""

    def __init__(self, problems: Sequence[Problem] | Problem | str, remedy: str = "", where: str = "") -> None:
        if isinstance(problems, str):
            problems = Problem(problems, remedy, where=where)
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


def problems_of(error: PitbossError) -> tuple[Problem, ...]:
    """Answer what an error says as problems: the caller's mistakes, or the one thing that happened."""
    return error.problems if isinstance(error, InvalidInput) else (Problem(error.message, error.remedy),)


class NotFound(PitbossError):
    """There is no such thing, or it belongs to somebody else."""


class Unauthorized(PitbossError):
    """Nobody knows who asks: no credentials, or none that hold."""


class SignInRefused(Unauthorized):
    """A name and a password that do not belong together, whatever the reason."""


class TooManyGuesses(Unauthorized):
    """Somebody has guessed too often, and waits."""

    def __init__(self, message: str, seconds: float) -> None:
        self.retry_after_seconds = max(1, math.ceil(seconds))
        super().__init__(message, f"try again in {self.retry_after_seconds} s")


class Forbidden(PitbossError):
    """Who asks is known, and may not do such a thing at all; what belongs to others is NotFound instead."""


class Conflict(PitbossError):
    """It exists, but its present state forbids what was asked."""


class QueueFull(PitbossError):
    """The queue holds as many runs as `max_queue_size` allows."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message, f"try again in {retry_after_seconds} s or raise max_queue_size")
        self.retry_after_seconds = retry_after_seconds


class Unstorable(PitbossError):
    """The database is there but refuses a value: too long, out of range, or against a rule of the schema."""


class Duplicate(Unstorable):
    """Something that must be unique is there already."""


class RunCancelled(PitbossError):
    """Raised by `RunContext.check_cancel` inside a job whose cancel was requested."""


class RunSuspended(PitbossError):
    """Raised by `RunContext.checkpoint` inside a job that is to go on in another attempt."""


class StorageUnavailable(PitbossError):
    """The database or the data folder cannot be used at the moment."""


class DiskFull(StorageUnavailable):
    """There is no room left for what had to be written; nothing was recorded as done."""


class Misplaced(StorageUnavailable):
    """What was opened is no longer where it was; another may lie in its place."""


class SchemaMismatch(StorageUnavailable):
    """The database was made by a newer pitboss, or waits for a migration."""


class WorkerUnable(PitbossError):
    """A worker works, but can start no run, and ends."""


class NotReady(PitbossError):
    """Runs are taken, but none can be started at the moment."""


class AlreadyRunning(PitbossError):
    """Another server listens at that address."""


def suggest(word: str, known: Iterable[str]) -> str:
    """Answer the remedy for an unknown `word`: its nearest neighbours, else some of what exists."""
    names = sorted(known)
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    if not names:
        return "there are none yet"
    shown = ", ".join(names[:12])
    return f"known: {shown}" + (", …" if len(names) > 12 else "")
