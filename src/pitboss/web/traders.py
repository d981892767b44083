"""Traders: how they compare, what they hold, what they order; and each minute of a session."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.concurrency import run_in_threadpool

from pitboss.core.errors import NotFound, PitbossError
from pitboss.http.deps import Ask
from pitboss.http.quoting import ReaderQuotes
from pitboss.market.dates import moment_of
from pitboss.runs.model import Run
from pitboss.trading.model import OrderAnswer, OrderStatus, Trader
from pitboss.web.pages import Desk, Visit

router = APIRouter()
FORM = {
    "name": "", "cash": "10000", "type": "rules", "strategy": "", "model": "", "endpoint": "", "api_key_secret": "",
    "instructions": "", "trades": "10", "holding": "30", "run": "", "action": "buy",
    "symbol": "", "quantity": "", "at": "",
}  # fmt: skip
SHOWN = 25


@router.get("/traders")
def traders(visit: Desk) -> Response:
    """Show the leaderboard, and a form for another trader."""
    return _bench(visit, {})


@router.post("/traders")
async def change(visit: Desk) -> Response:
    """Make a trader, or stop everything."""
    form = {name: texts[0] for name, texts in (await visit.form()).items()}
    return await run_in_threadpool(_changed, visit, form)


def _changed(visit: Visit, form: Mapping[str, str]) -> Response:
    if form.get("do") == "stop":
        stopped = visit.platform.service.stop_everything(visit.me, keep_partial=True)
        return visit.go("/traders", f"{len(stopped)} runs are cancelled; what they had done is kept")
    try:
        made = visit.platform.trading.create(
            visit.me, form.get("name", ""), _number(form.get("cash", "")), _agent(form)
        )
    except PitbossError as error:
        return _bench(visit, form, error)
    return visit.go(f"/traders/{made.id}", f"{made.name} is ready")


def _agent(form: Mapping[str, str]) -> dict[str, Any]:
    """Answer how a trader decides, as its form says: what its type needs of it."""
    kind = form.get("type", "")
    named = {
        "rules": ("strategy",), "llm": ("model", "endpoint", "api_key_secret", "instructions"),
        "remote": ("endpoint", "api_key_secret"), "replay": ("run",),
    }.get(kind, ())  # fmt: skip
    agent: dict[str, Any] = {"type": kind} | {name: form[name] for name in named if form.get(name)}
    if kind == "random":
        agent["parameters"] = {name: _number(form.get(name, "")) for name in ("trades", "holding")}
    return agent


def _number(text: str) -> Any:
    try:
        return int(text) if text.strip().isdigit() else float(text)
    except ValueError:
        return text


def _bench(visit: Visit, given: Mapping[str, Any], problem: PitbossError | None = None) -> Response:
    platform = visit.platform
    latest = {
        trader.id: next(iter(platform.bench.sessions(visit.me, trader, 1)), None)
        for trader in platform.trading.all(visit.me)
    }
    return visit.render(
        "traders.html", 422 if problem else 200, rows=platform.bench.leaderboard(visit.me), latest=latest,
        given={**FORM, **given}, problem=problem, strategies=platform.sources(visit.me).strategies.names(),
    )  # fmt: skip


@router.get("/traders/{trader_id}")
def trader(visit: Desk, trader_id: str, ask: Ask) -> Response:
    """Show a trader: its account, its sessions, and how good it is."""
    return _trader(visit, visit.platform.trading.get(visit.me, trader_id), ask, {})


@router.post("/traders/{trader_id}/order")
async def order(visit: Desk, trader_id: str, ask: Ask) -> Response:
    """Order in a trader's own account."""
    form = {name: texts[0] for name, texts in (await visit.form()).items()}
    return await run_in_threadpool(_ordered, visit, trader_id, form, ask)


