"""Times of rows as they were scanned, and what it takes a whole file to tell of them: the order of day and month, and
whether bare digits are a date or count from 1970."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pitboss.kernel.compiling import compiled
from pitboss.kernel.dates import DAY, HOUR, MINUTE, SECOND, century, days_of, is_date, unit_micros

I64 = npt.NDArray[np.int64]
I16 = npt.NDArray[np.int16]
U8 = npt.NDArray[np.uint8]

NO_OFFSET = -32_768

# the forms of a row. In the last four the date is packed above the microseconds of the day
UNREADABLE, EPOCH, CALENDAR, BARE_DIGITS = range(4)
TWO_THEN_YEAR, TWO_THEN_YEAR_DOTTED, THREE_PAIRS, THREE_PAIRS_DOTTED = range(4, 8)
HAS_CLOCK = 16  # added to a form
DAY_FIRST, MONTH_FIRST, YEAR_FIRST = range(3)
NO_DAYS = -(1 << 40)


class Stamps(NamedTuple):
    """Times of rows as they were scanned: a value whose meaning is the form's, and minutes east of Greenwich.

    An epoch's value is microseconds since 1970, a calendar's the same of its wall clock, bare digits are themselves.
    """

    value: I64
    offset: I16
    form: U8


NO_TIME = np.iinfo(np.int64).min


@compiled
def calendar_of(number: int) -> int:
    """Answer the wall clock that 8, 12 or 14 digits tell, 20240131, 202401310930 or 20240131093000, microseconds since
    1970; NO_TIME where they tell none. With a clock they are of 1980 to 2079: outside of it they are epochs."""
    if number < 10_000_000 or (number >= 100_000_000 and number < 100_000_000_000):
        return NO_TIME
    clock = 0
    date = number
    if number >= 10_000_000_000_000:
        clock, date = number % 1_000_000, number // 1_000_000
    elif number >= 100_000_000:
        clock, date = number % 10_000 * 100, number // 10_000
    year, hour, minute, second = date // 10_000, clock // 10_000, clock // 100 % 100, clock % 100
    if not is_date(year, date // 100 % 100, date % 100) or hour > 23 or minute > 59 or second > 59:
        return NO_TIME
    if date != number and not 1_980 <= year < 2_080:
        return NO_TIME
    return days_of(year, date // 100 % 100, date % 100) * DAY + hour * HOUR + minute * MINUTE + second * SECOND


@compiled
def order_faults(stamps: Stamps) -> I64:
    """Answer how many rows have no date when read day first, month first and year first, and how many are asked:
    of 1/2/2024 in [0], of 1.2.2024 in [1], of 24/1/2 in [2], of 24.1.2 in [3]; and in [4] how many rows are bare
    digits that tell a date, and how many are other numbers."""
    found = np.zeros((5, 4), dtype=np.int64)
    for row in range(len(stamps.form)):
        form = stamps.form[row] & 15
        if form == BARE_DIGITS:
            found[4, 0] += 1
        elif form == EPOCH:
            found[4, 1] += 1
        elif form >= TWO_THEN_YEAR:
            kind = form - TWO_THEN_YEAR
            found[kind, 3] += 1
            packed = stamps.value[row] // DAY
            for order in range(3):
                if _days_in(packed, form, order) == NO_DAYS:
                    found[kind, order] += 1
    return found


@compiled
def _days_in(packed: int, form: int, order: int) -> int:
    """Answer the days since 1970 of a packed date read in an order, NO_DAYS when it is none."""
    if form < THREE_PAIRS:
        first, second, year = packed // 1_000_000, packed // 10_000 % 100, packed % 10_000
        day, month = (first, second) if order == DAY_FIRST else (second, first)
        if order == YEAR_FIRST:
            return NO_DAYS
    else:
        first, second, third = packed // 10_000, packed // 100 % 100, packed % 100
        year = century(first if order == YEAR_FIRST else third, 2)
        month = first if order == MONTH_FIRST else second
        day = third if order == YEAR_FIRST else (second if order == MONTH_FIRST else first)
    return days_of(year, month, day) if is_date(year, month, day) else NO_DAYS


@compiled
def resolved(stamps: Stamps, orders: I64, are_dates: bool) -> None:
    """Make every stamp an epoch, a calendar time or unreadable, in place: `orders` says how each of the four forms with
    an open order is read, `are_dates` whether bare digits are one."""
    for row in range(len(stamps.form)):
        form = stamps.form[row] & 15
        flags = stamps.form[row] - form
        if form == BARE_DIGITS:
            number = stamps.value[row]
            stamps.value[row] = calendar_of(number) if are_dates else number * unit_micros(number)
            stamps.form[row] = (CALENDAR if number < 1e8 else CALENDAR | HAS_CLOCK) if are_dates else EPOCH
        elif form == EPOCH and are_dates:
            stamps.form[row] = UNREADABLE
        elif form >= TWO_THEN_YEAR:
            days = _days_in(stamps.value[row] // DAY, form, orders[form - TWO_THEN_YEAR])
            stamps.value[row] = days * DAY + stamps.value[row] % DAY
            stamps.form[row] = CALENDAR + flags if days != NO_DAYS else UNREADABLE
