"""What has changed, told to the pages that show it: one look at the database for all of them, one stream a browser.

A page names its topics with the position that it was made from (`board`, `run:ID@12`) and is answered with what each of
them is now, then with each change; so nothing depends on what was sent before, and whoever comes back after a cut is
right at once. A beat twice a second says up to when all that is true: where the database is away it stands still.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Header, Query, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from pitboss.bootstrap import Platform
from pitboss.core.clock import to_iso
from pitboss.core.errors import InvalidInput, NotFound, PitbossError, StorageUnavailable, Unauthorized
from pitboss.core.principal import LOCAL, Principal
from pitboss.http.deps import Who
from pitboss.http.together import Together

logger = logging.getLogger("pitboss.web")
router = APIRouter()
LOOK_SECONDS = 0.2  # between two looks at the database, while it changes
IDLE_SECONDS = 1.0  # while it does not: what depends on the clock
LOOKS_AT_ONCE = 4
BEAT_SECONDS = 0.5
ALLOWED_SECONDS = 1.0
MOST_TOPICS = 60
MOST_BEHIND = 64  # messages that a browser may lag before it is cut off; it comes back and is told all
BEAT = "beat"
Message = dict[str, Any]
GONE: Message = {"gone": True}  # of what is not, or is not for whoever asks


class Watched(Protocol):
    """Something that pages show. One of it is kept for all who look at it; asked from one thread at a time."""

    def look(self) -> Message | None:
        """Answer what has changed since the last look, all at the first, None when nothing has.

        Raises StorageUnavailable, NotFound. One whose look failed is not asked again: another is opened in its place.
        """

    def whole(self, position: int) -> Message:
        """Answer all of it for a page that knows it up to `position`. Raises StorageUnavailable, NotFound."""


Opener = Callable[[Platform, Principal, str, str], Watched]


@dataclass(frozen=True)
class Said:
    """A message as it goes out, written once for all who are told."""

    topic: str
    position: int
    data: str

    @classmethod
    def of(cls, topic: str, message: Message) -> Said:
        return cls(topic, message.get("position", 0), json.dumps({"topic": topic} | message))


@dataclass(eq=False)
class Listener:
    """One browser, and what it shows: where each topic is kept, by the topic."""

    who: Principal
    keys: dict[str, str]
    queue: asyncio.Queue[Said | None] = field(default_factory=lambda: asyncio.Queue(MOST_BEHIND))

    def put(self, said: Said | None) -> None:
        try:
            self.queue.put_nowait(said)
        except asyncio.QueueFull:  # it does not read: the stream ends, and its browser asks anew
            while not self.queue.empty():
                self.queue.get_nowait()
            self.queue.put_nowait(None)


@dataclass(frozen=True)
class Topic:
    """What a page shows: its sort, which one, and the position up to which the page knows it."""

    name: str
    which: str
    position: int

    @property
    def text(self) -> str:
        return f"{self.name}:{self.which}" if self.which else self.name


def read_topics(text: str) -> list[Topic]:
    """Read `board run:ID@12`. Raises InvalidInput."""
    found = []
    for word in text.split():
        named, _, position = word.partition("@")
        name, _, which = named.partition(":")
        if position and not (position.isascii() and position.isdigit() and len(position) < 10):
            raise InvalidInput(f"'{word[:60]}' is no topic", "write run:ID@12", "topics")
        found.append(Topic(name, which, int(position or 0)))
    if not 1 <= len(found) <= MOST_TOPICS:
        raise InvalidInput(f"{len(found)} topics are none or too many", f"1 to {MOST_TOPICS}", "topics")
    return found


@dataclass(eq=False)
class Kept:
    """A topic that pages show, and up to when what they were told of it is true."""

    who: Principal
    topic: Topic
    watched: Watched | None = None  # None until it is opened, and again after it failed: then all of it is told anew
    as_of: float = 0.0
    is_due: bool = True
    looked_at: float = 0.0
    looking: asyncio.Task[None] | None = None


class Live:
    """Looks at the database for all pages that are open. Belongs to one event loop.

    Each topic is looked at by itself, so what takes long holds up nobody else, and has its own time up to which it is
    true: a browser is told the oldest of those that it shows.
    """

    def __init__(self, platform: Platform, openers: dict[str, Opener], root: str) -> None:
        self._platform = platform
        self._openers = openers
        self._root = root
        self._changes = platform.database.changes()
        self._kept: dict[str, Kept] = {}
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._looks = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._asked: Together[tuple[Principal, Topic], Said] = Together(self._answers)
        self._allowed_at = 0.0
        self._is_cut_off = False  # from the database

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="live")

    async def stop(self) -> None:
        tasks = [self._task, *(kept.looking for kept in self._kept.values())]
        running = [task for task in tasks if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._changes.close()

    async def now(self, who: Principal, topics: Sequence[Topic]) -> list[Said]:
        """Answer what each topic is now; of one that is not, or not somebody's to see, that it is gone."""
        return [await self._asked.ask((who, topic)) for topic in topics]

    async def listen(self, who: Principal, topics: Sequence[Topic]) -> AsyncIterator[Said]:
        """Yield what each topic is, then what changes, and beats; it ends where who asks must sign in by now."""
        listener = Listener(who, {topic.text: f"{topic.text} of {who.name}" for topic in topics})
        for topic in topics:  # what pages say of a run depends on whose it is, so it is kept for each
            self._kept.setdefault(listener.keys[topic.text], Kept(who, topic))
        self._listeners.add(listener)  # before it is told all: what happens meanwhile is told twice rather than never
        self._wanted.set()
        try:
            for said in await self.now(who, topics):
                yield said
            while (news := await listener.queue.get()) is not None:
                yield news
        finally:
            self._listeners.discard(listener)

    def _opened(self, who: Principal, topic: Topic) -> Watched:
        opener = self._openers.get(topic.name)
        if opener is None:
            raise NotFound(f"there is no topic '{topic.name[:40]}'", f"there are {', '.join(self._openers)}")
        return opener(self._platform, who, topic.which, self._root)

    def _answers(self, asked: Sequence[tuple[Principal, Topic]]) -> dict[tuple[Principal, Topic], Said | PitbossError]:
        found: dict[tuple[Principal, Topic], Said | PitbossError] = {}
        for who, topic in asked:
            try:
                found[who, topic] = Said.of(topic.text, self._opened(who, topic).whole(topic.position))
            except NotFound:
                found[who, topic] = Said.of(topic.text, GONE)
            except PitbossError as error:
                found[who, topic] = error
        return found

    async def _run(self) -> None:
        beat_at = 0.0
        while True:
            if not self._listeners:
                self._kept.clear()
                self._wanted.clear()
                await self._wanted.wait()
            try:
                await self._turn()
                self._is_cut_off = False
            except StorageUnavailable as error:
                if not self._is_cut_off:
                    logger.warning("pages wait for the database", extra={"error": str(error)})
                self._is_cut_off = True
            except Exception as error:  # without this task every page would fall silent
                logger.error("telling pages failed and goes on", exc_info=error)
            if time.monotonic() - beat_at >= BEAT_SECONDS:
                beat_at = time.monotonic()
                for listener in self._listeners:
                    oldest = min((self._kept[key].as_of for key in listener.keys.values()), default=time.time())
                    if oldest:
                        listener.put(Said.of(BEAT, {"as_of": to_iso(oldest)}))
            await asyncio.sleep(LOOK_SECONDS)

    async def _turn(self) -> None:
        """Have each topic looked at that may have changed, and send those away whom nobody knows any more."""
        used = {key for listener in self._listeners for key in listener.keys.values()}
        for key in self._kept.keys() - used:
            if self._kept[key].looking is None:
                del self._kept[key]
        started = time.time()
        has_changed = await asyncio.to_thread(self._has_changed)
        for key, kept in self._kept.items():
            kept.is_due |= has_changed or time.monotonic() - kept.looked_at >= IDLE_SECONDS
            if kept.looking is not None:
                continue
            if kept.is_due:
                kept.looking = asyncio.create_task(self._look(key, kept))
            else:
                kept.as_of = started
        strangers = [listener for listener in self._listeners if listener.who == LOCAL]
        if strangers and time.monotonic() - self._allowed_at > ALLOWED_SECONDS:
            self._allowed_at = time.monotonic()
            if await asyncio.to_thread(self._platform.accounts.has_accounts):  # since lately: they must sign in
                for listener in strangers:
                    listener.put(None)

    def _has_changed(self) -> bool:
        """Answer whether somebody wrote. Raises StorageUnavailable: what cannot be asked is not as it was."""
        if self._changes.poll():
            return True
        self._platform.database.ping()
        return False

    async def _look(self, key: str, kept: Kept) -> None:
        """Look at one topic, and tell all who show it what has changed."""
        try:
            async with self._looks:
                kept.is_due, kept.looked_at, started = False, time.monotonic(), time.time()
                message = await asyncio.to_thread(self._seen, kept)
            kept.as_of = started
        except Exception as error:
            kept.watched, kept.is_due = None, isinstance(error, StorageUnavailable)
            if not kept.is_due:
                logger.error("looking at what pages show failed and is tried again", exc_info=error)
            return
        finally:
            kept.looking = None
        if message is not None:
            said = Said.of(kept.topic.text, message)
            for listener in list(self._listeners):
                if key in listener.keys.values():
                    listener.put(said)

    def _seen(self, kept: Kept) -> Message | None:
        try:
            if kept.watched is None:
                kept.watched = self._opened(kept.who, kept.topic)
            return kept.watched.look()
        except NotFound:  # somebody may see it no more; should that change, all of it is told
            kept.watched = None
            return GONE


