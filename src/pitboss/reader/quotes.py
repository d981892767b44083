"""Requests about prices, for orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pitboss.market import quotes
from pitboss.market.store import BarStore

REQUESTS = ("quote", "latest")


def quote(store: BarStore, symbol: str, at: int) -> dict[str, Any]:
    """Answer the price at which an order of that minute fills, before slippage, or why it does not."""
    found = quotes.price_at(store, symbol, at)
    return {"price": found.price, "refusal": found.refusal}


def latest(store: BarStore, symbols: Sequence[str]) -> dict[str, float | None]:
    """Answer the last closes of symbols."""
    return {symbol: quotes.latest(store, symbol).price for symbol in symbols}
