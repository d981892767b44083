"""What every answer tells a browser to refuse."""

from __future__ import annotations

import base64
import hashlib
import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
YEAR_SECONDS = 31_536_000


_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def allowing(page: str) -> str:
    """Answer the policy of a page that another package has made: it may run the scripts, and have the styles,
    that stand within it."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _SCRIPT.findall(page))
    sources = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    scripted = POLICY.replace("script-src 'self'", f"script-src 'self' {sources}")
    return scripted.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")


class SecurityHeaders:
    """No page of ours runs a script from elsewhere or one that stands within it, is shown inside another, or tells
    another where its reader comes from."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", POLICY)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("X-Frame-Options", "DENY")
                headers.setdefault("Referrer-Policy", "same-origin")
                if scope.get("scheme") == "https":
                    headers.setdefault("Strict-Transport-Security", f"max-age={YEAR_SECONDS}")
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)
