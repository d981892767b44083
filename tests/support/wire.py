"""A wire between a browser and a server, that can be cut, and held so that nothing passes and nothing is refused."""

from __future__ import annotations

import asyncio
import contextlib
import threading


class Wire:
    """Passes on what comes to `port`, to another port of this machine. Used as a context."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._open = asyncio.Event()
        self._refuses = False
        self._pairs: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Wire:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def cut(self, *, refuses: bool = True) -> None:
        """End all connections; new ones are refused, or else answered by nothing at all."""
        self._call(self._cut, refuses, True)

    def hold(self) -> None:
        """Let nothing pass any more, as when a cable is pulled."""
        self._call(self._cut, False, False)

    def drop(self) -> None:
        """End all connections; new ones are welcome."""
        self._call(self._end_all)

    def mend(self) -> None:
        """Let everything pass; what was open and held is at an end, as it is for who was away for long."""
        self._call(self._mend)

    def _call(self, what, *arguments: object) -> None:
        done = threading.Event()

        def act() -> None:
            what(*arguments)
            done.set()

        self._loop.call_soon_threadsafe(act)
        assert done.wait(10)

    def _cut(self, refuses: bool, ends: bool) -> None:
        self._refuses = refuses
        self._open.clear()
        if ends:
            self._end_all()

    def _mend(self) -> None:
        self._end_all()
        self._refuses = False
        self._open.set()

    def _end_all(self) -> None:
        for writer in list(self._pairs):
            writer.transport.abort()
        self._pairs.clear()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._open.set()
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        with contextlib.suppress(RuntimeError):
            self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._pairs.add(writer)
        if self._refuses:
            writer.transport.abort()
            return
        try:
            await self._open.wait()
            there, further = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._pairs.add(further)
        await asyncio.gather(self._pass(reader, further), self._pass(there, writer), return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65536):
                await self._open.wait()
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()
