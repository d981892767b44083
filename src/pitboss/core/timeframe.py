"""Timeframes: `1m` to `59m`, `1h` to `23h`, `1d` to `6d`, `1w` to `4w`, `1mo` to `12mo`.

Periods start at multiples of their length since 1970, weeks on a Monday, months on their first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pitboss.core.errors import InvalidInput

DAY_MICROS = 86_400_000_000
_UNITS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "mo": 30 * 86_400}
_MOST = {"m": 59, "h": 23, "d": 6, "w": 4, "mo": 12}
_MONDAY_MICROS = 4 * DAY_MICROS  # 1970-01-05


@dataclass(frozen=True, slots=True, order=True)
class Timeframe:
    """The length of a bar. `micros` is that length, for months of 30 days; `anchor` the start of some period, both
    microseconds; `months` how many months it is, 0 for a fixed length."""

    micros: int
    text: str

    @property
    def anchor(self) -> int:
        return _MONDAY_MICROS if self.text.endswith("w") else 0

    @property
    def seconds(self) -> int:
        return self.micros // 1_000_000

    @property
    def months(self) -> int:
        return int(self.text[:-2]) if self.text.endswith("mo") else 0

    @property
    def is_daily(self) -> bool:
        """Whether bars of it are told by their date, not by a time of the day."""
        return self.text[-1] not in "mh"

    @property
    def is_weekly(self) -> bool:
        return self.text.endswith("w")

    def is_made_of(self, shorter: Timeframe) -> bool:
        """Answer whether bars of `shorter` can be joined into bars of this one."""
        if self.months:
            return not self.months % shorter.months if shorter.months else shorter.micros <= DAY_MICROS
        return not shorter.months and not self.micros % shorter.micros

    def __str__(self) -> str:
        return self.text


def parse_timeframe(text: str) -> Timeframe:
    """Read `5m`, `1h`, `1d`, `1w`, `1mo`. Raises InvalidInput for anything else."""
    match = re.fullmatch(r"([1-9]\d?)(mo|[mhdw])", str(text).strip())
    if not match or int(match[1]) > _MOST[match[2]]:
        raise InvalidInput(
            f"unknown timeframe '{str(text)[:40]}'", "write 1m to 59m, 1h to 23h, 1d to 6d, 1w or 1mo", "timeframe"
        )
    return Timeframe(int(match[1]) * _UNITS[match[2]] * 1_000_000, match[0])
