"""Questions that are asked at once are answered by one call, and nobody is answered from before they asked."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pitboss.core.errors import NotFound
from pitboss.http.together import Together


class Source:
    """A slow source of answers, which says how often it was asked, and for what."""

    def __init__(self):
        self.turns = []
        self.may_answer = threading.Semaphore(0)
        self.value = 0

    def answer(self, keys):
        self.turns.append(sorted(keys))
        value = self.value
        self.may_answer.acquire(timeout=5)
        return {key: NotFound("none", "") if key == "gone" else f"{key}{value}".encode() for key in keys}


async def begun(source, turns):
    while len(source.turns) < turns:
        await asyncio.sleep(0.001)


def test_those_who_ask_during_a_turn_are_answered_by_the_next():
    async def asking():
        source = Source()
        together = Together(source.answer)
        first = asyncio.create_task(together.ask("a"))
        await begun(source, 1)
        source.value = 1
        later = [asyncio.create_task(together.ask(key)) for key in ("a", "b", "a", "gone")]
        await asyncio.sleep(0.01)
        assert len(source.turns) == 1
        source.may_answer.release()
        await begun(source, 2)
        source.may_answer.release()
        assert (await first) == b"a0"
        assert [(await each) for each in later[:3]] == [b"a1", b"b1", b"a1"]
        with pytest.raises(NotFound):
            await later[3]
        assert source.turns == [["a"], ["a", "b", "gone"]]

    asyncio.run(asking())


def test_one_who_goes_away_takes_no_answer_from_the_others():
    async def asking():
        source = Source()
        together = Together(source.answer)
        stays, goes = (asyncio.create_task(together.ask("a")) for _ in range(2))
        await begun(source, 1)
        goes.cancel()
        await asyncio.sleep(0.01)
        source.may_answer.release()
        assert (await stays) == b"a0"
        source.may_answer.release()
        assert (await together.ask("b")) == b"b0"

    asyncio.run(asking())


def test_what_fails_fails_for_all_of_its_turn_and_not_for_the_next():
    async def asking():
        outcomes = iter([ZeroDivisionError("broken"), NotFound("away", "wait"), None])

        def answer(keys):
            outcome = next(outcomes)
            if outcome is not None:
                raise outcome
            return dict.fromkeys(keys, b"fine")

        together = Together(answer)
        for error in (ZeroDivisionError, NotFound):
            with pytest.raises(error):
                await together.ask("a")
        assert (await together.ask("a")) == b"fine"

    asyncio.run(asking())
