"""Alpaca's paper account as a broker, by alpaca-py (https://docs.alpaca.markets/docs/paper-trading)."""

from __future__ import annotations

import asyncio
import fcntl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import MarketOrderRequest
from alpaca.trading.stream import TradingStream
from requests import RequestException, Session
from requests.adapters import HTTPAdapter

from pitboss.sessions.broker import Placed
from pitboss.sessions.limits import Suspended
from pitboss.trading.model import Action

TIMEOUT = 10.0  # seconds that an answer may take
LOOK_SECONDS = 0.5  # between two looks at an order, where no socket tells of it
FILL_SECONDS = 60.0  # after which an order that is not filled is given up
OUTAGE_SECONDS = 300.0
_ENDED = frozenset({"filled", "canceled", "expired", "rejected", "done_for_day"})
_SIDES = {1: OrderSide.BUY, -1: OrderSide.SELL}


class _Patient(HTTPAdapter):
    """Gives up an answer after a while: the library waits for ever."""

    def send(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["timeout"] = kwargs.get("timeout") or TIMEOUT
        return super().send(*args, **kwargs)


@dataclass
class AlpacaBroker:
    """One paper account. `secret` is `KEY:SECRET`, `check` raises where the run is to end; `config` may name
    `trading_url` and `stream_url`. Of all processes of this host one has the account's socket: the others look for
    themselves."""

    config: Mapping[str, Any]
    secret: str
    folder: Path
    check: Callable[[], None]
    outage_seconds: float = OUTAGE_SECONDS
    fill_seconds: float = FILL_SECONDS
    name: str = "alpaca"
    _client: TradingClient = field(init=False)
    _moved: threading.Event = field(init=False, default_factory=threading.Event)

    def __post_init__(self) -> None:
        key, _, private = self.secret.partition(":")
        self._client = TradingClient(
            key, private, paper=True, raw_data=True, url_override=self.config.get("trading_url")
        )
        session: Session = self._client._session
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Patient())

    def listen(self) -> bool:
        """Open the account's socket, unless another process of this host has it; answer whether it is ours."""
        self.folder.mkdir(parents=True, exist_ok=True)
        key, _, private = self.secret.partition(":")
        lock = (self.folder / f"{self.name}-{key[:8]}.socket").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        address: Any = self.config.get("stream_url")
        stream: Any = TradingStream(key, private, paper=True, raw_data=True, url_override=address)

        async def moved(_update: Any) -> None:
            self._moved.set()

        def run() -> None:
            with lock, suppress(Exception):  # without it orders are looked at now and then
                stream.subscribe_trade_updates(moved)
                asyncio.run(stream._run_forever())

        threading.Thread(target=run, daemon=True).start()
        return True

    def place(self, client_id: str, action: Action, symbol: str, quantity: Decimal) -> Placed:
        asked = MarketOrderRequest(
            symbol=symbol, qty=float(quantity), side=_SIDES[action.side], time_in_force=TimeInForce.DAY,
            client_order_id=client_id,
        )  # fmt: skip
        order = self._known(lambda: self._found(client_id))
        if order is None:
            try:
                order = self._answered(lambda: self._placed_once(client_id, asked))
            except APIError as error:
                return Placed(Decimal(0), None, f"{self.name} refuses: {_message(error)}")
        return self._ended(client_id, order)

    def _placed_once(self, client_id: str, asked: MarketOrderRequest) -> Any:
        """Place an order, or find it where it has arrived before. Raises APIError for one that is refused."""
        try:
            return self._client.submit_order(asked)
        except RequestException:
            found = self._found(client_id)  # it may have arrived, and its answer been lost
            if found is None:
                raise
            return found
        except APIError as error:
            found = self._found(client_id) if error.status_code == 422 else None
            if found is None:
                raise
            return found

    def _found(self, client_id: str) -> Any:
        try:
            return self._client.get_order_by_client_id(client_id)
        except APIError as error:
            if error.status_code == 404:
                return None
            raise

    def _ended(self, client_id: str, order: Any) -> Placed:
        """Answer what became of an order once it has ended; one that takes too long is given up."""
        deadline, is_given_up = time.monotonic() + self.fill_seconds, False
        while order["status"] not in _ENDED:
            self.check()
            if time.monotonic() > deadline and not is_given_up:
                is_given_up = True
                with suppress(APIError):
                    self._answered(partial(self._client.cancel_order_by_id, order["id"]))
            self._moved.wait(LOOK_SECONDS)
            self._moved.clear()
            order = self._known(lambda: self._found(client_id)) or order
        filled = Decimal(str(order["filled_qty"] or 0))
        if filled > 0:
            return Placed(filled, Decimal(str(order["filled_avg_price"])))
        return Placed(Decimal(0), None, f"{self.name}: the order was {order['status']}")

    def positions(self) -> Mapping[str, Decimal]:
        held = self._known(self._client.get_all_positions)
        return {each["symbol"]: Decimal(str(each["qty"])) for each in held}

    def _known(self, ask: Callable[[], Any]) -> Any:
        """Answer a question about the account. Raises Suspended where the broker refuses to answer it, or gives no
        answer for too long."""
        try:
            return self._answered(ask)
        except APIError as error:
            what = f"{self.name} refuses: {_message(error)}"
            raise Suspended(what, f"see to the secret {self.config['secret']}, then resume the run") from None

    def _answered(self, ask: Callable[[], Any]) -> Any:
        """Answer what the broker answers, however often it has to be asked. Raises APIError for a refusal, Suspended
        where it gives no answer for too long."""
        begun, wait = time.monotonic(), LOOK_SECONDS
        while True:
            self.check()
            try:
                return ask()
            except RequestException as error:
                reason = type(error).__name__
            except APIError as error:
                if error.status_code < 500 and error.status_code != 429:
                    raise
                reason = f"status {error.status_code}"
            if time.monotonic() - begun > self.outage_seconds:
                what = f"suspended: {self.name} gives no answer ({reason})"
                raise Suspended(what, "resume the run when it answers again")
            time.sleep(wait)
            wait = min(2 * wait, 10.0)


def _message(error: APIError) -> str:
    try:
        return str(error.message)[:200]
    except (ValueError, KeyError, TypeError):
        return str(error)[:200]
