"""Channels: where somebody is told that a run has ended, or that a schedule has missed its time.

An address (mail, Slack, Telegram, a webhook: whatever Apprise knows) is a secret, and lies in the vault under the
channel's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from pitboss.accounts.vault import Vault
from pitboss.core.clock import to_iso
from pitboss.core.errors import Conflict, InvalidInput, NotFound, Problem
from pitboss.core.ids import new_id
from pitboss.core.principal import Principal
from pitboss.runs.model import Run

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")


class News(StrEnum):
    """What a channel may be told of."""

    ASKED = "asked"  # the end of runs that were queued with notify_on_completion
    COMPLETED = "completed"  # every run that completes
    FAILED = "failed"  # every run that fails
    PASSED = "passed"  # every run that found something, such as a screen that a ticker passes
    MISSED = "missed"  # every time of a schedule at which no run came about


class NoticeState(StrEnum):
    """What became of a notice."""

    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Somebody's channel. `seen_until` (seconds since 1970) is up to when there was nothing more to tell."""

    id: str
    owner: str
    name: str
    news: tuple[News, ...]
    seen_until: float = 0.0
    created_at: float = 0.0

    @property
    def secret(self) -> str:
        """Under which its address lies in the vault."""
        return f"NOTIFY_{self.name.upper()}"

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "news": [each.value for each in self.news], "created_at": to_iso(self.created_at)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is to be told over a channel; there is one of each `key` and channel."""

    channel_id: str
    key: str
    title: str
    body: str
    state: NoticeState = NoticeState.WAITING
    attempts: int = 0
    due_at: float = 0.0
    error: str = ""
    created_at: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return {
            "title": self.title, "state": self.state.value, "attempts": self.attempts, "error": self.error,
            "created_at": to_iso(self.created_at),
        }  # fmt: skip


class ChannelStore(Protocol):
    """Keeps channels and their notices. Raises StorageUnavailable."""

    def add(self, channel: Channel) -> Channel | None:
        """Keep a new one; None when its owner has one of that name."""

    def all(self, owner: str | None = None) -> list[Channel]:
        """Answer those of an owner by name, or all there are."""

    def remove(self, channel_id: str) -> None:
        """Forget one with its notices."""

    def ended(self, owner: str, since: float, limit: int) -> list[Run]:
        """Answer the runs of an owner that ended at `since` or later, the first ones."""

    def missed(self, owner: str, since: float, limit: int) -> list[tuple[str, float, str]]:
        """Answer the times of an owner's schedules, at `since` or later, that no run came of: name, time and why."""

    def note(self, channel: Channel, notices: Sequence[Notice], until: float) -> None:
        """Keep notices, each once, and that there was nothing more to tell `until` then, in one transaction."""

    def take(self, until: float) -> list[tuple[Channel, Notice]]:
        """Answer the notices that are due, and have nobody else take them `until` then (seconds since 1970)."""

    def settle(self, taken: Notice, notice: Notice) -> None:
        """Keep what became of one, unless somebody else has taken it since."""

    def notices(self, channel_id: str, limit: int) -> list[Notice]:
        """Answer the latest notices of a channel, newest first."""

    def now(self) -> float:
        """Answer the time by the database's clock."""


class Address(Protocol):
    """What can send to an address."""

    def __call__(self, address: str, title: str, body: str) -> None:
        """Send, or raise what went wrong."""


@dataclass
class Channels:
    """Makes, lists, tries and removes channels. Whoever asks comes first; what belongs to others is not found."""

    store: ChannelStore
    vault: Vault
    send: Address
    check: Callable[[str], None]

    def add(self, who: Principal, name: str, address: str, news: Sequence[str]) -> Channel:
        """Keep a channel, its address sealed. Raises InvalidInput with every mistake, Conflict."""
        problems = []
        if not _NAME.fullmatch(name):
            problems.append(Problem(f"'{name[:40]}' is no name", "a letter, then letters, digits and _", where="name"))
        known = [each.value for each in News]
        problems += [
            Problem(f"'{str(each)[:40]}' is no news", f"write {', '.join(known)}", where="news")
            for each in news
            if each not in known
        ]
        if not news:
            problems.append(Problem("nothing is to be told", f"name some of {', '.join(known)}", where="news"))
        try:
            self.check(address)
        except InvalidInput as error:
            problems += error.problems
        if problems:
            raise InvalidInput(problems)
        if any(each.name.upper() == name.upper() for each in self.all(who)):  # a secret's name is in capitals
            raise Conflict(f"there is a channel '{name}' already", "choose another name, or remove that one")
        now = self.store.now()
        wanted = tuple(News(each) for each in dict.fromkeys(news))
        channel = Channel(id=new_id(), owner=who.name, name=name, news=wanted, seen_until=now, created_at=now)
        self.vault.put(who, channel.secret, address)
        made = self.store.add(channel)
        if made is None:
            raise Conflict(f"there is a channel '{name}' already", "choose another name, or remove that one")
        return made

    def get(self, who: Principal, name: str) -> Channel:
        """Answer one. Raises NotFound."""
        found = next((each for each in self.store.all(who.name) if each.name == name), None)
        if found is None:
            raise NotFound(f"there is no channel '{name[:40]}'", "see 'pitboss notify list'")
        return found

    def all(self, who: Principal) -> list[Channel]:
        """Answer one's own, by name."""
        return self.store.all(who.name)

    def described(self, channel: Channel) -> dict[str, Any]:
        """Answer a channel with its latest notices."""
        return channel.as_dict() | {"notices": [each.as_dict() for each in self.store.notices(channel.id, 10)]}

    def remove(self, who: Principal, name: str) -> None:
        """Forget one, with its address. Raises NotFound."""
        channel = self.get(who, name)
        self.store.remove(channel.id)
        self.vault.remove(who, channel.secret)

    def test(self, who: Principal, name: str) -> None:
        """Send something now. Raises NotFound, InvalidInput with what went wrong."""
        channel = self.get(who, name)
        address = self.vault.values(who.name, [channel.secret])[channel.secret]
        try:
            self.send(address, "pitboss", f"The channel {channel.name} works.")
        except Exception as error:
            raise InvalidInput(f"it could not be sent: {error}"[:300], "check the address", "name") from None


def wanted(channel: Channel, run: Run, news: str) -> bool:
    """Answer whether a channel is to be told of the end of a run; `news` is what it found, empty for nothing."""
    is_asked = bool(run.options.get("notify_on_completion")) and run.state.is_terminal
    return (
        (News.ASKED in channel.news and is_asked)
        or (News.COMPLETED in channel.news and run.state == "completed")
        or (News.FAILED in channel.news and run.state == "failed")
        or (News.PASSED in channel.news and run.state == "completed" and bool(news))
    )


def headline(run: Run, about: str, outcome: str, news: str, link: str) -> tuple[str, str]:
    """Answer the title and the text of a notice of a run's end."""
    ended = {"completed": "completed", "failed": "failed", "cancelled": "was cancelled"}[run.state.value]
    name = run.subject.rpartition("/")[2]
    lines = [f"{name}: {about}" if about else name, outcome, news]
    if run.error:
        lines += [str(run.error.get("message", "")), str(run.error.get("remedy", ""))]
    return f"{run.kind} {name} #{run.number} {ended}", "\n".join(filter(None, [*lines, link]))
