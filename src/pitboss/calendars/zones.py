"""Clocks of time zones: from what they show to moments, and back. All arrays are microseconds since 1970."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from pitboss.core.timeframe import DAY_MICROS

I64 = npt.NDArray[np.int64]
NEVER = np.iinfo(np.int64).min  # the moment of what has none
HOUR = 3_600_000_000


def localized(wall: I64, zone: str, step: int = 0) -> I64:
    """Answer the moments of wall clocks in file order, NEVER for those that the clocks skip in spring.

    Of the hour that they repeat in autumn the first pass ends where the rows go back. Rows that do not are of the pass
    that is a whole number of bars, of `step` microseconds, from the bar before them, or that the bar after continues.
    """
    naive = pl.Series(wall).cast(pl.Datetime("us"))
    first, second = (
        naive.dt.replace_time_zone(zone, ambiguous=which, non_existent="null")
        .dt.convert_time_zone("UTC").cast(pl.Int64).fill_null(NEVER).to_numpy(writable=True)
        for which in ("earliest", "latest")
    )  # fmt: skip
    twice = np.flatnonzero(first != second)
    if not len(twice):
        return first
    steps = np.diff(wall)
    is_descending = (steps < 0).sum() > (steps > 0).sum()
    for run in np.split(twice, np.flatnonzero(np.diff(twice) != 1) + 1):
        rows = run[::-1] if is_descending else run
        back = np.flatnonzero(np.diff(wall[rows]) <= 0)
        if len(back):
            later = rows[back[0] + 1 :]
        else:
            is_second = step and _is_second_pass(rows, first, second, step, -1 if is_descending else 1)
            later = rows if is_second else rows[:0]
        first[later] = second[later]
    return first


def _is_second_pass(rows: I64, first: I64, second: I64, step: int, forward: int) -> bool:
    before, after = rows[0] - forward, rows[-1] + forward
    if not 0 <= before < len(first) or first[before] == NEVER:
        return False
    to_first, to_second = first[rows[0]] - first[before], second[rows[0]] - first[before]
    if to_first % step != to_second % step:
        return bool(to_second % step == 0)
    return bool(to_first > step and 0 <= after < len(first) and first[after] - second[rows[-1]] == step)


def instants_of(wall: I64, zone: str) -> I64:
    """Answer when clocks show something; of two such moments the first, and for one that they skip an hour later."""
    if zone == "UTC":
        return wall
    once, at = np.unique(wall, return_inverse=True)
    found = localized(once, zone)
    skipped = found == NEVER
    if skipped.any():
        found[skipped] = localized(once[skipped] + HOUR, zone)
    return np.asarray(found[at])


def wall_of(moments: I64, zone: str) -> I64:
    """Answer what the clocks of a zone show, as if it were UTC; NEVER for a moment that is none."""
    if zone == "UTC":
        return moments
    known = moments != NEVER
    shown = pl.Series(np.where(known, moments, 0)).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    return np.where(known, shown.dt.replace_time_zone(None).cast(pl.Int64).to_numpy(), NEVER)


def days_in(moments: I64, zone: str) -> I64:
    """Answer the date in `zone` of each moment, at 00:00 UTC."""
    return np.where(moments == NEVER, NEVER, wall_of(moments, zone) // DAY_MICROS * DAY_MICROS)
