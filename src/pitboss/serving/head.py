"""HEAD wherever GET is: the same answer without its body, which for a stream would never end."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadRequests:
    """Answers HEAD with the head of what GET answers, and has no more of that made."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        has_head = asyncio.Event()

        async def keep_head(message: Message) -> None:
            if message["type"] == "http.response.start" and not has_head.is_set():
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                has_head.set()

        async def answer() -> None:
            await self.app({**scope, "method": "GET"}, receive, keep_head)

        answering, told = asyncio.create_task(answer()), asyncio.create_task(has_head.wait())
        await asyncio.wait({answering, told}, return_when=asyncio.FIRST_COMPLETED)
        for task in (answering, told):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await answering
