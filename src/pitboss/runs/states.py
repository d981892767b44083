"""Every state of a run and every legal move between them, as data. Everything else asks this module."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    COMPLETING = "completing"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL

    @property
    def is_active(self) -> bool:
        """True while a worker holds the run."""
        return self in ACTIVE


class FailureKind(StrEnum):
    """Why a run failed."""

    ERROR = "error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    LOST = "lost"
    INVALID = "invalid"


class Setback(StrEnum):
    """What ended an attempt before its time and is counted, because it may go on for ever."""

    START = "start"  # its process never came about
    MEMORY = "memory"  # the kernel ended the run, or what it lives in, for want of memory


@dataclass(frozen=True, slots=True)
class Transition:
    """One legal move and what causes it."""

    source: State
    target: State
    cause: str


TERMINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})
ACTIVE = frozenset({State.STARTING, State.RUNNING, State.COMPLETING, State.CANCELLING})

TRANSITIONS = (
    Transition(State.QUEUED, State.STARTING, "claim"),
    Transition(State.QUEUED, State.CANCELLED, "cancel"),
    Transition(State.QUEUED, State.CANCELLING, "cancel that keeps what an earlier attempt did"),
    Transition(State.STARTING, State.RUNNING, "first word"),
    Transition(State.STARTING, State.CANCELLING, "cancel"),
    Transition(State.STARTING, State.FAILED, "error, timeout, out of memory, lost"),
    Transition(State.STARTING, State.QUEUED, "worker lost or shut down, resumable"),
    Transition(State.RUNNING, State.COMPLETING, "result in"),
    Transition(State.RUNNING, State.CANCELLING, "cancel"),
    Transition(State.RUNNING, State.FAILED, "error, timeout, out of memory, lost"),
    Transition(State.RUNNING, State.QUEUED, "worker lost or shut down, resumable"),
    Transition(State.COMPLETING, State.COMPLETED, "results written"),
    Transition(State.COMPLETING, State.FAILED, "error, timeout, out of memory, lost"),
    Transition(State.COMPLETING, State.QUEUED, "worker lost or shut down, resumable"),
    Transition(State.CANCELLING, State.CANCELLED, "process ended"),
)


def sources_of(target: State) -> tuple[State, ...]:
    """Answer the states from which `target` can be reached in one move."""
    return tuple(move.source for move in TRANSITIONS if move.target is target)


def is_legal(source: State, target: State) -> bool:
    """Answer whether a run may go from `source` to `target`."""
    return source in sources_of(target)
