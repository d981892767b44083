"""The one place where a run changes: a compare-and-set on id, state and lease token, with its events.

Every event gets its seq from the run's row in the same statement that checks the token, so the numbers
have no gaps and a stale worker writes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pitboss.runs.events import Event, ItemCompleted
from pitboss.runs.states import State, sources_of
from pitboss.storage.database import after_commit
from pitboss.storage.tables import run_events, runs

logger = logging.getLogger("pitboss.runs")


class Fence(NamedTuple):
    """What a worker shows to write: the token of its claim, and the number of the write."""

    token: str
    number: int


def write_run(
    connection: Connection,
    run_id: str,
    now: float,
    events: Sequence[Event],
    values: dict[str, Any],
    to: State | None = None,
    fence: Fence | None = None,
) -> bool:
    """Append `events`, set `values`, and move the run to state `to` where one is given.

    `fence` None is for what needs no lease: moves of a queued run, a cancel, a recovery that has the row
    locked. Answers False, with nothing written, when the run is elsewhere or the fence is shut.
    """
    events = _unseen(connection, run_id, events)
    condition = [runs.c.id == run_id]
    if fence is not None:
        condition += [runs.c.lease_token == fence.token, runs.c.last_write < fence.number]
        values = values | {"last_write": fence.number}
    if to is not None:
        condition.append(runs.c.state.in_([state.value for state in sources_of(to)]))
        values = values | {"state": to.value}
        if to.is_terminal:
            values |= {"ended_at": now, "lease_token": None, "lease_until": None}
    statement = (
        sa.update(runs)
        .where(*condition)
        .values(last_seq=runs.c.last_seq + len(events), **values)
        .returning(runs.c.last_seq, runs.c.attempt)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        logger.info("write refused", extra={"run": run_id, "to": to.value if to else None})
        return False
    first = row.last_seq - len(events) + 1
    if events:
        connection.execute(sa.insert(run_events), [_row(run_id, first + i, now, e) for i, e in enumerate(events)])
    if to is not None:
        say_moved(connection, run_id, to, row.attempt)
    return True


def say_moved(connection: Connection, run_id: str, to: State, attempt: int) -> None:
    """Log a transition, once it is certain."""
    details = {"run": run_id, "to": to.value, "attempt": attempt}
    after_commit(connection, partial(logger.info, "run moved", extra=details))


def _row(run_id: str, seq: int, now: float, event: Event) -> dict[str, Any]:
    key = event.key if isinstance(event, ItemCompleted) else None
    return {
        "run_id": run_id,
        "seq": seq,
        "ts": now,
        "type": event.type,
        "item_key": key,
        "payload": event.payload(),
    }


def _unseen(connection: Connection, run_id: str, events: Sequence[Event]) -> list[Event]:
    """Leave out items that the log has already: a resumed run reports some of them again."""
    keys = [event.key for event in events if isinstance(event, ItemCompleted)]
    if not keys:
        return list(events)
    known: set[str] = set()
    for start in range(0, len(keys), 500):
        part = sa.select(run_events.c.item_key).where(
            run_events.c.run_id == run_id, run_events.c.item_key.in_(keys[start : start + 500])
        )
        known |= {key for (key,) in connection.execute(part)}
    kept: list[Event] = []
    for event in events:
        if isinstance(event, ItemCompleted):
            if event.key in known:
                continue
            known.add(event.key)
        kept.append(event)
    return kept
