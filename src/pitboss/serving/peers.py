"""Who may connect at all: behind a proxy, the proxy and this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from pitboss.serving.problems import problem


class Peers:
    """Refuses what did not come through a trusted proxy, where that does the TLS: `is_open` lets everybody in.

    It stands before anything that believes what a request says of where it comes from.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[str], is_open: bool) -> None:
        self.app = app
        self.networks = [ipaddress.ip_network(address, strict=False) for address in trusted]
        self.is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self.is_open and not self._is_trusted((scope.get("client") or ("",))[0]):
            await problem(403, "this server is reached through its proxy alone", "use the proxy's address")(
                scope, receive, send
            )
            return
        await self.app(scope, receive, send)

    def _is_trusted(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return found.is_loopback or any(found in network for network in self.networks)
