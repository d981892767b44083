"""A run as it stood at an event of its log: the log tells all that a page shows of a run under way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pitboss.runs.events import TERMINAL_TYPES
from pitboss.runs.model import Run, StoredEvent
from pitboss.runs.states import State

_STATES = {
    "queued": State.QUEUED, "claimed": State.STARTING, "started": State.RUNNING, "cancel_requested": State.CANCELLING,
    "requeued": State.QUEUED, "completed": State.COMPLETED, "failed": State.FAILED, "cancelled": State.CANCELLED,
}  # fmt: skip


def rewound(run: Run, events: Iterable[StoredEvent]) -> Run:
    """Answer `run` as it was after `events`, the first of its log in their order."""
    then = replace(
        run, state=State.QUEUED, progress=None, result=None, error=None, partial=False, attempt=1, started_at=None,
        ended_at=None, cancel_requested_at=None, cancel_keep_partial=None, cancel_reason=None, last_seq=0,
    )  # fmt: skip
    for event in events:
        then = replace(then, last_seq=event.seq, **_changes(then, event))
    return then


def _changes(run: Run, event: StoredEvent) -> dict[str, Any]:
    """Answer what an event changes."""
    said = event.payload
    changes: dict[str, Any] = {"state": _STATES[event.type]} if event.type in _STATES else {}
    match event.type:
        case "queued":
            changes |= {"priority": said["priority"], "attempt": said.get("attempt", 1)}
        case "prioritized":
            changes |= {"priority": said["priority"]}
        case "claimed":
            changes |= {"attempt": said["attempt"]}
        case "requeued":
            changes |= {"attempt": said["attempt"], "progress": None, "started_at": None}
        case "started":
            changes |= {"started_at": run.started_at or event.ts}
        case "progress":
            changes |= {"progress": said}
        case "cancel_requested":
            changes |= {
                "cancel_requested_at": event.ts, "cancel_keep_partial": said["keep_partial"],
                "cancel_reason": said.get("reason", ""),
            }  # fmt: skip
        case "completed":
            changes |= {"result": said["result"]}
        case "failed":
            changes |= {"error": {name: said.get(name, "") for name in ("kind", "message", "remedy")}}
        case "cancelled":
            changes |= {"partial": said["partial"]}
    if event.type in TERMINAL_TYPES:
        changes |= {"ended_at": event.ts}
    return changes
