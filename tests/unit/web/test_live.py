"""What pages are told: a look that fails loses nothing, and nobody waits for another's."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from threading import Event
from types import SimpleNamespace

from pitboss.core.errors import NotFound, StorageUnavailable
from pitboss.core.principal import Principal
from pitboss.web.live import BEAT, Live, Topic

ANN = Principal("ann")


class Database:
    """A database that changes when it is told to, and can be away."""

    is_away = False
    has_changed = False

    def changes(self):
        return self

    def poll(self):
        self.ping()
        has_changed, self.has_changed = self.has_changed, False
        return has_changed

    def ping(self):
        if self.is_away:
            raise StorageUnavailable("away")

    def close(self):
        pass


class Value:
    """A topic that is a value; each look answers it when it is another one."""

    def __init__(self, world, name):
        self.world, self.name, self.told = world, name, None

    def look(self):
        before, self.told = self.told, self.world.values[self.name]
        if self.name in self.world.failing:
            raise self.world.failing.pop(self.name)
        if self.name == "slow":
            self.world.held.wait()
        return None if before == self.told else {"value": self.told}

    def whole(self, _position):
        return {"value": self.world.values[self.name]}


class World:
    """A hub over values, with what one browser was told of them."""

    def __init__(self, **values):
        self.values, self.failing, self.held = dict(values), {}, Event()
        self.database = Database()
        accounts = SimpleNamespace(has_accounts=lambda: False)
        self.platform = SimpleNamespace(database=self.database, accounts=accounts)
        self.told: dict[str, list] = {}

    def change(self, name, value):
        self.values[name] = value
        self.database.has_changed = True

    @asynccontextmanager
    async def watched(self, *names):
        hub = Live(self.platform, {name: lambda *_, name=name: self.opened(name) for name in self.values}, "")
        hub.start()
        listening = asyncio.create_task(self.listen(hub, [Topic(name, "", 0) for name in names]))
        try:
            async with asyncio.timeout(20):
                yield self
        finally:
            self.held.set()
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
            await hub.stop()

    def opened(self, name):
        if self.values[name] is None:
            raise NotFound(name)
        return Value(self, name)

    async def listen(self, hub, topics):
        async for said in hub.listen(ANN, topics):
            message = json.loads(said.data)
            self.told.setdefault(said.topic, []).append(message.get("value", message.get("as_of", message)))

    async def until(self, condition):
        while not condition():
            await asyncio.sleep(0.02)

    def last(self, name):
        return self.told.get(name, [None])[-1]


def test_a_change_is_told_though_the_look_at_it_failed_and_the_next_one_too():
    async def run():
        async with World(one=1, two=1).watched("one", "two") as world:
            await world.until(lambda: (world.last("one"), world.last("two")) == (1, 1))
            world.failing["one"] = RuntimeError("a fault")
            world.failing["two"] = StorageUnavailable("away")
            world.values["two"] = 2
            world.change("one", 2)
            await world.until(lambda: (world.last("one"), world.last("two")) == (2, 2))

    asyncio.run(run())


def test_beats_stand_still_while_the_database_is_away():
    async def run():
        async with World(one=1).watched("one") as world:
            await world.until(lambda: len(world.told.get(BEAT, [])) >= 2)
            world.database.is_away = True
            seen = len(world.told[BEAT])
            await world.until(lambda: len(world.told[BEAT]) >= seen + 4)
            assert len(set(world.told[BEAT][-3:])) == 1
            world.database.is_away = False
            await world.until(lambda: len(set(world.told[BEAT][-3:])) == 3)

    asyncio.run(run())


def test_what_takes_long_holds_up_nobody_else():
    async def run():
        world = World(quick=1, slow=1)
        async with world.watched("quick", "slow"):
            await world.until(lambda: world.last("slow") == 1)
            for value in range(2, 5):
                world.change("quick", value)
                await world.until(lambda value=value: world.last("quick") == value)
            seen = world.told.get(BEAT, [])
            assert len(set(seen)) <= 1, "a browser that shows what is not looked at yet is not told that it is fresh"

    asyncio.run(run())


def test_what_is_taken_back_is_gone_and_comes_again_when_it_is_given_again():
    async def run():
        async with World(one=1).watched("one") as world:
            await world.until(lambda: world.last("one") == 1)
            world.failing["one"] = NotFound("taken back")
            world.change("one", None)
            await world.until(lambda: world.last("one") == {"topic": "one", "gone": True})
            world.change("one", 5)
            await world.until(lambda: world.last("one") == 5)

    asyncio.run(run())
