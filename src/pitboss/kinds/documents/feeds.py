"""Sources of market data, as a run uses them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pitboss.core.errors import InvalidInput
from pitboss.market.sources import Source, source_of
from pitboss.runs.context import RunContext
from pitboss.runs.kinds import Secrets

if TYPE_CHECKING:
    from pitboss.market.fetching import Feed, Provider
    from pitboss.market.store import BarStore

STEP_SECONDS = 0.1
LONG_SECONDS = 5.0  # a wait that people are told of


class Sources(Protocol):
    """Which sources are configured, and which secrets there are."""

    @property
    def feeds(self) -> Mapping[str, Mapping[str, Any]]: ...

    @property
    def secrets(self) -> Secrets: ...


def chosen(name: str | None, sources: Sources, field: str = "source") -> Source:
    """Answer the source of a name, or the first that is configured. Raises InvalidInput, also for a key that is
    missing."""
    configured = sources.feeds
    if not configured:
        raise InvalidInput("no source is configured", "add one to the setting 'sources'", field)
    source = source_of(name or next(iter(configured)), configured, field)
    missing = sources.secrets.missing([source.secret]) if source.secret else []
    if missing:
        raise InvalidInput(missing)
    return source


def fixed(source: Source, witness: Source | None = None) -> dict[str, Any]:
    """Answer what a snapshot says of a source, and of another one that it is compared with."""
    found = {"source": source} | ({"witness": witness} if witness is not None else {})
    secrets = sorted({each.secret for each in found.values() if each.secret})
    described: dict[str, Any] = {
        role: {"name": each.name, "config": dict(each.config)} for role, each in found.items()
    }  # fmt: skip
    return described | ({"secrets": secrets} if secrets else {})


def feed_of(context: RunContext, store: BarStore) -> Feed:
    """Answer what fills a store from the source of a run, for as long as nobody asks the run to end."""
    from pitboss.market.fetching import Feed

    return Feed(provider_of(context), store)


def provider_of(context: RunContext, role: str = "source") -> Provider:
    """Answer a source as a run asks it, by what its snapshot says of the role."""
    from pitboss.market.fetching import Provider
    from pitboss.market.sources.web import Web

    described = context.snapshot[role]
    source = source_of(described["name"], {described["name"]: described["config"]})
    folder = context.world.data_dir / "sources"
    web = Web(source.name, folder, source.per_minute, wait=lambda seconds: wait(seconds, context, source.name))
    return Provider(source, web, context.secrets.get(source.secret, ""))


def wait(seconds: float, context: RunContext, source: str) -> None:
    """Sleep, and raise RunCancelled as soon as somebody asks the run to end. A long wait is told."""
    if seconds > LONG_SECONDS:
        context.log(f"{source} is asked again in {seconds:.0f} s: it wants no more requests before")
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        context.check_cancel()
        time.sleep(min(left, STEP_SECONDS))