def _ordered(visit: Visit, trader_id: str, form: Mapping[str, str], ask: Any) -> Response:
    platform, me = visit.platform, visit.me
    found = platform.trading.get(me, trader_id)
    try:
        at = moment_of(form["at"], "at") if form.get("at") else None
        answer = platform.trading.execute_trade(
            me, ReaderQuotes(ask, platform.home_of(me)), found.id, form.get("action", ""), form.get("symbol", ""),
            form.get("quantity", ""), at, idempotency_key=form.get("key") or None,
        )  # fmt: skip
    except PitbossError as error:
        return _trader(visit, found, ask, form, error)
    said = answer.as_dict()
    what = f"{said['side']} {said['quantity']:g} {said['symbol']}"
    came = f"filled: {what} at {said['price']:,.4f}" if answer.is_filled else f"refused: {said['reason']}"
    return visit.go(f"/traders/{found.id}", came)


def _trader(
    visit: Visit, found: Trader, ask: Any, given: Mapping[str, Any], problem: PitbossError | None = None
) -> Response:  # fmt: skip
    platform, me = visit.platform, visit.me
    account = ReaderQuotes(ask, platform.home_of(me)).marked(platform.trading.account(me, found.id))
    return visit.render(
        "trader.html", 422 if problem else 200, trader=found, account=account, problem=problem,
        given={**FORM, **given}, key=f"page-{time.time_ns()}",
        positions=[position.as_dict() for position in account.positions.values()],
        performance=platform.bench.performance(me, found.id), runs=platform.bench.sessions(me, found, SHOWN),
        trades=_latest(platform.trading.trades(me, found.id, SHOWN)),
        refused=_latest(platform.trading.orders_of(account, OrderStatus.REFUSED, SHOWN)),
    )  # fmt: skip


def _latest(answers: Sequence[OrderAnswer]) -> list[dict[str, Any]]:
    return [answer.as_dict() for answer in reversed(answers)]


@router.get("/sessions/{run_id}/{minute}")
def minute(visit: Desk, run_id: str, minute: Annotated[int, Path(ge=1, le=1_000_000)]) -> Response:
    """Show one step of a session: what was seen, said, decided and done."""
    run = visit.platform.service.get(visit.me, run_id)
    shown = next(iter(visit.platform.bench.steps(run, minute - 1, 1)), None)
    if shown is None or shown.number != minute:
        raise NotFound("there is no such step", "look at the run's page")
    return visit.render(
        "minute.html", run=run, step=shown, count=visit.platform.trading.reached(run.id), decision=shown.decision,
        dialogue=said_of(shown.decision), orders=_orders(visit, run, shown.number),
    )  # fmt: skip


def _orders(visit: Visit, run: Run, number: int) -> list[dict[str, Any]]:
    """Answer what came of what was ordered at a step."""
    account = visit.platform.trading.account_of_run(run.id)
    found = visit.platform.trading.orders_of(account) if account is not None else []
    return [each.as_dict() for each in found if each.key.startswith(f"{number}.")]


def said_of(decision: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Answer who said what on the way to a decision, in its order."""
    found: list[tuple[str, str]] = []
    for message in decision["transcript"]:
        if message.get("instructions") and not found:
            found.append(("instructions", message["instructions"]))
        for part in message.get("parts", ()):
            kind = part.get("part_kind", "")
            if kind == "tool-call":
                arguments = part.get("args")
                shown = arguments if isinstance(arguments, str) else json.dumps(arguments)
                found.append((f"calls {part.get('tool_name')}", shown))
            else:
                content = part.get("content")
                text = content if isinstance(content, str) else json.dumps(content, indent=1)
                found.append((_WHO.get(kind, kind), text))
        if message.get("kind") in ("request", "response") and "parts" not in message:
            told = message.get("body", message.get("text"))
            found.append((message["kind"], told if isinstance(told, str) else json.dumps(told, indent=1)))
    return [(who, text) for who, text in found if text]


_WHO = {
    "user-prompt": "prompt", "system-prompt": "instructions", "tool-return": "is shown", "retry-prompt": "is told",
    "text": "says", "thinking": "thinks",
}  # fmt: skip
