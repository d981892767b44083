"""What a move of a run brings with it: the events that tell of it, and the columns that are set. Pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pitboss.runs import events as ev
from pitboss.runs.model import NewRun, Run
from pitboss.runs.ports import Move
from pitboss.runs.states import Setback, State

UNHELD: dict[str, Any] = {"worker_id": None, "pid": None, "lease_token": None, "lease_until": None}


def new_row(new: NewRun, serial: int, number: int, now: float) -> dict[str, Any]:
    """Answer the row of a run that is queued for the first time."""
    return {
        "id": new.id, "serial": serial, "number": number, "kind": new.kind, "subject": new.subject,
        "owner": new.owner, "state": State.QUEUED.value, "priority": new.priority, "tags": list(new.tags),
        "params": new.params, "snapshot": new.snapshot, "options": new.options, "attempt": 1, "partial": False,
        "parent": new.parent, "is_resumed": new.is_resumed, "idempotency_key": new.idempotency_key,
        "resource": new.resource, "last_seq": 0, "created_at": now, "queued_at": now,
    }  # fmt: skip


def after_cancel(run: Run, move: Move, has_something: Callable[[], bool]) -> Move:
    """Answer the move; for a run whose cancel came first every end is cancelled, with what it brought along.

    Where results are to be kept, what an attempt saved or finished before is kept too: `has_something` tells of it.
    """
    is_end = move.to in (State.COMPLETED, State.FAILED, State.QUEUED, State.CANCELLED)
    if run.state is not State.CANCELLING or not is_end:
        return move
    keeps = bool(run.cancel_keep_partial)
    result = move.result if keeps else None
    return Move(State.CANCELLED, result=result, partial=keeps and (result is not None or has_something()))


def consequences(run: Run, move: Move, now: float) -> tuple[list[ev.Event], dict[str, Any]]:
    """Answer the events that tell of a move, and what is set with it."""
    match move.to:
        case State.RUNNING:
            values = {"started_at": now, "pid": move.pid, "failed_starts": 0}
            return [ev.Started(pid=move.pid or 0, attempt=run.attempt)], values
        case State.COMPLETING:
            return [], {"completing_at": now}
        case State.COMPLETED:
            return [ev.Completed(result=move.result or {})], {"result": move.result}
        case State.CANCELLED:
            event = ev.Cancelled(partial=move.partial, reason=run.cancel_reason or "")
            return [event], {"result": move.result, "partial": move.partial}
        case State.FAILED:
            return [ev.Failed(**(move.error or {}))], {"error": move.error}
        case State.QUEUED:
            return _requeued(run, move)
    raise AssertionError(move.to)


def _requeued(run: Run, move: Move) -> tuple[list[ev.Event], dict[str, Any]]:
    attempt = run.attempt + 1
    reason = (move.error or {}).get("message", "the worker shut down")
    events: list[ev.Event] = [
        ev.Requeued(reason=reason, attempt=attempt),
        ev.Queued(priority=run.priority, attempt=attempt),
    ]
    # queued_at stays: a run that was interrupted keeps its place
    values = UNHELD | {
        "attempt": attempt, "claimed_at": None, "started_at": None, "completing_at": None, "progress": None,
        "failed_starts": run.failed_starts + (move.setback is Setback.START),
        "memory_kills": run.memory_kills + (move.setback is Setback.MEMORY),
    }  # fmt: skip
    return events, values
