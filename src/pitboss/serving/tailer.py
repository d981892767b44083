"""One reader of the database for all event streams of a process, however many listen.

What a run says is encoded once, kept for a while, and shared by all who listen to that run: a listener holds
positions, and no events. One that stands further back than what is kept reads pages from the database, and those are
shared too: a thousand that come back after a restart read each page once. Memory is bounded in bytes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pitboss.core.errors import StorageUnavailable
from pitboss.runs.events import TERMINAL_TYPES
from pitboss.runs.model import StoredEvent
from pitboss.runs.ports import ChangeSignal, EventLog

logger = logging.getLogger("pitboss.api")

POLL_SECONDS = 0.03
RETRY_SECONDS = 0.5
LOOK_SECONDS = 0.5  # the database is read this often, whatever was told of changes
OVERLAP = 100
PAGE = 100  # events, of which the largest decide what it weighs
READERS = 4  # pages that are read at once
TAIL_BYTES = 1 << 18  # kept of what one run has said last
TAILS_BYTES = 1 << 25  # and of all runs together
PAGES_BYTES = 1 << 23
BATCH_BYTES = 1 << 16  # handed to a listener at once


@dataclass(frozen=True, slots=True)
class Told:
    """An event as it is sent, but for its id, which tells a client's positions in all of its runs."""

    run_id: str
    seq: int
    body: bytes
    is_last: bool

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body.partition(b"data: ")[2])
        return found


def told(event: StoredEvent) -> Told:
    """Encode an event: its type and itself, as the lines of a Server-Sent Event."""
    body = f"event: {event.type}\r\ndata: {json.dumps(event.as_dict())}\r\n\r\n".encode()
    return Told(event.run_id, event.seq, body, event.type in TERMINAL_TYPES)


@dataclass
class Tail:
    """What a run has said last: everything after `start`, as far as it has been read."""

    start: int
    events: deque[Told] = field(default_factory=deque)
    size: int = 0

    @property
    def head(self) -> int:
        return self.events[-1].seq if self.events else self.start

    def add(self, event: Told, most_bytes: int) -> None:
        """Add what comes next; the oldest gives way."""
        self.events.append(event)
        self.size += len(event.body)
        while self.size > most_bytes and len(self.events) > 1:
            gone = self.events.popleft()
            self.start = gone.seq
            self.size -= len(gone.body)

    def after(self, seq: int) -> list[Told] | None:
        """Answer what comes after `seq`, None when some of that is no longer here."""
        if seq < self.start:
            return None
        found = []
        for event in reversed(self.events):
            if event.seq <= seq:
                break
            found.append(event)
        return found[::-1]


@dataclass(eq=False)
class Listener:
    """One stream: where it stands in each of its runs, and whether there may be more."""

    after: dict[str, int]
    open_runs: set[str]
    news: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Lag:
    """How long events took from the database to the streams of this server, by both clocks."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds


class Pages:
    """Pages of the log, read once for all who want one at the same time, and kept a little."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._kept: OrderedDict[tuple[str, int], list[Told]] = OrderedDict()
        self._size = 0
        self._read: dict[tuple[str, int], asyncio.Task[list[Told]]] = {}
        self._readers = asyncio.Semaphore(READERS)

    async def after(self, run_id: str, seq: int) -> list[Told]:
        """Answer some events after `seq`, none when there are no more. Raises StorageUnavailable."""
        start = seq - seq % PAGE
        while True:
            page = await self._page((run_id, start))
            found = [event for event in page if event.seq > seq]
            if found or len(page) < PAGE:
                return found
            start = page[-1].seq  # all of it is known already: the log was thinned

    async def _page(self, key: tuple[str, int]) -> list[Told]:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._read:
            self._read[key] = asyncio.create_task(self._fetched(key))
            self._read[key].add_done_callback(lambda _: self._read.pop(key))
        return await asyncio.shield(self._read[key])

    async def _fetched(self, key: tuple[str, int]) -> list[Told]:
        async with self._readers:
            page = await asyncio.to_thread(self._encoded, *key)
        if len(page) == PAGE:  # only whole ones stay as they are
            self._kept[key] = page
            self._size += _size(page)
        while self._size > PAGES_BYTES:
            self._size -= _size(self._kept.popitem(last=False)[1])
        return page

    def _encoded(self, run_id: str, after: int) -> list[Told]:
        return [told(event) for event in self.log.read(run_id, after, PAGE)]


def _size(page: list[Told]) -> int:
    return sum(len(event.body) for event in page)


