"""Traders over HTTP: accounts, orders, positions, and how good they are."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from pitboss.api.deps import IdempotencyKey, Locate
from pitboss.api.schemas import Json, Strict
from pitboss.http.deps import Ask, Who, Whose, Wired
from pitboss.http.quoting import ReaderQuotes
from pitboss.market.dates import moment_of
from pitboss.trading.model import Account, Source

router = APIRouter(tags=["traders"])
TraderId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A trader's id, or its name.")]
Number = StrictInt | StrictFloat
Text = Annotated[StrictStr, Field(max_length=500, pattern=r"^[^\x00]*$")]


class TraderRequest(Strict):
    """A trader to be: its name, the cash it begins with, how it decides, and what it may do."""

    name: Text
    cash: Number
    agent: Json
    rules: Json = {}
    costs: Json | None = None
    signature: Text = ""


class OrderRequest(Strict):
    """An order. Without `at` it is of this minute."""

    action: Text
    symbol: Text
    quantity: Number | Annotated[StrictStr, Field(max_length=40)]
    at: Annotated[StrictStr, Field(max_length=40, description="A minute, UTC: 2014-06-05T14:30.")] | None = None
    source: Text = Source.MANUAL.value
    reason: Text = ""


class OrderModel(BaseModel):
    """What became of an order."""

    order_id: str
    status: str
    reason: str
    symbol: str
    side: str
    quantity: float
    price: float | None
    fee: float
    gain: float
    cash: float
    position: float
    at: str
    source: str
    signature: str
    run_id: str | None


class PositionModel(BaseModel):
    """Shares that are held, or fewer than none that were sold short."""

    symbol: str
    quantity: float
    cost: float
    average_price: float
    price: float
    value: float
    unrealized: float


class TraderModel(BaseModel):
    """A trader with what its account is worth at the last known prices."""

    id: str
    name: str
    signature: str
    owner: str
    starting_cash: float
    agent: Json
    rules: Json
    costs: Json
    created_at: str
    cash: float
    equity: float


class StopRequest(Strict):
    """Whether what was done so far is kept."""

    keep_partial: StrictBool = True


class StoppedModel(BaseModel):
    """The runs that were cancelled."""

    cancelled: int
    runs: list[str]


@router.post("/traders", status_code=201, response_model=TraderModel)
def create(request: TraderRequest, locate: Locate, platform: Wired, who: Who, key: IdempotencyKey = None) -> Any:
    """Make a trader with an account of its own; the same key again answers the same trader."""
    trader = platform.trading.create(
        who, request.name, request.cash, request.agent, request.rules, request.costs, request.signature, key
    )
    locate(f"/traders/{trader.id}")
    return trader.as_dict() | {"cash": float(trader.cash), "equity": float(trader.cash)}


@router.get("/traders", response_model=list[TraderModel])
def list_traders(platform: Wired, who: Whose, ask: Ask) -> Any:
    """List the traders, by name."""
    return [
        trader.as_dict() | _worth(platform.trading.account(who, trader.id), ReaderQuotes(ask, platform.home_of(who)))
        for trader in platform.trading.all(who)
    ]


@router.get("/traders/{trader_id}", response_model=TraderModel)
def get(trader_id: TraderId, platform: Wired, who: Whose, ask: Ask) -> Any:
    """Answer a trader, its cash, and its equity at the last known prices."""
    trader, account = platform.trading.get(who, trader_id), platform.trading.account(who, trader_id)
    return trader.as_dict() | _worth(account, ReaderQuotes(ask, platform.home_of(who)))


@router.post("/traders/{trader_id}/orders", response_model=OrderModel)
def order(
    trader_id: TraderId, request: OrderRequest, platform: Wired, who: Who, ask: Ask, key: IdempotencyKey = None
) -> Any:
    """Execute an order in the trader's own account, whole or not at all. A refusal is an answer, with figures, and is
    kept; the same key again answers the same."""
    quotes = ReaderQuotes(ask, platform.home_of(who))
    at = None if request.at is None else moment_of(request.at, "at")
    answer = platform.trading.execute_trade(
        who, quotes, trader_id, request.action, request.symbol, request.quantity, at, request.source, key,
        request.reason,
    )  # fmt: skip
    return answer.as_dict()


@router.get("/traders/{trader_id}/orders", response_model=list[OrderModel])
def orders(trader_id: TraderId, platform: Wired, who: Whose) -> Any:
    """List what was ordered in the trader's own account, refusals among them, oldest first."""
    account = platform.trading.account(who, trader_id)
    return [answer.as_dict() for answer in platform.trading.orders_of(account)]


@router.get("/traders/{trader_id}/positions", response_model=list[PositionModel])
def positions(trader_id: TraderId, platform: Wired, who: Whose, ask: Ask) -> Any:
    """List what the trader's own account holds, at the last known prices."""
    account = ReaderQuotes(ask, platform.home_of(who)).marked(platform.trading.account(who, trader_id))
    return [position.as_dict() for position in account.positions.values()]


@router.get("/traders/{trader_id}/trades", response_model=list[OrderModel])
def trades(trader_id: TraderId, platform: Wired, who: Whose) -> Any:
    """List the fills of manual orders and of completed sessions, each with its run, oldest first."""
    return [answer.as_dict() for answer in platform.trading.trades(who, trader_id)]


@router.get("/traders/{trader_id}/performance")
def performance(trader_id: TraderId, platform: Wired, who: Whose) -> Json:
    """Answer the figures of a trader over its completed sessions alone: net of fees and of what its model cost."""
    return platform.bench.performance(who, trader_id)


@router.get("/leaderboard")
def leaderboard(platform: Wired, who: Whose) -> list[Json]:
    """List the traders by their net return over completed sessions, beside the random baseline and buy-and-hold."""
    return platform.bench.leaderboard(who)


@router.post("/emergency-stop", response_model=StoppedModel)
def emergency_stop(platform: Wired, who: Who, request: StopRequest | None = None) -> Any:
    """Cancel everything that one runs, whatever its kind."""
    stopped = platform.service.stop_everything(who, (request or StopRequest()).keep_partial)
    return {"cancelled": len(stopped), "runs": [run.id for run in stopped]}


def _worth(account: Account, quotes: ReaderQuotes) -> dict[str, float]:
    return {"cash": float(account.cash), "equity": float(quotes.marked(account).equity)}


def _now() -> int:
    return int(time.time()) * 1_000_000
