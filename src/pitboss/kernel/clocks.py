"""Times of the day and offsets from Greenwich, scanned from bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pitboss.kernel.characters import digits, index_of, is_digit, is_letter, numbered, past_space, past_word, word_at
from pitboss.kernel.compiling import compiled
from pitboss.kernel.dates import DAY, HOUR, MINUTE, SECOND
from pitboss.kernel.stamps import NO_OFFSET

U8 = npt.NDArray[np.uint8]

_ZONES = {  # RFC 2822 names the American ones; minutes east of Greenwich
    "z": 0, "utc": 0, "gmt": 0, "ut": 0, "est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420, "mdt": -360,
    "pst": -480, "pdt": -420, "wet": 0, "west": 60, "cet": 60, "cest": 120, "bst": 60, "eet": 120, "eest": 180,
    "msk": 180, "jst": 540, "hkt": 480,
}  # fmt: skip
_ZONE_NAMES = numbered(*_ZONES)
_ZONE_MINUTES = np.array(list(_ZONES.values()))


@compiled
def clock_of(hour: int, minute: int, second: int, micros: int) -> int:
    """Answer microseconds since midnight, -1 for what is no time of day; 24:00 is the end of the day."""
    if hour == 24 and minute == 0 and second == 0 and micros == 0:
        return DAY
    if hour > 23 or minute > 59 or second > 59:
        return -1
    return hour * HOUR + minute * MINUTE + second * SECOND + micros


@compiled
def clock_from(text: U8, i: int, end: int) -> tuple[int, bool, int]:
    """Answer the microseconds since midnight at i (0 where no clock is, -1 for none that holds), whether there is one,
    and where it ends."""
    clock, has_clock = 0, False
    while True:
        start = i
        if i < end and (text[i] == 84 or text[i] == 116):  # T
            start += 1
        start = past_space(text, start, end)
        if start >= end or not is_digit(text[start]) or (has_clock and clock):
            return clock, has_clock, i
        clock, i = _clock_at(text, start, end)
        has_clock = True
        if clock < 0:
            return clock, has_clock, i


@compiled
def _clock_at(text: U8, start: int, end: int) -> tuple[int, int]:
    minute, second, micros = 0, 0, 0
    hour, i = digits(text, start, end)
    length = i - start
    is_bare = length <= 2
    if i < end and text[i] == 58 and length <= 2:
        is_bare = False
        minute, after = digits(text, i + 1, end)
        if after - i != 3:
            return -1, i
        i = after
        if i < end and text[i] == 58:
            second, after = digits(text, i + 1, end)
            if after - i != 3:
                return -1, i
            i = after
            micros, i = _fraction(text, i, end)
    elif 3 <= length <= 4:
        hour, minute = hour // 100, hour % 100
    elif 5 <= length <= 6:
        hour, minute, second = hour // 10_000, hour // 100 % 100, hour % 100
        micros, i = _fraction(text, i, end)
    elif length == 9:
        micros = hour % 1_000 * 1_000
        hour //= 1_000
        hour, minute, second = hour // 10_000, hour // 100 % 100, hour % 100
    elif length > 2:
        return -1, i
    half, after = _half_of_day(text, i, end)
    if half >= 0:
        if hour < 1 or hour > 12:
            return -1, i
        return clock_of(hour % 12 + 12 * half, minute, second, micros), after
    return (-1 if is_bare else clock_of(hour, minute, second, micros)), i


@compiled
def _fraction(text: U8, i: int, end: int) -> tuple[int, int]:
    """Answer the microseconds of a fraction of a second at i."""
    micros, unit = 0, 100_000
    if i + 1 < end and (text[i] == 46 or text[i] == 44 or text[i] == 58) and is_digit(text[i + 1]):
        i += 1
        while i < end and is_digit(text[i]):
            micros += (text[i] - 48) * unit
            unit //= 10
            i += 1
    return micros, i


@compiled
def _half_of_day(text: U8, i: int, end: int) -> tuple[int, int]:
    """Answer 0 for AM, 1 for PM, -1 for neither, and where it ends."""
    k = past_space(text, i, end)
    if k >= end or text[k] | 32 not in (97, 112):
        return -1, i
    half = 0 if text[k] | 32 == 97 else 1
    k += 1
    if k < end and text[k] == 46:
        k += 1
    if k >= end or text[k] | 32 != 109:
        return -1, i
    k += 1
    if k < end and text[k] == 46:
        k += 1
    return half, k


@compiled
def offset_from(text: U8, i: int, end: int) -> tuple[int, int]:
    """Answer minutes east of Greenwich, NO_OFFSET where none is written, and where that ends."""
    minutes = NO_OFFSET
    i = past_space(text, i, end)
    if i < end and is_letter(text[i]):
        zone = index_of(_ZONE_NAMES, word_at(text, i, end, 5))
        if zone < 0:
            return NO_OFFSET, i
        minutes = _ZONE_MINUTES[zone]
        i = past_word(text, i, end)
    if i < end and (text[i] == 43 or text[i] == 45):
        sign = -1 if text[i] == 45 else 1
        start = i + 1
        number, i = digits(text, start, end)
        if i - start == 4:
            number = number // 100 * 60 + number % 100
        elif 1 <= i - start <= 2:
            number *= 60
            if i < end and text[i] == 58:
                more, i = digits(text, i + 1, end)
                number += more
        else:
            return NO_OFFSET, start
        if number > 24 * 60:
            return NO_OFFSET, start
        minutes = sign * number
    i = past_space(text, i, end)
    if i < end and (text[i] == 40 or text[i] == 91):  # (EST) or [America/New_York] says it once more
        i = end
    return minutes, i
