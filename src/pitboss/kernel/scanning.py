"""Times as people write them, scanned row by row from bytes.

A row is scanned by itself; what it takes the whole file to tell is left open here and settled by `stamps`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pitboss.kernel.characters import (
    digits,
    index_of,
    is_digit,
    is_letter,
    is_space,
    numbered,
    past_space,
    past_word,
    word_at,
)
from pitboss.kernel.clocks import clock_from, offset_from
from pitboss.kernel.compiling import compiled
from pitboss.kernel.dates import DAY, century, days_of, epoch_micros, is_date, unit_micros
from pitboss.kernel.stamps import (
    BARE_DIGITS,
    CALENDAR,
    EPOCH,
    HAS_CLOCK,
    NO_OFFSET,
    NO_TIME,
    THREE_PAIRS,
    THREE_PAIRS_DOTTED,
    TWO_THEN_YEAR,
    TWO_THEN_YEAR_DOTTED,
    UNREADABLE,
    Stamps,
    calendar_of,
)

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

_MONTHS = numbered("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = numbered("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@compiled
def scan(text: U8, rows: int) -> Stamps:
    """Scan `rows` times that lines feeds part."""
    value = np.zeros(rows, dtype=np.int64)
    offset = np.full(rows, NO_OFFSET, dtype=np.int16)
    form = np.zeros(rows, dtype=np.uint8)
    start = 0
    for row in range(rows):
        end = start
        while end < len(text) and text[end] != 10:
            end += 1
        value[row], offset[row], form[row] = _scanned(text, start, end)
        start = end + 1
    return Stamps(value, offset, form)


@compiled
def _scanned(text: U8, i: int, end: int) -> tuple[int, int, int]:
    """Answer value, offset and form of the time in [i, end)."""
    unreadable = (0, NO_OFFSET, UNREADABLE)
    while end > i and is_space(text[end - 1]):
        end -= 1
    i = past_space(text, i, end)
    if i < end and is_letter(text[i]) and index_of(_WEEKDAYS, word_at(text, i, end, 3)) >= 0:
        i = past_space(text, past_word(text, i, end), end)
    if i >= end:
        return unreadable
    if text[i] == 45 or text[i] == 43 or _is_number(text, i, end):
        return _epoch(text, i, end)
    date, form, i = _date(text, i, end)
    if form == UNREADABLE:
        return unreadable
    clock, has_clock, i = clock_from(text, i, end)
    if clock < 0:
        return unreadable
    minutes, i = offset_from(text, i, end)
    if i < end or (clock == DAY and form != CALENDAR):
        return unreadable
    if has_clock:
        form |= HAS_CLOCK
    return date * DAY + clock, minutes, form


# --- numbers


@compiled
def _is_number(text: U8, i: int, end: int) -> bool:
    """Answer whether what is there is one number: digits, or five and more of them with a fraction or a power."""
    first = i
    _, i = digits(text, i, end)
    if i == end:
        return i > first
    if text[i] == 46 and (i - first >= 5 or i - first == 1):
        _, after = digits(text, i + 1, end)
        i = after
        if i == end:
            return True
    if text[i] == 101 or text[i] == 69:
        i += 1
        if i < end and (text[i] == 43 or text[i] == 45):
            i += 1
        before = i
        _, i = digits(text, i, end)
        return i == end and i > before
    return False


@compiled
def _epoch(text: U8, i: int, end: int) -> tuple[int, int, int]:
    sign = -1 if text[i] == 45 else 1
    if text[i] == 45 or text[i] == 43:
        i += 1
        if i >= end or not _is_number(text, i, end):
            return 0, NO_OFFSET, UNREADABLE
    first = i
    whole, i = digits(text, i, end)
    length = i - first
    fraction, scale = 0, 1
    if i < end and text[i] == 46:
        i += 1
        while i < end and is_digit(text[i]):
            if scale < 1_000_000_000:
                fraction = fraction * 10 + text[i] - 48
                scale *= 10
            i += 1
    if i < end:  # a power of ten
        power_sign = -1 if text[i + 1] == 45 else 1
        power, _ = digits(text, i + 2 if not is_digit(text[i + 1]) else i + 1, end)
        number = (whole + fraction / scale) * 10.0 ** (power_sign * power)
        return sign * epoch_micros(number), NO_OFFSET, EPOCH
    if sign > 0 and fraction == 0 and length <= 14 and calendar_of(whole) != NO_TIME:
        return whole, NO_OFFSET, BARE_DIGITS
    micros = unit_micros(whole) * whole if whole < 100_000_000_000_000_000 else (whole if length == 18 else whole * 10)
    if length >= 18:
        micros //= 1_000
    elif whole < 100_000_000_000:
        micros += (fraction * 1_000_000 + scale // 2) // scale
    elif whole < 100_000_000_000_000:
        micros += (fraction * 1_000 + scale // 2) // scale
    return sign * micros, NO_OFFSET, EPOCH


@compiled
def scan_numbers(numbers: npt.NDArray[np.float64], whole: I64) -> Stamps:
    """Scan epochs that are numbers already; NaN is unreadable. `whole` are the same, exactly where they are whole."""
    rows = len(numbers)
    stamps = Stamps(
        np.zeros(rows, dtype=np.int64), np.full(rows, NO_OFFSET, dtype=np.int16), np.zeros(rows, dtype=np.uint8)
    )
    for row in range(rows):
        number = numbers[row]
        if not np.isfinite(number):
            continue
        if number == np.floor(number) and abs(number) >= 1e14:
            stamps.value[row] = whole[row] if abs(number) < 1e17 else whole[row] // 1_000
        else:
            stamps.value[row] = epoch_micros(number)
        stamps.form[row] = EPOCH
        if 0 < number < 1e14 and number == np.floor(number) and calendar_of(int(number)) != NO_TIME:
            stamps.value[row] = int(number)
            stamps.form[row] = BARE_DIGITS
    return stamps


# --- dates


@compiled
def _month_at(text: U8, i: int, end: int) -> tuple[int, int]:
    """Answer the month that is named at i, 0 for none, and where its name ends."""
    month = index_of(_MONTHS, word_at(text, i, end, 3)) + 1
    return (month, past_word(text, i, end)) if month else (0, i)


@compiled
def _past_separator(text: U8, i: int, end: int) -> int:
    """Skip what stands between the parts of a date."""
    while i < end and (text[i] == 32 or text[i] == 44 or text[i] == 45 or text[i] == 46 or text[i] == 47):
        i += 1
    return i


@compiled
def _date(text: U8, i: int, end: int) -> tuple[int, int, int]:
    """Answer the date at i (days since 1970, or its parts packed), its form, and where it ends."""
    none = (0, UNREADABLE, i)
    if is_letter(text[i]):  # January 8, 2024
        month, i = _month_at(text, i, end)
        day, i = digits(text, _past_separator(text, i, end), end)
        start = _past_separator(text, past_word(text, i, end), end)
        year, i = digits(text, start, end)
        year = century(year, i - start)
        return (days_of(year, month, day), CALENDAR, i) if is_date(year, month, day) else none
    start = i
    first, i = digits(text, i, end)
    length = i - start
    if length == 8:
        year, month, day = first // 10_000, first // 100 % 100, first % 100
        return (days_of(year, month, day), CALENDAR, i) if is_date(year, month, day) else none
    if i >= end or length not in (1, 2, 4):
        return none
    separator = text[i]
    start = _past_separator(text, i, end)
    if start == i and not is_letter(separator):
        return none
    is_named = start < end and is_letter(text[start])
    if is_named:
        second, i = _month_at(text, start, end)
        if second == 0:
            return none
    else:
        second, i = digits(text, start, end)
        if i == start or i - start > 2:
            return none
    if length == 4 and (i >= end or (text[i] != separator and not is_named)):  # 2024-01: a month
        return (days_of(first, second, 1), CALENDAR, i) if i >= end and is_date(first, second, 1) else none
    if not is_named and (i >= end or text[i] != separator):
        return none
    start = _past_separator(text, i, end)
    third, i = digits(text, start, end)
    size = i - start
    if length == 4:
        is_whole = 1 <= size <= 2 and is_date(first, second, third)
        return (days_of(first, second, third), CALENDAR, i) if is_whole else none
    if size != 2 and size != 4:
        return none
    if is_named:  # 8-Jan-2024
        year = century(third, size)
        return (days_of(year, second, first), CALENDAR, i) if is_date(year, second, first) else none
    is_dotted = separator == 46
    if size == 4:
        form = TWO_THEN_YEAR_DOTTED if is_dotted else TWO_THEN_YEAR
        return (first * 100 + second) * 10_000 + third, form, i
    return (first * 100 + second) * 100 + third, THREE_PAIRS_DOTTED if is_dotted else THREE_PAIRS, i
