"""How often somebody may guess a password.

Guesses are counted for an account at an address, and for an address over all accounts. The first few are free; after
each more nothing is tried for a while that doubles to `LONGEST_SECONDS`. What comes meanwhile is refused unread and
not counted, so that nobody can lengthen another's wait. A browser that has signed in before brings a mark of that and
is counted by it alone: whoever guesses elsewhere never keeps the owner out.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

LONGEST_SECONDS = 60.0
FORGOTTEN_SECONDS = 3600.0  # after the last wrong guess they are forgotten


@dataclass(frozen=True, slots=True)
class Counter:
    """Who is counted together, and how many guesses of theirs are free."""

    key: str
    free: int


@dataclass(frozen=True, slots=True)
class Failures:
    """How many wrong guesses there were, and until when nothing is tried, seconds since 1970."""

    count: int = 0
    last_at: float = 0.0
    until: float = 0.0

    def after_another(self, free: int, now: float) -> Failures:
        """Answer what stands after one more wrong guess."""
        count = 1 if now - self.last_at > FORGOTTEN_SECONDS else self.count + 1
        wait = min(LONGEST_SECONDS, 2.0 ** (count - free)) if count > free else 0.0
        return Failures(count, now, now + wait)


def network_of(address: str) -> str:
    """Answer what stands for whoever has an address: itself, of IPv6 the /64 that is given to one customer."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "nowhere"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    mapped = found.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((found, 64), strict=False))


def counters(name: str, address: str, device: str) -> list[Counter]:
    """Answer by what a guess is counted; `device` is the mark of a browser that has signed in to that account."""
    address = network_of(address)
    if device:
        return [Counter(f"device {device}", 10)]
    return [Counter(f"account {name} from {address}", 5), Counter(f"address {address}", 20)]
