"""TA-Lib without Pandas, which it imports wherever that is installed: 0.3 s of a start and 30 MB of every run.

Who has imported Pandas before gets all of both. Who does so later can still give TA-Lib's functions Pandas' series, but
not its abstract interface Pandas' frames.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

_PANDAS = "pandas"


class _WhenImported(type):
    """What stands for Pandas' series until there is one."""

    def __instancecheck__(cls, value: object) -> bool:
        return _PANDAS in sys.modules and isinstance(value, sys.modules[_PANDAS].Series)

    def __call__(cls, *values: Any, **more: Any) -> Any:
        return sys.modules[_PANDAS].Series(*values, **more)


class _Series(metaclass=_WhenImported):
    """Looks like Pandas' series to TA-Lib."""


if _PANDAS in sys.modules or "talib" in sys.modules:
    import talib
else:
    sys.modules[_PANDAS] = None  # type: ignore[assignment]  # Python's way to say that there is no such module
    try:
        import talib
    finally:
        del sys.modules[_PANDAS]
    talib._pd_Series = _Series  # type: ignore[attr-defined]


@cache
def plain(name: str) -> Any:
    """Answer a function of TA-Lib as it computes arrays, without what looks for frames of others among them first."""
    function = getattr(talib, name)
    return getattr(function, "__wrapped__", function)


__all__ = ["plain", "talib"]
