"""What a server without accounts insists on: known Hosts, a matching Origin, and bodies of sane size and kind."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pitboss.serving.problems import problem

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MAX_BODY = 1 << 20
MAX_UPLOAD = 2 << 30


class Guard:
    """Refuses foreign Hosts and Origins (DNS rebinding, cross-site requests), oversized and encoded bodies.

    `hosts` are names, or `*.example.com` for all names under one. `root_path` is the path under which a proxy serves
    the application, whether it passes that on or not.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = LOOPBACK, root_path: str = "") -> None:
        self.app = app
        self.hosts = frozenset(hosts)
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = MAX_UPLOAD if _is_upload(scope) else MAX_BODY
        refusal = self._refused(scope, headers) or _unreadable(headers, limit)
        if refusal is not None:
            await refusal(scope, receive, send)
        else:
            await self.app(self._rooted(scope), _counting(receive, limit), send)

    def _refused(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        host = headers.get("host", "")
        # browsers always send one; what speaks HTTP/1.0 without is a probe or a proxy
        is_old = not host and scope.get("http_version") == "1.0"
        if not is_old and not self._serves(f"//{host}"):
            remedy = "use http://127.0.0.1 or http://localhost, or have the operator add the name to allowed_hosts"
            return problem(403, f"the host '{host[:80]}' is not served here", remedy)
        origin = headers.get("origin")
        if origin and not self._serves(origin):
            return problem(403, f"requests from '{origin[:80]}' are not accepted", "open the page on this server")
        return None

    def _serves(self, address: str) -> bool:
        name = _hostname(address)
        if name is None:
            return False
        parents = (f"*.{name.partition('.')[2]}", *(f"*.{parent}" for parent in _parents(name)))
        return name in self.hosts or not self.hosts.isdisjoint(parents)

    def _rooted(self, scope: Scope) -> Scope:
        root = self.root_path
        if not root:
            return scope
        path = scope["path"]
        full = path if path == root or path.startswith(f"{root}/") else root + path
        return {**scope, "root_path": root, "path": full, "raw_path": full.encode()}


def _is_upload(scope: Scope) -> bool:
    """Answer whether the body is a file of bars."""
    method, path = scope["method"], scope["path"]
    return (method == "PUT" and "/data/" in path) or (method == "POST" and path.endswith("/data/import"))


def _parents(name: str) -> Iterable[str]:
    while "." in name:
        name = name.partition(".")[2]
        yield name


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _unreadable(headers: Headers, limit: int) -> ASGIApp | None:
    """Answer the refusal of a body that is too large or packed."""
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length) > limit:
        return problem(413, f"the request is larger than {limit:,} bytes", "send less")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        return problem(415, f"the body is packed with {encoding[:40]}", "send it without a Content-Encoding")
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
