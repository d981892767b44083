"""Where new bars meet those that are stored: do their prices belong together?"""

from __future__ import annotations

import math

import polars as pl

from pitboss.core.clock import micros_to_iso
from pitboss.core.timeframe import DAY_MICROS

SAME = 1e-3  # prices that differ by less are the same, rounded otherwise
FEW = 0.02  # shared bars that may have been corrected since
LEAST_JUMP = math.log(1.25)
_SPLITS = sorted({p / q for p in range(1, 31) for q in (1, 2, 3)} - {1.0})
NEAR = 0.06  # how far from its ratio the day of a split may move


def warnings_of(stored: pl.DataFrame, added: pl.DataFrame) -> list[str]:
    """Answer what is odd about joining two frames of ascending bars of one series.

    On bars that both have, the closes are compared; where one ends and the other begins, the jump between them.
    """
    shared = stored.select("ts", "close").join(added.select("ts", new="close"), on="ts")
    if len(shared):
        return _overlap(shared)
    before, after = (stored, added) if stored["ts"][-1] < added["ts"][0] else (added, stored)
    if before["ts"][-1] > after["ts"][0]:
        return []  # one fills a gap of the other
    return _jump(before["close"][-1], after["open"][0], after)


def _overlap(shared: pl.DataFrame) -> list[str]:
    ratios = (shared["close"] / shared["new"]).drop_nans()
    off = ratios.filter((ratios - 1).abs() > SAME)
    if len(off) <= FEW * len(shared):
        return []
    ratio = float(off.median())  # type: ignore[arg-type]
    first = _day(shared.filter((shared["close"] / shared["new"] - 1).abs() > SAME)["ts"])
    named = split_of(ratio)
    cause = f", which looks like a {named} split" if named else ""
    return [
        f"a seam: {len(off):,} of {len(shared):,} bars that both have differ, first {first}, "
        f"by a factor of {ratio:.4g}{cause}; the file's are kept, so prices jump where it begins"
    ]


def _jump(before: float, after: float, frame: pl.DataFrame) -> list[str]:
    if before <= 0 or after <= 0:
        return []
    ratio = before / after
    named = split_of(ratio)
    if abs(math.log(ratio)) < LEAST_JUMP or not named:
        return []
    at = _day(frame["ts"])
    return [f"a seam: on {at} prices jump by a factor of {ratio:.4g}, which looks like a {named} split"]


def split_of(ratio: float) -> str:
    """Answer the split that a ratio of prices looks like, such as 4:1; empty for none."""
    for upside_down in (False, True):
        wanted = 1 / ratio if upside_down else ratio
        fitting = [split for split in _SPLITS if split > 1 and abs(wanted / split - 1) < NEAR]
        if fitting:
            nearest = min(fitting, key=lambda split: abs(wanted / split - 1))
            q = next(q for q in (1, 2, 3) if abs(nearest * q - round(nearest * q)) < 1e-9)
            whole = f"{round(nearest * q)}:{q}"
            return ":".join(reversed(whole.split(":"))) if upside_down else whole
    return ""


def _day(ts: pl.Series) -> str:
    micros = int(ts.cast(pl.Int64)[0])
    text = micros_to_iso(micros)
    return text[:10] if micros % DAY_MICROS == 0 else text