@router.get("/live")
async def live(
    request: Request,
    who: Who,
    topics: Annotated[str, Query(max_length=8_000, description="What the page shows, such as 'board run:ID@12'.")],
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=8_000)] = None,
    accept: Annotated[str, Header()] = "text/event-stream",
) -> Response:
    """Stream what the topics are and become, or answer once what they are."""
    hub: Live = request.app.state.live
    asked = read_topics(last_event_id or topics)  # where a stream broke off it has told more than the page was made of
    if "application/json" in accept and "text/event-stream" not in accept:
        started = to_iso(time.time())
        said = ",".join(each.data for each in await hub.now(who, asked))
        return Response(f'{{"as_of":"{started}","messages":[{said}]}}', media_type="application/json")
    if who == LOCAL and await asyncio.to_thread(request.app.state.platform.accounts.has_accounts):
        raise Unauthorized("this server must know who asks", "sign in")
    await hub.now(who, asked)  # what is wrong is told by the status, before a stream begins
    return EventSourceResponse(_events(hub, who, asked), ping=15, send_timeout=20)


async def _events(hub: Live, who: Principal, topics: list[Topic]) -> AsyncIterator[ServerSentEvent]:
    positions = {topic.text: topic.position for topic in topics}
    try:
        async for said in hub.listen(who, topics):
            if said.topic == BEAT:
                yield ServerSentEvent(said.data, event=BEAT)
                continue
            positions[said.topic] = said.position
            at = " ".join(f"{name}@{position}" for name, position in positions.items())
            yield ServerSentEvent(said.data, event="change", id=at)
    except PitbossError as error:
        logger.info("a page's stream ended", extra={"error": str(error)})
