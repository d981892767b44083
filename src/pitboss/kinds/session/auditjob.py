"""The contamination audit in its own process."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import polars as pl

from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import RunCancelled
from pitboss.core.timeframe import DAY_MICROS
from pitboss.kinds.documents.bars import save_frame
from pitboss.kinds.session.audit import AuditParams
from pitboss.kinds.session.day import Day, asking_agent
from pitboss.kinds.session.results import compared, trips_frame
from pitboss.runs.context import RunContext
from pitboss.sessions.decisions import Usage
from pitboss.sessions.desk import MemoryDesk
from pitboss.sessions.gate import Gate, News
from pitboss.sessions.session import Agent, Session
from pitboss.sessions.twins import difference, share_difference, twin_of

CLOSE_ENOUGH = 0.01  # of the price


def run(params: AuditParams, context: RunContext) -> dict[str, Any]:
    """Trade each day and its twins, then ask for closes; see `runs.kinds.Kind`."""
    rows: list[dict[str, Any]] = []
    memory: dict[str, Any] = {}
    with suppress(RunCancelled):  # what was found until then may be kept
        days = _traded_all(params, rows, context)
        memory = _remembered(params, days, context)
        context.begin_results()
    return _result(params, rows, memory, context)


def _traded_all(params: AuditParams, rows: list[dict[str, Any]], context: RunContext) -> dict[str, Day]:
    """Add a row for each day and each of its twins, and answer the days. Raises RunCancelled."""
    context.begin_stage("sessions", len(params.dates) * (1 + params.twins))
    days = {}
    for number, date in enumerate(params.dates):
        day = days[date] = Day(params.of_day(date), context.snapshot["days"][date], context)
        for twin in range(params.twins + 1):
            context.check_cancel()
            seed = params.seed * 1_000_003 + number * 1009 + twin
            row = _traded(day, asking_agent(day.spec, context), seed if twin else None)
            rows.append({"date": date, "twin": twin, **row})
            context.item(f"{date} {twin or 'real'}", rows[-1])
            context.report(len(rows), current_item=date)
    context.end_stage(len(rows))
    return days


def _traded(day: Day, agent: Agent, seed: int | None) -> dict[str, Any]:
    """Answer what an agent made of a day, or of a twin of it: its return net of its model, less that at random."""
    ticks, gate = day.ticks, day.gate()
    if seed is not None:
        twin = twin_of(day.ticks, day.bars, seed)
        ticks, gate = list(twin.ticks), Gate(twin.bars, day.timeframe, news=News())
    session = Session(ticks=ticks, gate=gate, desk=MemoryDesk(day.terms, day.cash), agent=agent)
    while not session.is_over:
        session.advance()
    session.finish()
    opening, spent = float(day.cash), session.spent
    net = float(session.desk.account().equity) / opening - 1.0 - (spent.cost or 0.0) / opening
    trips = trips_frame(session.desk.orders())
    at_random = compared(session, trips, opening)["random_return"] or 0.0
    undecided = sum(bool(step.decision["failure"]) for step in session.desk.steps()) - 1
    return {
        "net_return": net, "random_return": at_random, "edge": net - at_random, "trades": len(trips),
        "undecided": undecided, "tokens": spent.tokens, "cost": spent.cost,
    }  # fmt: skip


def _remembered(params: AuditParams, days: Mapping[str, Day], context: RunContext) -> dict[str, Any]:
    """Ask for closes of days that were, and as often of names that there are not; answer how many were known. Raises
    RunCancelled."""
    first = next(iter(days.values()))
    asked = list(_questions(params, days))
    if first.spec.type != "llm" or not asked:
        return {}
    from pitboss.sessions.agents.llm import probed

    key = context.secrets.get(first.spec.api_key_secret or "", "")
    context.begin_stage("memory", len(asked))
    spent, hits, answers = Usage(), {"real": 0, "invented": 0}, {"real": 0, "invented": 0}
    for done, (kind, symbol, date, close) in enumerate(asked, 1):
        context.check_cancel()
        said, usage = probed(first.spec, key, _QUESTION.format(symbol=symbol, date=date), context.check_cancel)
        spent = spent.plus(usage)
        answers[kind] += 1
        hits[kind] += said is not None and abs(said / close - 1.0) <= CLOSE_ENOUGH
        context.report(done, current_item=f"{symbol} {date}")
    context.end_stage(len(asked))
    found, low, high = share_difference(hits["real"], answers["real"], hits["invented"], answers["invented"])
    return {
        "probes": answers["real"], "known": hits["real"], "known_of_invented": hits["invented"], "difference": found,
        "low": low, "high": high, "tokens": spent.tokens, "cost": spent.cost,
    }  # fmt: skip


_QUESTION = (
    "At what price, in US dollars and unadjusted, did {symbol} close on {date}? Answer with the number alone, or with "
    "the word unknown."
)


def _questions(params: AuditParams, days: Mapping[str, Day]) -> Iterator[tuple[str, str, str, float]]:
    """Yield which closes are asked for: of days that there are bars of, and each again under a name that is none."""
    dice, known = random.Random(params.seed), []
    for day in days.values():
        for symbol, bars in day.bars.items():
            dates = bars.ts // DAY_MICROS
            lasts = np.flatnonzero(np.append(np.diff(dates) != 0, True))
            known += [(symbol, micros_to_iso(int(bars.ts[at]))[:10], float(bars.close[at])) for at in lasts]
    known = sorted(set(known))
    for symbol, date, close in dice.sample(known, min(params.probes, len(known))):
        yield "real", symbol, date, close
        yield "invented", "".join(dice.choices("BCDFGKLMNPRSTVWXZ", k=5)), date, close


def _result(
    params: AuditParams, rows: list[dict[str, Any]], memory: dict[str, Any], context: RunContext
) -> dict[str, Any]:  # fmt: skip
    if context.is_cancelled and not context.keeps_partial:
        raise RunCancelled("the audit was cancelled")
    real, twins = ([row["edge"] for row in rows if bool(row["twin"]) is is_twin] for is_twin in (False, True))
    found, low, high = difference(real, twins) if real and twins else (None, None, None)
    schema: dict[str, Any] = {"date": pl.String, "twin": pl.Int64, "edge": pl.Float64}
    save_frame(context, "sessions", pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None))
    return {
        "sessions": len(rows), "edge": float(np.mean(real)) if real else None,
        "twin_edge": float(np.mean(twins)) if twins else None, "difference": found, "low": low, "high": high,
        "memory": memory, "days": len(params.dates), "artifacts": ["sessions.parquet"],
    }  # fmt: skip
