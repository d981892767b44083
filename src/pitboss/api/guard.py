"""What a server without accounts insists on: a loopback Host, a matching Origin, and bodies of sane size."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pitboss.api.problems import problem

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MAX_BODY = 1 << 20
MAX_UPLOAD = 2 << 30


class Guard:
    """Refuses foreign Hosts and Origins (DNS rebinding, cross-site requests) and oversized bodies."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] = LOOPBACK) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        refusal = self._refusal(headers)
        if refusal:
            await problem(403, refusal, "use http://127.0.0.1 or http://localhost")(scope, receive, send)
            return
        limit = MAX_UPLOAD if "/data/" in scope["path"] else MAX_BODY
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > limit:
            await _too_large(limit)(scope, receive, send)
            return
        await self.app(scope, _counting(receive, limit), send)

    def _refusal(self, headers: dict[str, str]) -> str | None:
        host = headers.get("host", "")
        if _hostname(f"//{host}") not in self.hosts:
            return f"the host '{host[:80]}' is not served here"
        origin = headers.get("origin")
        if origin and _hostname(origin) not in self.hosts:
            return f"requests from '{origin[:80]}' are not accepted"
        return None


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _counting(receive: Receive, limit: int) -> Receive:
    """Answer `receive` with an end: a body may come in pieces without saying how large it will be."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise HTTPException(413, f"the request is larger than {limit:,} bytes")
        return message

    return counted


def _too_large(limit: int) -> Any:
    return problem(413, f"the request is larger than {limit:,} bytes", "send less")
