"""Time as it is stored and shown: UTC, seconds since 1970 as a float, ISO 8601 at the edges."""

from __future__ import annotations

import time
from datetime import UTC, datetime

_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_nanoseconds() -> int:
    """Answer the time since the machine started, with what it slept: a lease goes on while a laptop does not."""
    return time.clock_gettime_ns(_SINCE_BOOT)


def to_iso(seconds: float | None) -> str | None:
    """Answer `seconds` since 1970 as ISO 8601 in UTC with microseconds, None for None."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_iso(moment: str | None) -> float | None:
    """The opposite of `to_iso`."""
    return None if moment is None else datetime.fromisoformat(moment).timestamp()


def micros_to_iso(micros: int) -> str:
    """Answer a bar's timestamp (microseconds since 1970, UTC) as `2019-03-01T13:05:00Z`."""
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def parse_date(text: str) -> int:
    """Read a date or an ISO 8601 moment (UTC unless it says otherwise) as microseconds since 1970.

    Raises ValueError if it is neither.
    """
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1e6)