class Tailer:
    """Reads new events of the runs that somebody listens to. Belongs to one event loop."""

    def __init__(self, log: EventLog, changes: ChangeSignal) -> None:
        self.log = log
        self.changes = changes
        self.lag = Lag()
        self._pages = Pages(log)
        self._listeners: dict[str, set[Listener]] = {}
        self._tails: dict[str, Tail] = {}
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._look_at = 0.0

    def start(self) -> None:
        self._task = asyncio.create_task(self._tail(), name="tailer")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.changes.close()

    async def listen(self, after: Mapping[str, int], ended: Collection[str] = ()) -> AsyncIterator[list[Told]]:
        """Yield the events of the runs in `after` beyond the seq given for each, some at a time, until all have ended.

        `ended` are those whose last event the client has already.
        """
        listener = Listener(dict(after), set(after) - set(ended))
        self._enter(listener)
        try:
            while listener.open_runs:
                listener.news.clear()
                for run_id in list(listener.open_runs):
                    async for batch in self._batches(listener, run_id):
                        yield batch
                if listener.open_runs:
                    await listener.news.wait()
        finally:
            self._leave(listener)

    async def _batches(self, listener: Listener, run_id: str) -> AsyncIterator[list[Told]]:
        """Yield what there is of one run by now, never more at a time than BATCH_BYTES, or a single event."""
        while run_id in listener.open_runs and (found := await self._after(run_id, listener.after[run_id])):
            for batch in _cut(found):
                listener.after[run_id] = batch[-1].seq
                if batch[-1].is_last:
                    listener.open_runs.discard(run_id)
                yield batch

    async def _after(self, run_id: str, seq: int) -> list[Told]:
        """Answer some events after `seq` from what is kept, or from the database, none when there are no more."""
        while True:
            tail = self._tails.get(run_id)
            found = tail.after(seq) if tail is not None else None
            if found is not None:
                return found
            try:
                return await self._pages.after(run_id, seq)
            except StorageUnavailable as error:
                logger.warning("event stream waits for the database", extra={"error": str(error)})
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
                self._tails.clear()
                await self._wanted.wait()
            try:
                self._hand_out(await asyncio.to_thread(self._read_new, list(self._listeners)))
            except StorageUnavailable as error:
                logger.warning("event stream waits for the database", extra={"error": str(error)})
                await asyncio.sleep(RETRY_SECONDS)
            except Exception as error:  # without this task every stream of the server would fall silent
                logger.error("event stream failed and goes on", exc_info=error)
                await asyncio.sleep(RETRY_SECONDS)
            for run_id in self._tails.keys() - self._listeners.keys():  # whose last listener left meanwhile
                del self._tails[run_id]
            await asyncio.sleep(POLL_SECONDS)

    def _read_new(self, run_ids: list[str]) -> list[tuple[Told, float]]:
        fresh = [run_id for run_id in run_ids if run_id not in self._tails]
        if not self._has_changed() and not fresh:
            return []
        # a run that was just added is tailed from a little before: its listeners know how far they are
        for run_id, head in self.log.heads(fresh).items() if fresh else ():
            self._tails[run_id] = Tail(max(0, head - OVERLAP))
        found = self.log.tail({run_id: self._tails[run_id].head for run_id in run_ids if run_id in self._tails}, 500)
        self._look_at = 0.0 if len(found) >= 500 else self._look_at
        return [(told(event), event.ts) for event in found]

    def _has_changed(self) -> bool:
        """Answer whether to read: the database told so, or it is time anyway."""
        try:
            has_changed = self.changes.poll()
        except StorageUnavailable as error:
            logger.debug("no notices of changes; looking by itself", extra={"error": str(error)})
            has_changed = False
        has_changed = has_changed or time.monotonic() > self._look_at
        if has_changed:
            self._look_at = time.monotonic() + LOOK_SECONDS
        return has_changed

    def _hand_out(self, new: list[tuple[Told, float]]) -> None:
        now = time.time()
        most_bytes = min(TAIL_BYTES, TAILS_BYTES // max(1, len(self._tails)))
        for event, ts in new:
            self.lag.add(max(0.0, now - ts))
            self._tails[event.run_id].add(event, most_bytes)
        for run_id in {event.run_id for event, _ in new}:
            for listener in self._listeners.get(run_id, ()):
                listener.news.set()


def _cut(events: list[Told]) -> list[list[Told]]:
    """Cut a list of events into pieces of at most BATCH_BYTES, or a single event."""
    pieces: list[list[Told]] = []
    size = BATCH_BYTES
    for event in events:
        size += len(event.body)
        if size > BATCH_BYTES:
            pieces.append([])
            size = len(event.body)
        pieces[-1].append(event)
    return pieces
