"""Prices for orders, as a server finds them: the process that reads bars is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pitboss.trading.model import Account, exact
from pitboss.trading.ports import Quote


@dataclass(frozen=True)
class ReaderQuotes:
    """Asks for prices of the bars in somebody's folder; see `trading.ports.Quotes`."""

    ask: Callable[..., Any]
    home: str

    def quote(self, symbol: str, at: int) -> Quote:
        found = self.ask("quote", self.home, symbol, at)
        return Quote(None if found["price"] is None else exact(found["price"]), found["refusal"])

    def marked(self, account: Account) -> Account:
        """Answer an account with its positions at the last known prices."""
        if not account.positions:
            return account
        prices = self.ask("latest", self.home, sorted(account.positions))
        held = {
            symbol: position if prices[symbol] is None else replace(position, mark=exact(prices[symbol]))
            for symbol, position in account.positions.items()
        }
        return replace(account, positions=held)
