"""Timeframes: `1m` to `59m`, `1h` to `23h`, `1d` to `6d`, `1w` to `4w`.

Periods start at multiples of their length since 1970, weeks on a Monday.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pitboss.core.errors import InvalidInput

_UNITS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MOST = {"m": 59, "h": 23, "d": 6, "w": 4}
_MONDAY_MICROS = 4 * 86_400_000_000  # 1970-01-05


@dataclass(frozen=True, slots=True, order=True)
class Timeframe:
    """The length of a bar. `micros` is that length; `anchor` the start of some period, both microseconds."""

    micros: int
    text: str

    @property
    def anchor(self) -> int:
        return _MONDAY_MICROS if self.text.endswith("w") else 0

    @property
    def seconds(self) -> int:
        return self.micros // 1_000_000

    def __str__(self) -> str:
        return self.text


def parse_timeframe(text: str) -> Timeframe:
    """Read `5m`, `1h`, `1d`, `1w`. Raises InvalidInput for anything else."""
    match = re.fullmatch(r"([1-9]\d?)([mhdw])", str(text).strip())
    if not match or int(match[1]) > _MOST[match[2]]:
        raise InvalidInput(
            f"unknown timeframe '{str(text)[:40]}'", "write 1m to 59m, 1h to 23h, 1d to 6d or 1w", "timeframe"
        )
    return Timeframe(int(match[1]) * _UNITS[match[2]] * 1_000_000, match[0])
