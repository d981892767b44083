"""When the rows of a file were: scanned times to moments in UTC, or to the days they name."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pitboss.calendars.spelling import check_zone
from pitboss.calendars.zones import NEVER, localized
from pitboss.core.errors import InvalidInput
from pitboss.kernel.dates import MINUTE
from pitboss.kernel.stamps import (
    CALENDAR,
    DAY_FIRST,
    MONTH_FIRST,
    NO_OFFSET,
    UNREADABLE,
    YEAR_FIRST,
    Stamps,
    order_faults,
    resolved,
)

I64 = npt.NDArray[np.int64]

_ORDERS = {"dmy": DAY_FIRST, "mdy": MONTH_FIRST, "ymd": YEAR_FIRST}
_WORDS = ("the day", "the month", "the year")


def settle(stamps: Stamps, date_order: str | None, max_lost: float) -> None:
    """Settle in place what it takes the whole file to tell: which of two numbers is the day, and what bare digits are.

    max_lost: the share of rows that may have no date in the order that is taken. Raises InvalidInput naming
    --date-order when several orders fit.
    """
    faults = order_faults(stamps)
    orders = [_order(faults[kind], kind, date_order, max_lost) for kind in range(4)]
    dates, others = int(faults[4, 0]), int(faults[4, 1])
    resolved(stamps, np.array(orders), dates > others)


def _order(faults: I64, kind: int, asked: str | None, max_lost: float) -> int:
    asked_rows = int(faults[3])
    if not asked_rows:
        return DAY_FIRST
    ends_in_year, is_dotted = kind < 2, kind % 2 == 1
    if asked is not None and not (ends_in_year and asked == "ymd"):
        return _ORDERS[asked]
    possible = [DAY_FIRST, MONTH_FIRST] if ends_in_year else [DAY_FIRST, MONTH_FIRST, YEAR_FIRST]
    fitting = [order for order in possible if not faults[order]]
    if len(fitting) == 1:
        return fitting[0]
    if is_dotted and DAY_FIRST in fitting:  # nobody writes a month first with dots behind it
        return DAY_FIRST
    if len(fitting) > 1:
        raise _undecided(f"do the dates begin with {' or '.join(_WORDS[order] for order in fitting)}?")
    fewest = min(possible, key=lambda order: int(faults[order]))
    if faults[fewest] > max_lost * asked_rows:
        raise _undecided("some dates can only begin with the day, others only with the month")
    return fewest


def _undecided(what: str) -> InvalidInput:
    return InvalidInput(what, "say it with --date-order dmy, mdy or ymd", "date_order")


def instants(stamps: Stamps, tz: str | None, step: int) -> I64:
    """Answer the moments of settled stamps, microseconds since 1970 in UTC; NEVER for a row that has none.

    Rows without an offset are in zone `tz`, UTC unless given. Where the clocks go back, the order of the rows tells
    which of two equal times comes first; `step` is the length of their bars, microseconds. Raises InvalidInput for rows
    with and without an offset in one file.
    """
    zone = check_zone(tz)
    is_calendar = (stamps.form & 15) == CALENDAR
    has_offset = stamps.offset != NO_OFFSET
    bare = is_calendar & ~has_offset
    with_offset = int((is_calendar & has_offset).sum())
    if with_offset and bare.any():
        raise InvalidInput(
            f"{with_offset:,} rows name a time zone and {int(bare.sum()):,} do not",
            "write all with an offset, or all without and give --tz", "ts",
        )  # fmt: skip
    moments = stamps.value
    if with_offset:
        moments = moments - np.where(has_offset, stamps.offset, 0).astype(np.int64) * MINUTE
    elif zone != "UTC" and bare.any():
        moments = moments.copy()
        moments[bare] = localized(stamps.value[bare], zone, step)
    unreadable = (stamps.form & 15) == UNREADABLE
    return np.where(unreadable, NEVER, moments) if unreadable.any() else moments
