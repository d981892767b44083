"""Sources of market data, as a run uses them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pitboss.core.errors import InvalidInput
from pitboss.market.sources import Source, source_of
from pitboss.runs.context import RunContext

if TYPE_CHECKING:
    from pitboss.kinds.documents.prepare import Sources
    from pitboss.market.fetching import Feed
    from pitboss.market.store import BarStore

STEP_SECONDS = 0.1


def chosen(name: str | None, sources: Sources) -> Source:
    """Answer the source of a name, or the first that is configured. Raises InvalidInput, also for a key that is
    missing."""
    configured = sources.feeds
    if not configured:
        raise InvalidInput("no source is configured", "add one to the setting 'sources'", "source")
    source = source_of(name or next(iter(configured)), configured)
    missing = sources.secrets.missing([source.secret]) if source.secret else []
    if missing:
        raise InvalidInput(missing)
    return source


def fixed(source: Source) -> dict[str, Any]:
    """Answer what a snapshot says of a source."""
    described: dict[str, Any] = {"source": {"name": source.name, "config": dict(source.config)}}
    return described | ({"secrets": [source.secret]} if source.secret else {})


def feed_of(context: RunContext, store: BarStore) -> Feed:
    """Answer what fills a store from the source of a run, for as long as nobody asks the run to end."""
    from pitboss.market.fetching import Feed
    from pitboss.market.sources.web import Web

    described = context.snapshot["source"]
    source = source_of(described["name"], {described["name"]: described["config"]})
    folder = context.world.data_dir / "sources"
    web = Web(source.name, folder, source.per_minute, wait=lambda seconds: wait(seconds, context))
    return Feed(source, store, web, context.secrets.get(source.secret, ""))


def wait(seconds: float, context: RunContext) -> None:
    """Sleep, and raise RunCancelled as soon as somebody asks the run to end."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        context.check_cancel()
        time.sleep(min(left, STEP_SECONDS))
