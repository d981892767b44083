"""One reader of the database for all event streams of a process, however many listen.

A listener catches up from the database and then hears what the tailer reads; events it knows already are
dropped by their seq, so nothing is missed and nothing comes twice. A listener that falls behind is sent
back to catching up instead of being fed from memory without bound.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field

import structlog

from pitboss.core.errors import StorageUnavailable
from pitboss.runs.events import TERMINAL_TYPES
from pitboss.runs.model import StoredEvent
from pitboss.runs.ports import ChangeSignal, EventLog

logger = structlog.get_logger("pitboss.api")

POLL_SECONDS = 0.03
RETRY_SECONDS = 0.5
LOOK_SECONDS = 0.5  # the database is read this often, whatever was told of changes
BACKLOG = 500
OVERLAP = 100
PAGE = 500


@dataclass(eq=False)
class Listener:
    """One stream: where it stands in each of its runs, and what it has yet to send."""

    after: dict[str, int]
    queue: asyncio.Queue[StoredEvent] = field(default_factory=lambda: asyncio.Queue(BACKLOG))
    is_behind: bool = True


@dataclass
class Lag:
    """How long events took from the database to the streams of this server, by both clocks."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds


class Tailer:
    """Reads new events of the runs that somebody listens to. Belongs to one event loop."""

    def __init__(self, log: EventLog, changes: ChangeSignal) -> None:
        self.log = log
        self.changes = changes
        self._listeners: dict[str, set[Listener]] = {}
        self._heads: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._look_at = 0.0
        self.lag = Lag()

    def start(self) -> None:
        self._task = asyncio.create_task(self._tail(), name="tailer")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.changes.close()

    async def listen(self, after: Mapping[str, int], ended: Collection[str] = ()) -> AsyncIterator[StoredEvent]:
        """Yield the events of the runs in `after` beyond the seq given for each, until all have ended.

        `ended` are those whose last event the client has already.
        """
        listener = Listener(dict(after))
        open_runs = set(after) - set(ended)
        self._enter(listener)
        try:
            while open_runs:
                catches_up = listener.is_behind
                async for event in self._next(listener):
                    if event.seq <= listener.after[event.run_id]:
                        continue
                    if event.seq > listener.after[event.run_id] + 1 and not catches_up:
                        listener.is_behind = True  # something was missed: the database has it, unless it was thinned
                        continue
                    listener.after[event.run_id] = event.seq
                    yield event
                    if event.type in TERMINAL_TYPES:
                        open_runs.discard(event.run_id)
        finally:
            self._leave(listener)

    async def _next(self, listener: Listener) -> AsyncIterator[StoredEvent]:
        if not listener.is_behind:
            yield await listener.queue.get()
            return
        listener.is_behind = False
        while not listener.queue.empty():
            listener.queue.get_nowait()
        try:
            for run_id in list(listener.after):
                while events := await asyncio.to_thread(self.log.read, run_id, listener.after[run_id], PAGE):
                    for event in events:
                        yield event
        except StorageUnavailable as error:
            logger.warning("event stream waits for the database", error=str(error))
            listener.is_behind = True
            await asyncio.sleep(RETRY_SECONDS)

    def _enter(self, listener: Listener) -> None:
        for run_id in listener.after:
            self._listeners.setdefault(run_id, set()).add(listener)
        self._wanted.set()

    def _leave(self, listener: Listener) -> None:
        for run_id in listener.after:
            others = self._listeners[run_id]
            others.discard(listener)
            if not others:
                del self._listeners[run_id]

    async def _tail(self) -> None:
        while True:
            if not self._listeners:
                self._wanted.clear()
                await self._wanted.wait()
            try:
                new = await asyncio.to_thread(self._read_new, list(self._listeners))
            except StorageUnavailable as error:
                logger.warning("event stream waits for the database", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except Exception as error:  # without this task every stream of the server would fall silent
                logger.error("event stream failed and goes on", exc_info=error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            now = time.time()
            for event in new:
                self.lag.add(max(0.0, now - event.ts))
                self._hand_out(event)
            for run_id in self._heads.keys() - self._listeners.keys():  # whose last listener left meanwhile
                del self._heads[run_id]
            await asyncio.sleep(POLL_SECONDS)

    def _read_new(self, run_ids: list[str]) -> list[StoredEvent]:
        fresh = [run_id for run_id in run_ids if run_id not in self._heads]
        if not self._has_changed() and not fresh:
            return []
        # a run that was just added is tailed from a little before: its listeners drop what they know
        self._heads |= {run_id: max(0, head - OVERLAP) for run_id, head in self.log.heads(fresh).items()}
        found = self.log.tail({run_id: self._heads[run_id] for run_id in run_ids if run_id in self._heads}, PAGE)
        for event in found:
            self._heads[event.run_id] = event.seq
        self._look_at = 0.0 if len(found) >= PAGE else self._look_at
        return found

    def _has_changed(self) -> bool:
        """Answer whether to read: the database told so, or it is time anyway."""
        try:
            has_changed = self.changes.poll()
        except StorageUnavailable as error:
            logger.debug("no notices of changes; looking by itself", error=str(error))
            has_changed = False
        has_changed = has_changed or time.monotonic() > self._look_at
        if has_changed:
            self._look_at = time.monotonic() + LOOK_SECONDS
        return has_changed

    def _hand_out(self, event: StoredEvent) -> None:
        for listener in self._listeners.get(event.run_id, ()):
            if listener.is_behind:
                continue
            try:
                listener.queue.put_nowait(event)
            except asyncio.QueueFull:
                listener.is_behind = True
