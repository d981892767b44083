"""Finds out what is due and queues it. Every server has one; nothing is kept in memory that would be missed.

A time becomes a row, of which there is one for each schedule and time, in the transaction that says up to when the
schedule was looked at. Its run is queued under a key made of both, so that it is one run whoever queues it, and however
often. A server that dies in between leaves a row that is due, and another goes on from there.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice

from pitboss.core.errors import DiskFull, PitbossError, QueueFull, StorageUnavailable
from pitboss.core.principal import Principal
from pitboss.routine.looking import Looking
from pitboss.routine.schedules import DATA_KIND, CatchUp, Overlap, Schedule, ScheduleStore, Tick, TickState
from pitboss.routine.when import AfterData, read_when
from pitboss.runs.model import Run
from pitboss.runs.service import RunService
from pitboss.runs.submission import Submission

logger = logging.getLogger("pitboss.routine")

GRACE_SECONDS = 60.0  # after which a time has passed while nobody looked
MOST_TICKS = 1000  # of a schedule, that are dealt with in one turn
_LATER = (QueueFull, StorageUnavailable, DiskFull)


class Scheduler(Looking):
    """Looks every second. `owner` answers as whom the runs of somebody's schedules are queued, None where that is
    nobody any more."""

    name = "scheduler"

    def __init__(
        self, store: ScheduleStore, service: RunService, owner: Callable[[str], Principal | None],
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        super().__init__()
        self._store = store
        self._service = service
        self._owner = owner
        self._clock = clock
        self._next: dict[tuple[str, str, str, float], float] = {}

    def turn(self) -> list[Run]:
        """Note what has become due, and queue it; answer the runs."""
        now = self._clock()
        for schedule in self._store.all():
            if not schedule.is_paused:
                self.each(schedule.name, partial(self._look, schedule, now))
        due = self._store.due()
        queued = [self.each(schedule.name, partial(self._queue, schedule, tick, now)) for schedule, tick in due]
        return [run for run in queued if run is not None]

    def _look(self, schedule: Schedule, now: float) -> None:
        """Note the times of a schedule that have come since it was looked at last."""
        known = (schedule.id, schedule.when, schedule.zone, schedule.seen_until)
        if now < self._next.get(known, 0.0):
            return
        when = read_when(schedule.when, schedule.zone)
        found: Iterable[float] = when.between(schedule.seen_until, now)
        if isinstance(when, AfterData):
            found = self._store.ended(schedule.owner, DATA_KIND, schedule.seen_until)
        # of those that are missed anyway the latest are enough
        times = list(islice(found, MOST_TICKS) if schedule.catch_up is CatchUp.ALL else deque(found, MOST_TICKS))
        if not times and not isinstance(when, AfterData):
            first = next(iter(when.ticks(now)), now + GRACE_SECONDS)
            self._next = {key: at for key, at in self._next.items() if key[0] != schedule.id} | {known: first}
        if not times:
            return
        self._store.note(schedule, [self._found(schedule, at, times[-1], now) for at in times], times[-1])

    def _found(self, schedule: Schedule, at: float, last: float, now: float) -> Tick:
        is_late = now - at > GRACE_SECONDS
        is_caught_up = schedule.catch_up is CatchUp.ALL or (schedule.catch_up is CatchUp.LAST and at == last)
        if not is_late or is_caught_up:
            return Tick(schedule.id, at, TickState.DUE)
        return Tick(schedule.id, at, TickState.MISSED, note="nobody looked at that time")

    def _queue(self, schedule: Schedule, tick: Tick, now: float) -> Run | None:
        """Queue the run of a tick, unless it is not wanted; where there is no room now it is tried again."""
        if now < tick.at + schedule.delay(tick.at):
            return None
        who = self._owner(schedule.owner)
        if who is None:
            self._store.settle(_ended(tick, TickState.REFUSED, f"the account {schedule.owner} is not enabled"))
            return None
        if schedule.overlap is Overlap.SKIP and self._store.unfinished(schedule.id):
            self._store.settle(_ended(tick, TickState.SKIPPED, "the run before was still going"))
            return None
        request = Submission(
            kind=schedule.kind, params=schedule.params, priority=schedule.priority, options=schedule.options,
            tags=tuple(dict.fromkeys((*schedule.tags, schedule.tag))),
            idempotency_key=f"schedule {schedule.id} {tick.at:.6f}",
        )  # fmt: skip
        try:
            run = self._service.submit(who, request)
        except _LATER as error:
            logger.warning("a scheduled run waits to be queued", extra={"schedule": schedule.name, "error": str(error)})
            return None
        except PitbossError as error:
            self._store.settle(_ended(tick, TickState.REFUSED, str(error)[:500]))
            return None
        self._store.settle(Tick(tick.schedule_id, tick.at, TickState.QUEUED, run.id))
        return run


def _ended(tick: Tick, state: TickState, note: str) -> Tick:
    return Tick(tick.schedule_id, tick.at, state, note=note)
