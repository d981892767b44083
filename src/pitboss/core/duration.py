"""Durations as people write them: 90d, 12h, 30m."""

from __future__ import annotations

import re

from pitboss.core.errors import InvalidInput

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d{1,6})([smhd])", re.ASCII)


def seconds_of(text: str, where: str) -> float:
    """Read a duration as seconds. Raises InvalidInput."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(f"'{text[:40]}' is no duration", "write 90d, 12h, 30m or 0d", where)
    return int(found[1]) * _UNITS[found[2]]


def duration_of(seconds: float) -> str:
    """Answer seconds as `seconds_of` reads them."""
    whole = max(1, round(seconds))
    unit, size = next((unit, int(size)) for unit, size in reversed(_UNITS.items()) if whole % int(size) == 0)
    return f"{whole // size}{unit}"
