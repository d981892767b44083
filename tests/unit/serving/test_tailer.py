import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitboss.core.errors import StorageUnavailable
from pitboss.runs.model import StoredEvent
from pitboss.serving import tailer
from pitboss.serving.tailer import Pages, Tail, Tailer, told

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


def event(seq, size=10, kind="log"):
    return StoredEvent("r", seq, 0.0, kind, {"x": "y" * size})


@given(st.lists(st.integers(1, 3000), max_size=60), st.integers(0, 70))
def test_a_tail_is_bounded_in_bytes_and_knows_what_it_lacks(sizes, after):
    tail = Tail(0)
    for seq, size in enumerate(sizes, start=1):
        tail.add(told(event(seq, size)), 8192)
    assert tail.size == sum(len(kept.body) for kept in tail.events)
    assert tail.size <= 8192 or len(tail.events) == 1
    found = tail.after(after)
    if after < tail.start:
        assert found is None
    else:
        assert [kept.seq for kept in found] == list(range(after + 1, len(sizes) + 1))


@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=20))
def test_a_batch_holds_so_many_bytes_or_one_event(sizes):
    events = [told(event(seq, size)) for seq, size in enumerate(sizes, start=1)]
    batches = tailer._cut(events)
    assert [kept for batch in batches for kept in batch] == events
    assert all(len(batch) == 1 or sum(len(kept.body) for kept in batch) <= tailer.BATCH_BYTES for batch in batches)


def test_many_that_ask_for_a_page_have_it_read_once():
    class Log:
        reads = 0

        def read(self, run_id, after=0, limit=1000):
            Log.reads += 1
            return [event(seq) for seq in range(after + 1, min(after + limit, 250) + 1)]

    async def ask():
        pages = Pages(Log())
        answers = await asyncio.gather(*(pages.after("r", seq) for seq in range(250) for _ in range(4)))
        assert [found[0].seq for found in answers[::4]] == list(range(1, 251))
        assert await pages.after("r", 250) == []

    asyncio.run(ask())
    assert Log.reads <= 4
