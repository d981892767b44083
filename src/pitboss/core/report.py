"""Errors as people read them at a terminal, and the exit codes of the program."""

from __future__ import annotations

import os

from pitboss.core.errors import Conflict, InvalidInput, NotFound, PitbossError, QueueFull, StorageUnavailable
from pitboss.core.places import printable


def as_pitboss_error(error: Exception) -> PitbossError:
    """Answer the error itself, or a message for one that nobody foresaw; PITBOSS_DEBUG lets it through."""
    if isinstance(error, PitbossError):
        return error
    if os.environ.get("PITBOSS_DEBUG"):
        raise error
    if isinstance(error, OSError) and error.strerror:  # a place that the system refuses
        named = f": {printable(os.fsdecode(error.filename))}" if error.filename else ""
        return StorageUnavailable(f"{error.strerror}{named}", "check that path, its permissions and the space there")
    what = f"something went wrong inside pitboss: {type(error).__name__}: {error}"
    return PitbossError(what, "set PITBOSS_DEBUG=1 to see where, and report it")


def lines_of(error: PitbossError) -> list[str]:
    """Answer an error as lines: each problem with its place, the text and the remedy."""
    if not isinstance(error, InvalidInput):
        return [f"error: {error.message}", *([f"  → {error.remedy}"] if error.remedy else [])]
    lines = []
    for problem in error.problems:
        place = f"line {problem.line}, column {problem.column}: " if problem.line else ""
        place = place or (f"{problem.where}: " if problem.where else "")
        lines.append(f"error: {place}{problem.message}")
        lines += [f"    {problem.text}"] if problem.text else []
        lines += [f"  → {problem.remedy}"] if problem.remedy else []
    return lines


def describe(error: PitbossError) -> dict[str, object]:
    """Answer an error as JSON."""
    described: dict[str, object] = {"message": error.message, "remedy": error.remedy}
    if isinstance(error, InvalidInput):
        described["problems"] = [problem.as_dict() for problem in error.problems]
    return described


def exit_code(error: PitbossError) -> int:
    """Answer the exit code for an error: 2 bad input, 4 not found or in conflict, 5 storage, else 1."""
    if isinstance(error, InvalidInput):
        return 2
    if isinstance(error, NotFound | Conflict | QueueFull):
        return 4
    return 5 if isinstance(error, StorageUnavailable) else 1
