"""Infinite numbers in JSON, which has none: they are texts, as in the JSON of protobuf."""

from __future__ import annotations

import math
from typing import Any

INFINITE = "Infinity"


def to_json(value: Any) -> Any:
    """Answer a value as JSON can say it."""
    return INFINITE if value == math.inf else value


def from_json(value: Any) -> Any:
    """The opposite of `to_json`."""
    return math.inf if value == INFINITE else value


def is_infinite(value: Any) -> bool:
    """Answer whether a value is infinite, as a number or as JSON says it."""
    return bool(value == INFINITE or value == math.inf)
