"""What owners let others read: a run or a saved backtest, with named accounts, or by a link that shows a report."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from pitboss.accounts.keys import digest_of, new_key
from pitboss.accounts.model import checked_name
from pitboss.accounts.ports import Audit, Entry
from pitboss.core.clock import to_iso
from pitboss.core.errors import InvalidInput, NotFound
from pitboss.core.ids import new_id
from pitboss.core.principal import Principal
from pitboss.runs.report import Report
from pitboss.runs.service import RunService

LONGEST_SECONDS = 366 * 86_400.0
MOST = 200  # shares of one thing


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """That something may be read: by `account`, or where that is None by whoever has the link."""

    id: str
    thing: str
    thing_id: str
    owner: str
    account: str | None
    created_at: float
    expires_at: float | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id, "account": self.account, "is_link": self.account is None,
            "created_at": to_iso(self.created_at), "expires_at": to_iso(self.expires_at),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shared:
    """Something that can be shared, and whose it is."""

    thing: str
    id: str
    owner: str


class ShareStore(Protocol):
    """Keeps shares."""

    def add(self, share: Share, digest: str | None, lasts: float | None) -> Share: ...

    def of(self, thing: str, thing_id: str) -> list[Share]: ...

    def remove(self, share_id: str) -> None: ...

    def by_digest(self, digest: str) -> Share | None: ...

    def shared_with(self, account: str, thing: str) -> Collection[str]: ...


class Sharing:
    """Shares what somebody owns, and takes it back. Safe to use from any thread."""

    def __init__(self, store: ShareStore, service: RunService, audit: Audit, is_enabled: Callable[[str], bool]) -> None:
        self._store = store
        self._service = service
        self._audit = audit
        self._is_enabled = is_enabled

    def share(self, who: Principal, what: Shared, account: str, lasts: float | None = None) -> Share:
        """Let an account read something; whether there is such an account is not told.

        Whoever calls has made sure that it is theirs to share. Raises InvalidInput.
        """
        return self._add(who, what, checked_name(account), None, lasts)

    def link(self, who: Principal, what: Shared, lasts: float) -> tuple[Share, str]:
        """Answer a link's key, by which anybody may read the report of a run for `lasts` seconds."""
        key = new_key()
        return self._add(who, what, None, digest_of(key), lasts), key

    def _add(self, who: Principal, what: Shared, account: str | None, digest: str | None, lasts: float | None) -> Share:
        thing, thing_id = what.thing, what.id
        if lasts is not None and not 60 <= lasts <= LONGEST_SECONDS:
            raise InvalidInput("it ends too soon or too late", "write 1h to 366d", "expires")
        before = self._store.of(thing, thing_id)
        if len(before) >= MOST:
            raise InvalidInput(f"it is shared {len(before)} times", "take some back", "with")
        same = [share for share in before if account is not None and share.account == account]
        for share in same:
            self._store.remove(share.id)
        share = Share(
            id=new_id(),
            thing=thing,
            thing_id=thing_id,
            owner=what.owner,
            account=account,
            created_at=0.0,
            expires_at=None,
        )
        made = self._store.add(share, digest, lasts)
        self._audit.record(
            [Entry.of(who, "shares.share", f"{thing} {thing_id}", account=account, link=account is None)]
        )
        return made

    def of(self, thing: str, thing_id: str) -> list[Share]:
        """Answer with whom something is shared, oldest first."""
        return self._store.of(thing, thing_id)

    def unshare(self, who: Principal, thing: str, thing_id: str, share_id: str) -> None:
        """Take a share back. Raises NotFound."""
        if share_id not in [share.id for share in self._store.of(thing, thing_id)]:
            raise NotFound(f"it is not shared as '{share_id[:64]}'", "list its shares to see which there are")
        self._store.remove(share_id)
        self._audit.record([Entry.of(who, "shares.unshare", f"{thing} {thing_id}", share=share_id)])

    def report(self, key: str) -> Report:
        """Answer the report that a link shows. Raises NotFound where it has ended or never was one."""
        share = self._store.by_digest(digest_of(key))
        if share is None or not self._is_enabled(share.owner):
            raise NotFound("this link shows nothing", "it may have ended: ask for a new one")
        return self._service.report(Principal(share.owner), share.thing_id)

    def shared_with(self, who: Principal, thing: str) -> Collection[str]:
        """Answer the ids of what others share with somebody."""
        return self._store.shared_with(who.name, thing)
