"""The double-entry ledger of an account: entries that balance, each chained to the one before by its hash."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from pitboss.trading.model import ZERO, Account, OrderAnswer, money

GENESIS = "0" * 64
Postings = tuple[tuple[str, Decimal], ...]


class EntryKind(StrEnum):
    """What an entry is of."""

    OPENED = "opened"  # the cash that an account begins with
    FILLED = "filled"  # an order
    CHARGED = "charged"  # interest, and for shares that are borrowed
    BOOKED = "booked"  # the result of a session, in its trader's account
    REVERSED = "reversed"  # the opposite of an earlier entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry: `postings` name what is debited, or credited where the amount is negative; they add up to nothing.

    `symbol` and `shares` say by how much a position changes. `reverses` is the number of the entry that it takes back.
    `at` is the market's time, `booked_at` that of the database when it was written.
    """

    account: str
    number: int
    kind: EntryKind
    at: int
    booked_at: float
    postings: Postings
    order: str | None = None
    run: str | None = None
    symbol: str = ""
    shares: Decimal = ZERO
    reverses: int | None = None
    hash: str = ""

    @property
    def balance(self) -> Decimal:
        return sum((amount for _, amount in self.postings), ZERO)

    def chained(self, previous: str) -> str:
        """Answer the hash of the entry after one whose hash is `previous` (BLAKE2b, 256 bits)."""
        said = [
            previous, self.account, self.number, self.kind.value, self.at, repr(self.booked_at),
            [[name, str(amount)] for name, amount in self.postings], self.order, self.run, self.symbol,
            str(self.shares), self.reverses,
        ]  # fmt: skip
        return hashlib.blake2b(json.dumps(said, separators=(",", ":")).encode(), digest_size=32).hexdigest()


def shares_of(symbol: str) -> str:
    """Answer the name under which postings keep the shares of a symbol, at cost."""
    return f"positions:{symbol}"


@dataclass(slots=True)
class Standing:
    """What entries add up to: by the names of the ledger, and the shares of each symbol."""

    amounts: dict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))
    shares: dict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))

    @property
    def cash(self) -> Decimal:
        return self.amounts["cash"]

    def take(self, entry: Entry) -> None:
        for name, amount in entry.postings:
            self.amounts[name] += amount
        if entry.symbol:
            self.shares[entry.symbol] += entry.shares

    def held(self) -> dict[str, Decimal]:
        """Answer the shares of each symbol that there are."""
        return {symbol: shares for symbol, shares in sorted(self.shares.items()) if shares}


def replay(entries: Iterable[Entry], until: int | None = None) -> Standing:
    """Answer what an account had at a moment of the market, by its ledger alone."""
    standing = Standing()
    for entry in entries:
        if until is None or entry.at <= until:
            standing.take(entry)
    return standing


def reversal_of(entry: Entry, number: int, booked_at: float) -> Entry:
    """Answer the entry of that number that takes another back."""
    return replace(
        entry, number=number, kind=EntryKind.REVERSED, booked_at=booked_at, shares=-entry.shares,
        postings=tuple((name, -amount) for name, amount in entry.postings), reverses=entry.number, hash="",
    )  # fmt: skip


def faults(account: Account, entries: Sequence[Entry], filled: Mapping[str, OrderAnswer]) -> Iterator[str]:
    """Yield what is wrong with the ledger of an account, in words: entries that are missing, changed or do not
    balance, and what it, its positions and its `filled` orders say differently."""
    for what in (*_chain_faults(account, entries), *_fill_faults(entries, filled), *_standing_faults(account, entries)):
        yield f"account {account.id}: {what}"


def _chain_faults(account: Account, entries: Sequence[Entry]) -> Iterator[str]:
    previous = GENESIS
    for number, entry in enumerate(entries, 1):
        if entry.number != number:
            yield f"entry {number} is missing"
            return
        if entry.chained(previous) != entry.hash:
            yield f"entry {number}: its hash does not follow from what it says and the entry before"
        if entry.balance:
            yield f"entry {number}: debits and credits differ by {entry.balance}"
        previous = entry.hash
    if (len(entries), previous) != (account.entries, account.head):
        yield f"its ledger has {len(entries)} entries and should have {account.entries}"


def _fill_faults(entries: Sequence[Entry], filled: Mapping[str, OrderAnswer]) -> Iterator[str]:
    booked = {entry.order: entry for entry in entries if entry.kind is EntryKind.FILLED and entry.order is not None}
    for order_id in sorted({*booked, *filled}):
        entry, order = booked.get(order_id), filled.get(order_id)
        if entry is None or order is None:
            yield f"order {order_id} is {'booked and not filled' if order is None else 'filled and not booked'}"
        elif _said(entry) != (order.symbol, order.action.side * order.quantity, order.fee, order.gain, _worth(order)):
            yield f"order {order_id}: its fill is not what entry {entry.number} says"


def _worth(order: OrderAnswer) -> Decimal:
    return money(order.quantity * (order.price or ZERO))


def _said(entry: Entry) -> tuple[str, Decimal, Decimal, Decimal, Decimal]:
    """Answer what an entry says of a fill: symbol, shares, fee, gain, and what the shares were worth."""
    amounts = dict(entry.postings)
    gain, cost = -amounts.get("gains", ZERO), amounts.get(shares_of(entry.symbol), ZERO)
    worth = cost if cost > 0 else -cost + (gain if entry.shares < 0 else -gain)
    return entry.symbol, entry.shares, amounts.get("fees", ZERO), gain, worth


def _standing_faults(account: Account, entries: Sequence[Entry]) -> Iterator[str]:
    standing = replay(entries)
    if standing.cash != account.cash:
        yield f"its cash is {account.cash}, its ledger says {standing.cash}"
    have = {symbol: position.quantity for symbol, position in sorted(account.positions.items())}
    if standing.held() != have:
        yield f"it holds {_shown(have)}, its ledger says {_shown(standing.held())}"
    for symbol, position in account.positions.items():
        cost = standing.amounts[shares_of(symbol)]
        if cost != position.cost:
            yield f"{symbol} cost {position.cost}, its ledger says {cost}"


def _shown(shares: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{quantity} {symbol}" for symbol, quantity in shares.items()) or "nothing"
