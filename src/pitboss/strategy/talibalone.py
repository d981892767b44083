"""Loads TA-Lib without Pandas, which it imports wherever that is installed: 30 MB that every fork would carry.

For processes that are ours alone. Pandas can be imported after it; only TA-Lib then does not take its series.
"""

from __future__ import annotations

import sys

_HIDDEN = "pandas"

if _HIDDEN not in sys.modules:
    sys.modules[_HIDDEN] = None  # type: ignore[assignment]  # Python's way to say that there is no such module
    try:
        import talib  # noqa: F401
    finally:
        del sys.modules[_HIDDEN]
