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
from contextlib import suppress
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
BEAT_SECONDS = 0.5
ALLOWED_SECONDS = 1.0
MOST_TOPICS = 60
MOST_BEHIND = 64  # messages that a browser may lag before it is cut off; it comes back and is told all
BEAT = "beat"
Message = dict[str, Any]


class Watched(Protocol):
    """Something that pages show. One of it is kept for all who look at it; asked from one thread at a time."""

    def look(self) -> Message | None:
        """Answer what has changed since the last look, None when nothing has. Raises StorageUnavailable."""

    def whole(self, position: int) -> Message:
        """Answer all of it for a page that knows it up to `position`. Raises StorageUnavailable, NotFound."""

    def may_see(self, who: Principal) -> bool:
        """Answer whether somebody may look at it still."""


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


class Live:
    """Looks at the database for all pages that are open. Belongs to one event loop."""

    def __init__(self, platform: Platform, openers: dict[str, Opener], root: str) -> None:
        self._platform = platform
        self._openers = openers
        self._root = root
        self._changes = platform.database.changes()
        self._watched: dict[str, Watched] = {}
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._asked: Together[tuple[Principal, Topic], Said] = Together(self._answers)
        self._as_of = time.time()
        self._looked_at = 0.0
        self._allowed_at = 0.0

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="live")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._changes.close()

    @property
    def as_of(self) -> str:
        return to_iso(self._as_of) or ""

    async def now(self, who: Principal, topics: Sequence[Topic]) -> list[Said]:
        """Answer what each topic is now. Raises NotFound for one that is not somebody's to see."""
        return [await self._asked.ask((who, topic)) for topic in topics]

    async def listen(self, who: Principal, topics: Sequence[Topic]) -> AsyncIterator[Said]:
        """Yield what each topic is, then what changes, until one of them may be seen no more."""
        listener = Listener(who, {topic.text: self._key(who, topic) for topic in topics})
        for topic in topics:  # before all of it is told: what happens from now on is told again rather than not at all
            key = self._key(who, topic)
            if key not in self._watched:
                self._watched.setdefault(key, await asyncio.to_thread(self._begun, who, topic))
        self._listeners.add(listener)
        self._wanted.set()
        try:
            for said in await self.now(who, topics):
                yield said
            while (news := await listener.queue.get()) is not None:
                yield news
        finally:
            self._listeners.discard(listener)

    def _key(self, who: Principal, topic: Topic) -> str:
        """Answer under what a topic is kept: what pages say of a run depends on whose it is."""
        return f"{topic.text} of {who.name}"

    def _opened(self, who: Principal, topic: Topic) -> Watched:
        opener = self._openers.get(topic.name)
        if opener is None:
            raise NotFound(f"there is no topic '{topic.name[:40]}'", f"there are {', '.join(self._openers)}")
        return opener(self._platform, who, topic.which, self._root)

    def _begun(self, who: Principal, topic: Topic) -> Watched:
        watched = self._opened(who, topic)
        watched.look()
        return watched

    def _answers(self, asked: Sequence[tuple[Principal, Topic]]) -> dict[tuple[Principal, Topic], Said | PitbossError]:
        started = time.time()
        found: dict[tuple[Principal, Topic], Said | PitbossError] = {}
        for who, topic in asked:
            try:
                found[who, topic] = self._whole(who, topic)
            except PitbossError as error:
                found[who, topic] = error
        self._as_of = started
        return found

    def _whole(self, who: Principal, topic: Topic) -> Said:
        watched = self._opened(who, topic)
        if not watched.may_see(who):
            raise NotFound(f"there is no {topic.name} {topic.which[:64]} for you", "it may have been taken back")
        return Said.of(topic.text, watched.whole(topic.position))

    async def _run(self) -> None:
        beat_at = 0.0
        while True:
            if not self._listeners:
                self._wanted.clear()
                self._watched.clear()
                await self._wanted.wait()
            try:
                await self._turn()
            except StorageUnavailable as error:
                logger.warning("pages wait for the database", extra={"error": str(error)})
            except Exception as error:  # without this task every page would fall silent
                logger.error("telling pages failed and goes on", exc_info=error)
            if time.monotonic() - beat_at >= BEAT_SECONDS:
                beat_at = time.monotonic()
                beat = Said.of(BEAT, {"as_of": self.as_of})
                for listener in self._listeners:
                    listener.put(beat)
            await asyncio.sleep(LOOK_SECONDS)

    async def _turn(self) -> None:
        """Look once, tell what has changed, and send those away who may not listen any more."""
        used = {key: topic for listener in self._listeners for topic, key in listener.keys.items()}
        for key in self._watched.keys() - used.keys():
            del self._watched[key]
        looked = await asyncio.to_thread(self._look, {key: self._watched[key] for key in used if key in self._watched})
        found = {key: Said.of(used[key], message) for key, message in looked.items()}
        for listener in list(self._listeners):
            for key in listener.keys.values():
                if key in found:
                    listener.put(found[key])
        if time.monotonic() - self._allowed_at > ALLOWED_SECONDS:
            self._allowed_at = time.monotonic()
            for listener in await asyncio.to_thread(self._unwelcome, list(self._listeners)):
                listener.put(None)

    def _look(self, watched: dict[str, Watched]) -> dict[str, Message]:
        started = time.time()
        is_due = time.monotonic() - self._looked_at >= IDLE_SECONDS
        if not self._changes.poll() and not is_due:
            self._as_of = started
            return {}
        self._looked_at = time.monotonic()
        found = {}
        for key, each in watched.items():
            with suppress(NotFound):  # somebody may see it no more, and is sent away
                message = each.look()
                if message is not None:
                    found[key] = message
        self._as_of = started
        return found

    def _unwelcome(self, listeners: list[Listener]) -> list[Listener]:
        has_accounts = self._platform.accounts.has_accounts()
        asked: dict[tuple[str, str], bool] = {}

        def may(listener: Listener, key: str) -> bool:
            watched = self._watched.get(key)
            pair = (listener.who.name, key)
            if pair not in asked:
                asked[pair] = watched is None or watched.may_see(listener.who)
            return asked[pair]

        return [
            listener
            for listener in listeners
            if (has_accounts and listener.who == LOCAL) or not all(may(listener, key) for key in listener.keys.values())
        ]


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
        said = ",".join(each.data for each in await hub.now(who, asked))
        return Response(f'{{"as_of":"{hub.as_of}","messages":[{said}]}}', media_type="application/json")
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
