"""Many event streams over several API servers, whose connections drop all the time: each must still tell everything."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import threading
import time
from collections.abc import Iterator

from pitboss.core.ids import new_id
from pitboss.core.principal import LOCAL
from pitboss.runs import events as ev
from pitboss.runs.model import Limits, NewRun, Serves
from pitboss.runs.ports import Move, RunWrite
from pitboss.runs.states import State
from support.engine import Engine
from support.server import ApiServer

ENDS = ("completed", "failed", "cancelled")


class Stream:
    """One client of one run: what it has received, and how late each event came."""

    def __init__(
        self, run_id: str, ports: list[int], rng: random.Random, life: tuple[float, float], key: str = ""
    ) -> None:
        self.run_id, self.ports, self.rng, self.life = run_id, ports, rng, life
        self.known = f"\r\nAuthorization: Bearer {key}" if key else ""
        self.events: list[tuple[int, str]] = []
        self.delays: list[float] = []
        self.connections = 0

    async def follow(self) -> None:
        """Listen to the run's last event; after each lost connection go on at another server."""
        while not self.events or self.events[-1][1] not in ENDS:
            self.connections += 1
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                async with asyncio.timeout(self.rng.uniform(*self.life)):
                    await self._connected(self.rng.choice(self.ports))
            await asyncio.sleep(0.02 * self.rng.random())

    async def _connected(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            after = self.events[-1][0] if self.events else 0
            opened = time.time()
            writer.write(f"GET /api/v1/runs/{self.run_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream"
                         f"\r\nLast-Event-ID: {after}{self.known}\r\nConnection: close\r\n\r\n".encode())  # fmt: skip
            while line := await reader.readline():
                if line.startswith(b"data: "):
                    self._hear(json.loads(line[6:]), opened)
        finally:
            writer.close()

    def _hear(self, event: dict, opened: float) -> None:
        self.events.append((event["seq"], event["type"]))
        sent = event["payload"].get("at")
        if sent and sent > opened:  # what was missed while there was no connection is not late
            self.delays.append(time.time() - sent)


class Writer(threading.Thread):
    """Writes events of many runs, as a worker does: all of them in one transaction each time."""

    def __init__(self, engine: Engine, runs: int, per_second: float, seconds: float) -> None:
        super().__init__()
        self.store, self.seconds, self.pause = engine.store, seconds, 1 / per_second
        for _ in range(runs):
            self.store.submit(
                NewRun(id=new_id(), kind="told", subject="test/told", owner="local", params={}, snapshot={}), 10_000
            )
        self.claims = self.store.claim(
            "writer", 3600.0, Limits(10_000, {}, 10_000, 60.0), Serves(("told",), {"default": runs})
        )
        self.number = 0
        self.slowest = 0.0
        self._write([Move(State.RUNNING, pid=1)] * runs)

    def _write(self, moves: list[Move | None]) -> None:
        self.number += 1
        said = [ev.Logged(level="info", message="x" * 100, at=time.time())]
        writes = [RunWrite(claim.run.id, claim.token, self.number, said, move=move)
                  for claim, move in zip(self.claims, moves, strict=True)]  # fmt: skip
        before = time.monotonic()
        assert not self.store.write(writes)
        self.slowest = max(self.slowest, time.monotonic() - before)

    def write_many(self, events: int) -> None:
        """Write that many events of each run at once."""
        for start in range(0, events, 500):
            self.number += 1
            said = [ev.Logged(level="info", message="x" * 300, at=0.0)] * min(500, events - start)
            self.store.write([RunWrite(claim.run.id, claim.token, self.number, said) for claim in self.claims])

    def run(self) -> None:
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            due = time.monotonic() + self.pause
            self._write([None] * len(self.claims))
            time.sleep(max(0.0, due - time.monotonic()))
        self._write([Move(State.COMPLETING)] * len(self.claims))
        self._write([Move(State.COMPLETED, result={})] * len(self.claims))


@contextlib.contextmanager
def no_pauses() -> Iterator[None]:
    """Keep the clients from searching for garbage: their pauses would be taken for the servers'."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def fan_out(engine: Engine, clients: int, runs: int, seconds: float, seed: int,
            life: tuple[float, float] = (1.0, 30.0), key: str = "") -> dict:  # fmt: skip
    """Let many clients follow runs over two servers; each client's list must be the database's."""
    servers = [ApiServer(engine.settings.data_dir) for _ in range(2)]
    for server in servers:
        server.start()
    try:
        return _fan_out(engine, servers, clients, runs, seconds, seed, life, key)
    finally:
        for server in servers:
            server.kill()


def _fan_out(engine, servers, clients, runs, seconds, seed, life, key) -> dict:
    writer = Writer(engine, runs, 5.0, seconds)
    ports = [server.port for server in servers]
    streams = [
        Stream(writer.claims[i % runs].run.id, ports, random.Random(seed * 10_000 + i), life, key)
        for i in range(clients)
    ]
    memory: list[int] = []

    async def everybody() -> None:
        followers = [asyncio.create_task(stream.follow()) for stream in streams]
        while not all(stream.events for stream in streams):
            await asyncio.sleep(0.1)  # everybody at once is not what is measured
        writer.start()
        while not all(task.done() for task in followers):
            memory.append(sum(server.memory() for server in servers))
            await asyncio.sleep(1.0)
        for task in followers:
            task.result()

    with no_pauses():
        asyncio.run(asyncio.wait_for(everybody(), seconds + 120))
    writer.join()
    truth = {
        claim.run.id: [(e.seq, e.type) for e in engine.service.events(LOCAL, claim.run.id, limit=100_000)]
        for claim in writer.claims
    }
    for stream in streams:
        assert stream.events == truth[stream.run_id], f"{len(stream.events)} of {len(truth[stream.run_id])} events"
    delays = sorted(delay for stream in streams for delay in stream.delays)
    settled = memory[len(memory) // 4 : -2] or memory
    return {
        "clients": clients, "runs": runs, "connections": sum(stream.connections for stream in streams),
        "deliveries": sum(len(stream.events) for stream in streams),
        "p50_ms": round(1e3 * delays[len(delays) // 2], 1), "p99_ms": round(1e3 * delays[int(0.99 * len(delays))], 1),
        "memory_mb": round(max(memory) / 1e6), "memory_growth": round(settled[-1] / settled[0] - 1, 3),
        "slowest_write_ms": round(1e3 * writer.slowest, 1),
    }  # fmt: skip


async def _opened(port: int, run_id: str, after: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 12)
    writer.write(f"GET /api/v1/runs/{run_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
                 f"Last-Event-ID: {after}\r\n\r\n".encode())  # fmt: skip
    return reader, writer


async def _first_event(reader: asyncio.StreamReader) -> dict:
    while line := await reader.readline():
        if line.startswith(b"data: "):
            return json.loads(line[6:])
    raise AssertionError("the stream ended")


def storm(engine: Engine, clients: int, runs: int, events: int, seed: int) -> dict:
    """Let everybody reconnect at once, each from where it was: how long until the last has its next event, at what cost."""
    writer = Writer(engine, runs, 1000.0, 0.0)
    writer.write_many(events)
    rng = random.Random(seed)
    with ApiServer(engine.settings.data_dir) as server:
        before = server.memory()

        async def everybody() -> tuple[float, int]:
            started, waits, most = time.monotonic(), [], before

            async def one(run_id: str, after: int) -> None:
                reader, connection = await _opened(server.port, run_id, after)
                event = await _first_event(reader)
                assert event["seq"] == after + 1
                waits.append(time.monotonic() - started)
                held.append(connection)

            held: list[asyncio.StreamWriter] = []
            tasks = [
                asyncio.create_task(one(rng.choice(writer.claims).run.id, rng.randrange(events)))
                for _ in range(clients)
            ]
            while not all(task.done() for task in tasks):
                most = max(most, server.memory())
                await asyncio.sleep(0.1)
            for task in tasks:
                task.result()
            for connection in held:
                connection.close()
            return max(waits), max(most, server.memory())

        slowest, most = asyncio.run(asyncio.wait_for(everybody(), 120))
    return {"clients": clients, "slowest_seconds": round(slowest, 2), "memory_mb_more": round((most - before) / 1e6)}


def stalled(engine: Engine, readers: int, events: int) -> dict:
    """Let readers ask for everything and read nothing: what they cost, and that others are served meanwhile."""
    writer = Writer(engine, 1, 1000.0, 0.0)
    writer.write_many(events)
    run_id = writer.claims[0].run.id
    with ApiServer(engine.settings.data_dir) as server:
        before = server.memory()

        async def everybody() -> tuple[int, float]:
            held = [await _opened(server.port, run_id, 0) for _ in range(readers)]
            most, end = before, time.monotonic() + 5.0
            while time.monotonic() < end:
                most = max(most, server.memory())
                await asyncio.sleep(0.1)
            asked = time.monotonic()
            reader, connection = await _opened(server.port, run_id, events // 2)
            await _first_event(reader)
            took = time.monotonic() - asked
            for _, writer in held:
                writer.close()
            connection.close()
            return most, took

        most, took = asyncio.run(asyncio.wait_for(everybody(), 60))
    return {"readers": readers, "memory_mb_more": round((most - before) / 1e6), "another_seconds": round(took, 3)}
