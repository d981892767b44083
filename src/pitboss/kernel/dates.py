"""Dates of the Gregorian calendar, as days since 1970, and the units of time."""

from __future__ import annotations

import numpy as np

from pitboss.core.timeframe import DAY_MICROS
from pitboss.kernel.compiling import compiled

DAY, HOUR, MINUTE, SECOND = DAY_MICROS, 3_600_000_000, 60_000_000, 1_000_000  # microseconds
YEAR_OF_TWO_DIGITS = 70  # from here on they are of the 20th century, as POSIX has it


@compiled
def days_of(year: int, month: int, day: int) -> int:
    """Answer the days since 1970 of a date of the Gregorian calendar (Hinnant, days_from_civil)."""
    year -= 1 if month <= 2 else 0
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@compiled
def month_start(days: int) -> int:
    """Answer the days since 1970 of the first of the month in which `days` lies."""
    shifted = days + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    of_years = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * of_years + of_years // 4 - of_years // 100)
    month = (5 * of_year + 2) // 153
    return days - (of_year - (153 * month + 2) // 5)


@compiled
def is_date(year: int, month: int, day: int) -> bool:
    if not (1_800 <= year <= 2_200 and 1 <= month <= 12 and 1 <= day <= 31):
        return False
    if month == 2:
        return day <= (29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28)
    return day <= 30 or month not in (4, 6, 9, 11)


@compiled
def century(year: int, length: int) -> int:
    if length > 2:
        return year
    return year + (1_900 if year >= YEAR_OF_TWO_DIGITS else 2_000)


@compiled
def unit_micros(number: float) -> int:
    """Answer how many microseconds the unit of an epoch is, told by how large it is: years up to 5138."""
    size = abs(number)
    return SECOND if size < 1e11 else 1_000 if size < 1e14 else 1


@compiled
def epoch_micros(number: float) -> int:
    """Answer microseconds since 1970 for seconds, milliseconds, microseconds or nanoseconds since then."""
    if abs(number) >= 1e17:
        return int(np.floor(number / 1_000))
    return int(np.rint(number * unit_micros(number)))
