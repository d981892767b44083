"""That an administrator looked at what is not theirs is noted, though not at every look."""

from __future__ import annotations

import time

from pitboss.accounts.ports import Entry
from pitboss.accounts.service import AccountService
from pitboss.core.principal import LOCAL, Principal

AGAIN_SECONDS = 3600.0  # after which the same look is noted again
MOST_REMEMBERED = 10_000


class AuditedOverseer:
    """Notes looks in the audit; where there are no accounts, there is nobody to be looked at."""

    def __init__(self, accounts: AccountService) -> None:
        self._accounts = accounts
        self._seen: dict[tuple[Principal, str], float] = {}

    def saw(self, who: Principal, what: str) -> None:
        """Note that somebody looked at something of another's."""
        now = time.monotonic()
        last = self._seen.get((who, what))
        if who == LOCAL or (last is not None and now - last < AGAIN_SECONDS):
            return
        if len(self._seen) >= MOST_REMEMBERED:
            self._seen.clear()
        self._seen[who, what] = now
        self._accounts.audit.record([Entry.of(who, "looked", what)])
