"""Times of rows as they were scanned, and what it takes a whole file to tell of them: the order of day and month, and
whether eight digits are a date or a number of seconds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pitboss.kernel.compiling import compiled
from pitboss.kernel.dates import DAY, SECOND, century, days_of, is_date

I64 = npt.NDArray[np.int64]
I16 = npt.NDArray[np.int16]
U8 = npt.NDArray[np.uint8]

NO_OFFSET = -32_768

# the forms of a row. In the last four the date is packed above the microseconds of the day
UNREADABLE, EPOCH, CALENDAR, EIGHT_DIGITS = range(4)
TWO_THEN_YEAR, TWO_THEN_YEAR_DOTTED, THREE_PAIRS, THREE_PAIRS_DOTTED = range(4, 8)
HAS_CLOCK = 16  # added to a form
DAY_FIRST, MONTH_FIRST, YEAR_FIRST = range(3)
NO_DAYS = -(1 << 40)


class Stamps(NamedTuple):
    """Times of rows as they were scanned: a value whose meaning is the form's, and minutes east of Greenwich.

    An epoch's value is microseconds since 1970, a calendar's the same of its wall clock, eight digits are themselves.
    """

    value: I64
    offset: I16
    form: U8


@compiled
def order_faults(stamps: Stamps) -> I64:
    """Answer how many rows have no date when read day first, month first and year first, and how many are asked:
    of 1/2/2024 in [0], of 1.2.2024 in [1], of 24/1/2 in [2], of 24.1.2 in [3]; and in [4] how many rows are eight
    digits, and how many are numbers that are no such date."""
    found = np.zeros((5, 4), dtype=np.int64)
    for row in range(len(stamps.form)):
        form = stamps.form[row] & 15
        if form == EIGHT_DIGITS:
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
    an open order is read, `are_dates` whether eight digits are a date."""
    for row in range(len(stamps.form)):
        form = stamps.form[row] & 15
        flags = stamps.form[row] - form
        if form == EIGHT_DIGITS:
            number = stamps.value[row]
            if are_dates:
                stamps.value[row] = days_of(number // 10_000, number // 100 % 100, number % 100) * DAY
                stamps.form[row] = CALENDAR
            else:
                stamps.value[row] = number * SECOND
                stamps.form[row] = EPOCH
        elif form == EPOCH and are_dates:
            stamps.form[row] = UNREADABLE
        elif form >= TWO_THEN_YEAR:
            days = _days_in(stamps.value[row] // DAY, form, orders[form - TWO_THEN_YEAR])
            stamps.value[row] = days * DAY + stamps.value[row] % DAY
            stamps.form[row] = CALENDAR + flags if days != NO_DAYS else UNREADABLE
