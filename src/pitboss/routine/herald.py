"""Finds out what there is to tell, and tells it. Every server has one; runs know nothing of it, and wait for nothing.

What is to be told becomes a row, of which there is one for each channel and run; whoever sends it takes it for a while
first. What cannot be delivered is tried again, after a while that doubles, and given up after a day.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pitboss.core.clock import to_iso
from pitboss.routine.channels import Address, Channel, ChannelStore, News, Notice, NoticeState, headline, wanted
from pitboss.routine.looking import Looking
from pitboss.runs.kinds import Kinds
from pitboss.runs.model import Run

logger = logging.getLogger("pitboss.routine")

OVERLAP_SECONDS = 60.0  # that are looked at again: what ended then may have been committed later
TAKEN_SECONDS = 60.0  # within which a notice is sent, or somebody else tries
FIRST_WAIT, MOST_WAIT = 2.0, 3600.0
GIVEN_UP_AFTER = 86_400.0
SENDERS = 4
MOST_RUNS = 500  # that are looked at in one turn
MOST_NOTED = 10_000


class Herald(Looking):
    """Looks every second. `address` answers where a channel leads, `send` sends there."""

    name = "herald"

    def __init__(
        self, store: ChannelStore, kinds: Kinds, address: Callable[[Channel], str], send: Address, link: str = "",
    ) -> None:  # fmt: skip
        super().__init__()
        self._store = store
        self._kinds = kinds
        self._address = address
        self._send = send
        self._link = link
        self._noted: set[tuple[str, str]] = set()  # which spares the database what it knows

    def turn(self) -> int:
        """Note what there is to tell, and send what is due; answer how much was sent."""
        for channel in self._store.all():
            self._look(channel)
        sent = 0
        while not self._stopping.is_set() and (due := self._store.take(self._store.now() + TAKEN_SECONDS)):
            with ThreadPoolExecutor(min(SENDERS, len(due)), "herald") as pool:
                sent += sum(pool.map(lambda pair: self._deliver(*pair), due))
        return sent

    def _look(self, channel: Channel) -> None:
        """Note what has happened since a channel was looked at last."""
        now, since = self._store.now(), max(channel.created_at, channel.seen_until - OVERLAP_SECONDS)
        notices = []
        ended = self._store.ended(channel.owner, since, MOST_RUNS)
        if len(ended) >= MOST_RUNS:  # a night's worth: the others come in the next turns
            now = min(now, (ended[-1].ended_at or now) + OVERLAP_SECONDS)
        for run in ended:
            news = self._kinds.news(run)
            if wanted(channel, run, news):
                link = self._address_of(run)
                title, body = headline(run, self._kinds.about(run), self._kinds.outcome(run), news, link)
                notices.append(_notice(channel, f"run {run.id}", title, body, now))
        if News.MISSED in channel.news:
            for name, at, why in self._store.missed(channel.owner, since, MOST_RUNS):
                title = f"schedule {name} missed {to_iso(at)}"
                notices.append(_notice(channel, f"{name} {at:.3f}", title, why, now))
        fresh = [notice for notice in notices if (channel.id, notice.key) not in self._noted]
        if fresh or now - channel.seen_until > OVERLAP_SECONDS:
            self._store.note(channel, fresh, now)
            if len(self._noted) > MOST_NOTED:
                self._noted.clear()
            self._noted |= {(channel.id, notice.key) for notice in fresh}

    def _address_of(self, run: Run) -> str:
        return f"{self._link}/runs/{run.id}" if self._link else f"pitboss runs show {run.id}"

    def _deliver(self, channel: Channel, notice: Notice) -> bool:
        """Send a notice, and keep what became of it."""
        try:
            self._send(self._address(channel), notice.title, notice.body)
        except Exception as error:
            now, attempts = self._store.now(), notice.attempts + 1
            is_over = now - notice.created_at > GIVEN_UP_AFTER
            state = NoticeState.GIVEN_UP if is_over else NoticeState.WAITING
            wait = min(FIRST_WAIT * 2 ** (attempts - 1), MOST_WAIT)
            failed = replace(notice, state=state, attempts=attempts, due_at=now + wait, error=str(error)[:300])
            self._store.settle(notice, failed)
            return False
        self._store.settle(notice, replace(notice, state=NoticeState.SENT, attempts=notice.attempts + 1, error=""))
        return True


def _notice(channel: Channel, key: str, title: str, body: str, now: float) -> Notice:
    return Notice(channel_id=channel.id, key=key, title=title[:300], body=body, created_at=now, due_at=now)
