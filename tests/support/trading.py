"""Trading in tests: a market that is made up, traders, and processes that order until they are killed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from pitboss.core.principal import LOCAL
from pitboss.storage.database import Database
from pitboss.storage.trading import SqlTrading
from pitboss.trading.model import OrderAnswer
from pitboss.trading.ports import Quote
from pitboss.trading.service import TradingService

SYMBOLS = ("AAPL", "IBM", "BAC")
MINUTE = 60_000_000
COSTS = {"commission": 0.0002, "per_order": 0.35, "slippage": 0.0001}


class MadeUp:
    """A market whose prices follow from symbol and minute."""

    def quote(self, symbol: str, at: int) -> Quote:
        if symbol not in SYMBOLS:
            return Quote(None, f"there are no bars of {symbol}")
        return Quote(Decimal(random.Random(f"{symbol} {at}").randint(5_000, 30_000)) / 100)


def trading_over(database: Database) -> TradingService:
    return TradingService(SqlTrading(database), dict)


def asked(traders: list[str], process: int, count: int) -> Iterator[tuple[str, tuple[str, str, str, int, str], str]]:
    """Yield orders, the same ones for a process whenever it is asked: trader, order, and its key."""
    dice = random.Random(process)
    for number in range(count):
        trader = dice.choice(traders)
        action = dice.choice(("buy", "buy", "sell", "short", "cover"))
        quantity = str(Decimal(dice.randint(1, 5_000)) / 100)
        yield (
            trader,
            (action, dice.choice(SYMBOLS), quantity, MINUTE * dice.randint(1, 390), "ai"),
            f"{process}-{number}",
        )


class Orderers:
    """Processes that order, each request twice, and note in a file what they were answered."""

    def __init__(self, url: str, folder: Path, processes: int, count: int) -> None:
        self.url, self.folder, self.count = url, folder, count
        self.running = {process: self._start(process) for process in range(processes)}
        self.kills = 0

    def _start(self, process: int) -> subprocess.Popen[bytes]:
        arguments = [self.url, str(self.answers_of(process)), str(process), str(self.count)]
        return subprocess.Popen([sys.executable, "-m", "support.trading", *arguments], cwd=Path(__file__).parents[1])

    def answers_of(self, process: int) -> Path:
        return self.folder / f"{process}.answers"

    def torment(self, kills: int, dice: random.Random, seconds: float) -> None:
        """Kill one after the other while they work, and start it again; return when all have ended."""
        while self.running:
            for process, child in list(self.running.items()):
                code = child.poll()
                if code == 0:
                    del self.running[process]
                elif code is not None:
                    assert code == -signal.SIGKILL, f"an orderer ended with {code}"
                    self.running[process] = self._start(process)
            if self.running and self.kills < kills and self._has_begun():
                self.running[dice.choice(list(self.running))].kill()
                self.kills += 1
            time.sleep(dice.random() * seconds)

    def _has_begun(self) -> bool:
        return any(self.answers_of(process).exists() for process in self.running)

    def answers(self) -> dict[str, str]:
        """Answer by key the ids that were answered."""
        lines = (line.split() for path in self.folder.glob("*.answers") for line in path.read_text().splitlines())
        return {fields[0]: fields[1] for fields in lines if len(fields) == 2}


def replayed(orders: list[OrderAnswer], cash: Decimal) -> tuple[Decimal, dict[str, Decimal]]:
    """Answer cash and shares by an arithmetic of its own; fails where an order was not to be filled, or was."""
    shares: dict[str, Decimal] = defaultdict(Decimal)
    costs: dict[str, Decimal] = defaultdict(Decimal)
    cent = Decimal("1e-8")
    for order in orders:
        held, side = shares[order.symbol], 1 if order.action in ("buy", "cover") else -1
        price = MadeUp().quote(order.symbol, order.at).price
        assert price is not None
        price = Decimal(repr(float(price) * (1 + side * COSTS["slippage"])))
        worth = (order.quantity * price).quantize(cent)
        fee = Decimal(repr(COSTS["commission"] * float(order.quantity) * float(price) + COSTS["per_order"])).quantize(
            cent
        )
        if order.action in ("buy", "short"):
            against = held * side < 0
            free = cash + sum(2 * costs[symbol] for symbol, each in shares.items() if each < 0)
            assert not order.is_filled or not against
            assert not order.is_filled or worth + fee <= free
            if order.is_filled:
                shares[order.symbol] += side * order.quantity
                costs[order.symbol] += worth
                cash -= worth + fee
        else:
            enough = order.quantity <= (held if order.action == "sell" else -held)
            assert not order.is_filled or enough
            if order.is_filled:
                whole = order.quantity == abs(held)
                cost = (
                    costs[order.symbol] if whole else (costs[order.symbol] * order.quantity / abs(held)).quantize(cent)
                )
                cash += (worth if order.action == "sell" else 2 * cost - worth) - fee
                shares[order.symbol] += side * order.quantity
                costs[order.symbol] -= cost
        assert order.cash == cash, (order, cash)
        assert order.position == shares[order.symbol]
    return cash, {symbol: each for symbol, each in shares.items() if each}


def order_all(url: str, answers: Path, process: int, count: int) -> None:
    """Send every order twice, beginning with the first that was not answered; note each answer when it has come."""
    database = Database(url)
    service = trading_over(database)
    traders = [trader.id for trader in service.all(LOCAL)]
    known = {line.split()[0] for line in answers.read_text().splitlines()} if answers.exists() else set()
    with answers.open("a") as file:
        for trader, order, key in asked(traders, process, count):
            if key in known:
                continue
            first = service.execute_trade(LOCAL, MadeUp(), trader, *order, idempotency_key=key)
            again = service.execute_trade(LOCAL, MadeUp(), trader, *order, idempotency_key=key)
            assert first == again
            file.write(f"{key} {first.order_id}\n")
            file.flush()


if __name__ == "__main__":
    order_all(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
