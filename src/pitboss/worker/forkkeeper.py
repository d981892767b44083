"""Keeps one fork server for a worker: warm, alive and answering, or knows why there is none."""

from __future__ import annotations

import logging
import selectors
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pitboss.core.backoff import Backoff
from pitboss.worker.forkclient import ForkClient, ForkOptions
from pitboss.worker.forkserver import PASSING
from pitboss.worker.memory import KernelKills
from pitboss.worker.runfile import Panel

logger = logging.getLogger("pitboss.worker")

PING_SECONDS = 0.3
SILENT_SECONDS = 1.3  # without an answer, after which it is taken for stopped
PAUSE_SECONDS = 0.5  # between two looks: then it was this process that was stopped, or had no time
SLOW_SECONDS = 1.2  # of starting, after which people are told
STARTING_SECONDS = 60.0  # after which a start is given up
SHORT_LIFE_SECONDS = 5.0
JINXED_STARTS = 3
_FROM_OUTSIDE = frozenset((-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP))


class Cause(Enum):
    """Why there is no fork server, by what may be hoped for. The value: after how many starts in a row, if ever,
    runs are no longer kept waiting."""

    PASSING = None  # somebody ended it, or the system refused something
    MEMORY = 3  # the kernel ended it, for want of memory
    LASTING = 5  # the code that it has to load is wrong


@dataclass(frozen=True)
class Loss:
    """That a fork server is gone, with all it ran."""

    reason: str
    cause: Cause = Cause.PASSING


class ForkKeeper:
    """Starts fork servers one after the other, with growing pauses while they fail. Not thread-safe."""

    def __init__(self, options: ForkOptions, selector: selectors.BaseSelector, kills: KernelKills) -> None:
        self.options = options
        self.selector = selector
        self.kills = kills
        self.client: ForkClient | None = None
        self.last_loss = Loss("")
        self.obstacle = ""  # why no run can be started just now; empty in the first moments of a start
        self.failed_at = 0.0  # when the last start came to nothing
        self._backoff = Backoff()
        self._started_at = self._heard_at = self._pinged_at = self._looked_at = time.monotonic()

    @property
    def is_ready(self) -> bool:
        return self.client is not None and self.client.is_ready

    @property
    def pid(self) -> int | None:
        return self.client.process.pid if self.client is not None else None

    @property
    def is_jinxed(self) -> bool:
        """True when the last starts came to nothing for a reason that another worker may not have."""
        return self.client is None and self.last_loss.cause is Cause.PASSING and self._backoff.failures >= JINXED_STARTS

    @property
    def is_hopeless(self) -> bool:
        """True when there is none, for a reason that the last starts have not made pass."""
        most = self.last_loss.cause.value
        return self.client is None and most is not None and self._backoff.failures >= most

    def start(self) -> None:
        """Start one now. A failure is kept in `obstacle`."""
        self._backoff.begin()
        try:
            self.client = ForkClient(self.options)
        except OSError as error:
            self._note(Loss(f"the fork server cannot be started: {error.strerror or error}"))
            return
        self._started_at = self._heard_at = time.monotonic()
        for source in (self.client.control, self.client.errors):
            self.selector.register(source, selectors.EVENT_READ)

    def spawn(self, order: dict[str, Any], log: int, secrets: Mapping[str, str]) -> tuple[Panel, int]:
        """Order a process; see `ForkClient.spawn`. Raises OSError."""
        if self.client is None:
            raise OSError(0, self.obstacle)
        return self.client.spawn(order, log, secrets)

    def notices(self) -> list[dict[str, Any]]:
        """Answer what the fork server told of its processes since the last call."""
        if self.client is None:
            return []
        self.client.listen()
        found = self.client.notices()
        if found:
            self._heard_at = time.monotonic()
        if any(notice["type"] == "ready" for notice in found):
            self.client.is_ready, self.obstacle = True, ""
        return [notice for notice in found if "run_id" in notice]

    def look(self) -> Loss | None:
        """Look after the fork server: answer its loss when it is lost, and start another when that is due.

        To be called often, and after `notices`: only what was not heard counts as silence.
        """
        now = time.monotonic()
        if now - self._looked_at > PAUSE_SECONDS:
            self._heard_at = now
        self._looked_at = now
        if self.client is None:
            if self._backoff.is_due:
                self.start()
            return None
        loss = self._loss(self.client, now)
        if loss is not None:
            self._discard(self.client, loss)
        return loss

    def replace(self, reason: str) -> None:
        """Have another one started, after a pause, in place of one that runs nothing and cannot start anything."""
        if self.client is not None:
            self.client.is_ready = False
            self._discard(self.client, Loss(reason))

    def close(self) -> None:
        """End the fork server and what it runs."""
        if self.client is not None:
            self._unregister(self.client)
            self.client.close()
            self.client = None

    def _loss(self, client: ForkClient, now: float) -> Loss | None:
        age = now - self._started_at
        if not client.is_alive:
            return self._death(client)
        if not client.is_ready:
            if age > SLOW_SECONDS:
                self.obstacle = "the fork server takes long to start: it loads and compiles what runs need"
            return Loss(f"the fork server did not start within {age:.0f} s") if age > STARTING_SECONDS else None
        if age > SHORT_LIFE_SECONDS:
            self._backoff.worked()
        if now - self._pinged_at > PING_SECONDS:
            self._pinged_at = now
            client.ping()
        is_silent = now - self._heard_at > SILENT_SECONDS
        return Loss("the fork server fell silent: it was stopped, or is stuck") if is_silent else None

    def _death(self, client: ForkClient) -> Loss:
        code = client.process.returncode
        if self.kills.explain(code):
            return Loss("the kernel killed the fork server: there is too little memory", Cause.MEMORY)
        cause = Cause.PASSING if code == PASSING or code in _FROM_OUTSIDE else Cause.LASTING
        return Loss(f"the fork server {'died' if client.is_ready else 'cannot start'}: {client.last_words()}", cause)

    def _discard(self, client: ForkClient, loss: Loss) -> None:
        self._unregister(client)
        client.discard()
        self.client = None
        self._note(loss)
        if client.is_ready and self._backoff.failures == 1 and loss.cause is Cause.PASSING:
            self._backoff.hasten()  # it worked until somebody ended it
            self.obstacle = ""

    def _note(self, loss: Loss) -> None:
        delay = self._backoff.failed()
        self.last_loss, self.failed_at = loss, time.monotonic()
        tried = f" (tried {self._backoff.failures} times)" if self._backoff.failures > 1 else ""
        self.obstacle = loss.reason + tried
        details = {"because": loss.reason, "failures": self._backoff.failures, "again_in_seconds": delay}
        logger.error("no fork server", extra=details)

    def _unregister(self, client: ForkClient) -> None:
        for source in (client.control, client.errors):
            self.selector.unregister(source)
