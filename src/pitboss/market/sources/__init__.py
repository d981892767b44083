"""Where bars come from: sources, in the entry-point group `pitboss.sources`.

    [project.entry-points."pitboss.sources"]
    my_broker = "my_package:SOURCE"

An operator names and configures those that are used, in the setting `sources`:

    [sources.tiingo]
    type = "tiingo"
    secret = "TIINGO_KEY"
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pitboss.core.errors import InvalidInput, PitbossError, Problem, suggest
from pitboss.core.timeframe import Timeframe

if TYPE_CHECKING:
    import polars as pl

    from pitboss.market.sources.web import Web

GROUP = "pitboss.sources"
MOST_RETRY_AFTER = 7 * 86_400.0  # seconds for which a source is believed


class SourceFailed(PitbossError):
    """A source answered with an error, with nothing, or with something else than bars."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Bars that are wanted: those that open in [since, until), microseconds."""

    symbol: str
    timeframe: Timeframe
    since: int
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceType:
    """A kind of source.

    `fetch(config, secret, web, wanted)` yields frames of bars (`ts, open, high, low, close, volume`), page by page, in
    any order; a bar may come twice. One that knows corporate actions yields them beside raw prices, as `split` and
    `dividend`; see `market.actions`. It raises SourceFailed. `needs` and `may` are the keys of its configuration
    besides those of every source; `prices` says what its prices are: raw, split-adjusted or total-return.
    """

    name: str
    fetch: Fetch
    prices: str = ""
    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    needs_secret: bool = False
    per_minute: float = 60.0


class Fetch(Protocol):
    """What gets bars; see `SourceType`."""

    def __call__(self, config: Mapping[str, Any], secret: str, web: Web, wanted: Wanted) -> Iterator[pl.DataFrame]: ...


@dataclass(frozen=True, slots=True)
class Source:
    """A source as it was configured. `secret` is the name under which its key lies in the vault, empty without."""

    name: str
    type: SourceType
    config: Mapping[str, Any] = field(default_factory=dict)
    secret: str = ""
    per_minute: float = 60.0

    @property
    def prices(self) -> str:
        return str(self.config.get("prices", self.type.prices))


def held_until(folder: Path, name: str) -> float:
    """Answer until when (seconds since 1970) a source has asked every process of this host to wait; 0 where it has
    not. `folder` is where they agree on it; see `sources.web`."""
    try:
        with (folder / f"{name}.held").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            found = float(file.read() or 0)
    except (OSError, ValueError):
        return 0.0
    return found if found < time.time() + MOST_RETRY_AFTER else 0.0  # a clock that was set back


_COMMON = ("type", "secret", "per_minute", "prices", "session", "zone")


def source_of(name: str, configured: Mapping[str, Mapping[str, Any]], field: str = "source") -> Source:
    """Answer a source by its name. Raises InvalidInput with every mistake in its configuration."""
    if name not in configured:
        remedy = suggest(name, configured) if configured else "configure one in the setting 'sources'"
        raise InvalidInput(f"there is no source '{name[:40]}'", remedy, field)
    config = dict(configured[name])
    place = f"sources.{name}"
    kind = str(config.get("type", ""))
    points = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in points:
        raise InvalidInput(f"'{kind[:40]}' is no type of source", suggest(kind, points), f"{place}.type")
    found: SourceType = points[kind].load()
    problems = [
        Problem(f"the source {name} has no '{key}'", f"add it to [{place}]", where=f"{place}.{key}")
        for key in (*found.needs, *(("secret",) if found.needs_secret else ()))
        if not config.get(key)
    ]
    allowed = (*_COMMON, *found.needs, *found.may)
    problems += [
        Problem(f"unknown key '{key}'", suggest(key, allowed), where=f"{place}.{key}")
        for key in config
        if key not in allowed
    ]
    rate = config.get("per_minute", found.per_minute)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0:
        problems.append(Problem(f"'{rate}' requests a minute", "write a number above 0", where=f"{place}.per_minute"))
    if problems:
        raise InvalidInput(problems)
    return Source(name, found, config, str(config.get("secret", "")), float(rate))
