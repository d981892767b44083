"""Synthetic bars: a fixed seed, volatility that clusters, and trading hours. Never to be taken for real ones."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from pitboss.core.errors import InvalidInput, suggest
from pitboss.core.timeframe import DAY_MICROS, Timeframe

SESSIONS = ("always", "forex", "stocks")
MAX_BARS = 20_000_000


def synthesize(
    timeframe: Timeframe,
    start: datetime,
    days: float,
    seed: int,
    session: str = "forex",
    price: float = 100.0,
) -> pl.DataFrame:
    """Answer bars over `days` from `start`, the same for the same arguments.

    Returns follow a GARCH(1,1) process (Bollerslev 1986; α 0.08, β 0.90, daily volatility 1 %) with
    Student-t shocks and, in sessions that close, a U-shape over the day; `session` is always, forex
    (Sunday 22:00 to Friday 22:00 UTC) or stocks (weekdays 14:30 to 21:00 UTC).
    Raises InvalidInput for an unknown session or too many bars.
    """
    if not 1e-6 <= price <= 1e9 or seed < 0:
        raise InvalidInput(
            f"price {price:g} or seed {seed} is out of range", "a price above 0, a seed of 0 or more", "price"
        )
    ts = _timeline(timeframe, start, days, session)
    rng = np.random.default_rng(seed)
    volatility = _volatility(rng, len(ts), 0.01 * np.sqrt(timeframe.micros / DAY_MICROS)) * _shape(ts, session)
    returns = volatility * rng.standard_t(6, len(ts)) / np.sqrt(1.5)
    close = price * np.exp(np.cumsum(returns))
    opening = np.concatenate(([price], close[:-1])) * np.exp(volatility * 0.1 * rng.standard_normal(len(ts)))
    reach = np.abs(rng.standard_normal((2, len(ts)))) * volatility
    high = np.maximum(opening, close) * np.exp(reach[0])
    low = np.minimum(opening, close) * np.exp(-reach[1])
    volume = np.round(rng.lognormal(6, 0.6, len(ts)) * volatility / volatility.mean())
    prices = {"open": opening, "high": high, "low": low, "close": close}
    moments = {"ts": pl.Series(ts).cast(pl.Datetime("us", "UTC"))}
    return pl.DataFrame(moments | {name: column.round(5) for name, column in prices.items()} | {"volume": volume})


def _timeline(timeframe: Timeframe, start: datetime, days: float, session: str) -> np.ndarray:
    """Answer the openings of the bars, microseconds since 1970. Raises InvalidInput when there are none or too many."""
    if session not in SESSIONS:
        raise InvalidInput(f"unknown session '{session[:40]}'", suggest(session, SESSIONS), "session")
    if not 0 < days * DAY_MICROS / timeframe.micros <= MAX_BARS:
        raise InvalidInput(
            f"{days:g} days of {timeframe} bars are none or too many", f"at most {MAX_BARS:,} bars", "days"
        )
    first = int(start.timestamp() * 1e6) // timeframe.micros * timeframe.micros
    ts = np.arange(first, first + int(timedelta(days=days).total_seconds() * 1e6), timeframe.micros)
    ts = ts[_is_open(ts, session, timeframe)]
    if not len(ts):
        raise InvalidInput("no bar falls into the session", "make it longer", "days")
    return np.asarray(ts)


def _is_open(ts: np.ndarray, session: str, timeframe: Timeframe) -> np.ndarray:
    weekday, clock = (ts // DAY_MICROS + 3) % 7, ts % DAY_MICROS / 3.6e9
    if session == "always":
        return np.ones(len(ts), dtype=bool)
    if timeframe.micros >= DAY_MICROS:
        return np.asarray(weekday < 5)
    if session == "stocks":
        return np.asarray((weekday < 5) & (clock >= 14.5) & (clock < 21))
    return np.asarray((weekday < 4) | ((weekday == 4) & (clock < 22)) | ((weekday == 6) & (clock >= 22)))


def _volatility(rng: np.random.Generator, count: int, level: float) -> np.ndarray:
    shocks = rng.standard_normal(count) ** 2
    variance = np.empty(count)
    now = 1.0
    for i in range(count):
        variance[i] = now
        now = 0.02 + 0.90 * now + 0.08 * now * shocks[i]
    return np.asarray(level * np.sqrt(variance))


def _shape(ts: np.ndarray, session: str) -> np.ndarray:
    if session == "always":
        return np.ones(len(ts))
    start, length = (14.5, 6.5) if session == "stocks" else (0.0, 24.0)
    place = np.clip((ts % DAY_MICROS / 3.6e9 - start) / length, 0, 1)
    return np.asarray(0.7 + 2.4 * (place - 0.5) ** 2)
