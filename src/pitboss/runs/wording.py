"""Values and runs as people read them, at a terminal and on a page."""

from __future__ import annotations

from typing import Any

from pitboss.core.infinite import is_infinite
from pitboss.runs.report import Unit, Value


def read(value: Value | object, unit: Unit, digits: int | None = None) -> str:
    """Answer a value of a unit as people read it, a dash for none; `digits` is how many follow a price's point."""
    if value is None:
        return "–"
    if unit is Unit.MOMENT:
        return str(value).replace("T", " ").removesuffix("Z")
    if is_infinite(value):
        return "∞"
    if unit is Unit.TEXT or isinstance(value, bool | str) or not isinstance(value, int | float):
        return str(value)
    if unit is Unit.SECONDS:
        return long_duration(value)
    if unit is Unit.PERCENT:
        return f"{100 * value:,.2f} %"
    if unit is Unit.PRICE and digits is not None:
        return f"{value:,.{digits}f}"
    if unit in (Unit.PRICE, Unit.NUMBER):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def long_duration(seconds: float) -> str:
    """Answer seconds as 45 s, 12 min, 5.5 h or 3.2 days."""
    for most, unit, word in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < most:
            return f"{seconds / unit:.3g} {word}"
    return f"{seconds / 86_400:,.1f} days"


def duration(seconds: float | None) -> str:
    """Answer seconds as 4.2 s, 3:07 or 1:02:09."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def words_of(metric: str) -> str:
    """Answer what a metric of progress counts: `trades` for `trade_count`, `passed` for `passed_count`."""
    words = metric.removesuffix("_count").replace("_", " ")
    return f"{words}s" if metric.endswith("_count") and not words.endswith("ed") else words


def number(value: Any) -> str:
    """Answer a metric of progress."""
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)[:40]


def subject(name: str) -> str:
    """Answer what a run is numbered within, without what sort of thing it is: `ema-cross` for `strategy/ema-cross`."""
    return name.rpartition("/")[2]
