"""What every endpoint is handed. What waits for nothing is a coroutine: it needs no thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, Protocol

from fastapi import Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool

from pitboss.bootstrap import Platform
from pitboss.core.errors import NotFound, Unauthorized
from pitboss.core.principal import LOCAL, Principal, Rights


class Lag(Protocol):
    """How many events were sent, and how long they took from the database to their streams, in all."""

    count: int
    seconds: float


class Told(Protocol):
    """One event as it goes out."""

    run_id: str
    seq: int
    body: bytes

    def document(self) -> dict[str, Any]:
        """Answer the event as `StoredEvent.as_dict` does."""


class Streams(Protocol):
    """What reads the event log aloud for every stream of this server; the host has one as `app.state.tailer`."""

    lag: Lag

    def listen(self, positions: Mapping[str, int], ended: Collection[str] = ()) -> AsyncIterator[Sequence[Told]]:
        """Yield the events beyond `positions` as they come, until the last of each run that has not `ended`."""


async def asker(request: Request) -> AsyncIterator[Callable[..., Any]]:
    """Answer what asks the process that has the libraries of numbers loaded; see `reader.process`. A few requests at a
    time may: the others wait for that without holding a thread, of which all pages together have forty."""
    async with request.app.state.reading:
        yield request.app.state.reader.ask


async def importer(request: Request) -> Callable[..., Any]:
    """Answer what asks a process of its own, for what may take minutes: `import_file`, one at a time."""
    ask: Callable[..., Any] = request.app.state.importer.ask
    return ask


def platform_of(request: Request) -> Platform:
    """Answer the platform of this server. Raises Misplaced when its data folder was moved away under it."""
    platform: Platform = request.app.state.platform
    platform.database.check_place()
    return platform


async def principal_of(request: Request) -> Principal:
    """Answer who asks, as the host found out. Raises Unauthorized where nobody knows."""
    who: Principal | None = getattr(request.state, "who", LOCAL)
    if who is None:
        raise unknown()
    return who


def unknown() -> Unauthorized:
    """Answer what somebody is told whom nobody knows."""
    return Unauthorized("this server must know who asks", "sign in, or send a token: Authorization: Bearer pb_…")


async def whose(
    request: Request,
    owner: Annotated[
        str | None, Query(max_length=64, pattern=r"^[^\x00]*$", description="Whose, for administrators.")
    ] = None,
) -> Principal:
    """Answer whose things are looked at: one's own, and for an administrator another's, which is noted."""
    who = await principal_of(request)
    if owner in (None, who.name):
        return who
    if not who.is_operator:
        raise NotFound(f"there is nothing of '{owner}' for you", "leave the owner out")
    await run_in_threadpool(request.app.state.platform.overseer.saw, who, f"things of {owner}")
    return Principal(str(owner), Rights.READ)


Ask = Annotated[Callable[..., Any], Depends(asker)]
Importer = Annotated[Callable[..., Any], Depends(importer)]
Wired = Annotated[Platform, Depends(platform_of)]
Who = Annotated[Principal, Depends(principal_of)]
Whose = Annotated[Principal, Depends(whose)]
RunId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A run's id.")]
