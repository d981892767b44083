"""The first administrator of a server that others can reach: by a link that its own terminal shows once."""

from __future__ import annotations

import hmac

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from pitboss.accounts.keys import new_key
from pitboss.accounts.service import AccountService
from pitboss.core.errors import PitbossError
from pitboss.web.pages import Visit


class Setup:
    """Open from the start of a server without accounts until the first one is made."""

    def __init__(self, is_open: bool = False) -> None:
        self.key = new_key() if is_open else ""

    def accepts(self, key: str) -> bool:
        """Answer whether it is open and that is its key, in constant time."""
        return bool(self.key) and hmac.compare_digest(self.key.encode(), key.encode("utf-8", "surrogateescape"))

    def close(self) -> None:
        self.key = ""


def serve_setup(app: FastAPI, setup: Setup, accounts: AccountService) -> None:
    """Serve the page behind the link; without its key there is nothing to see."""

    @app.get("/setup", include_in_schema=False)
    def page(request: Request, key: str = "") -> Response:
        return _page(request, key) if setup.accepts(key) else _nothing(request)

    @app.post("/setup", include_in_schema=False)
    async def make(request: Request) -> Response:
        visit = Visit(request, request.app.state.platform, None)
        given = {name: texts[0] for name, texts in (await visit.form()).items()}
        key = given.get("key", "")
        if not setup.accepts(key):
            return _nothing(request)
        try:
            await run_in_threadpool(accounts.begin, given.get("name", ""), given.get("password", ""))
        except PitbossError as error:
            return _page(request, key, error)
        setup.close()
        return visit.go("/sign-in", "The account is made: sign in with it")


def _page(request: Request, key: str, problem: PitbossError | None = None) -> Response:
    visit = Visit(request, request.app.state.platform, None)
    return visit.render("setup.html", 422 if problem else 200, key=key, problem=problem)


def _nothing(request: Request) -> Response:
    visit = Visit(request, request.app.state.platform, None)
    return visit.render("setup.html", 404, key="", problem=None)
