import asyncio

import pytest

from pitboss.api import tailer
from pitboss.api.tailer import Tailer
from pitboss.core.errors import StorageUnavailable
from pitboss.runs.model import StoredEvent

EVENTS = [StoredEvent("r", seq, 0.0, "log" if seq < 9 else "completed", {}) for seq in range(1, 10)]


class FailingLog:
    """A log of one run, whose database is away at the first few looks."""

    def __init__(self, failures):
        self.failures = failures

    def _reached(self):
        self.failures -= 1
        if self.failures >= 0:
            raise StorageUnavailable("the database is away", "wait")

    def read(self, run_id, after=0, limit=1000):
        self._reached()
        return EVENTS[after : after + limit]

    def tail(self, after, limit=1000):
        return []

    def heads(self, run_ids):
        return dict.fromkeys(run_ids, 9)


class NoChanges:
    def poll(self):
        return False

    def close(self): ...


@pytest.mark.parametrize("failures", [0, 3])
def test_a_stream_that_catches_up_waits_for_a_database_that_is_away(monkeypatch, failures):
    monkeypatch.setattr(tailer, "RETRY_SECONDS", 0.001)

    async def hear():
        listening = Tailer(FailingLog(failures), NoChanges())
        return [event.seq async for batch in listening.listen({"r": 4}) for event in batch]

    assert asyncio.run(hear()) == [5, 6, 7, 8, 9]
