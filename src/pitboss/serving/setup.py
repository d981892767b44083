"""The first administrator of a server that others can reach: by a link that its own terminal shows once."""

from __future__ import annotations

import hmac
import html
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from pitboss.accounts.keys import new_key
from pitboss.accounts.service import AccountService
from pitboss.core.errors import PitbossError

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pitboss: the first account</title>
<style>
  :root {{ color-scheme: light dark; }}
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 3rem auto; padding: 0 1rem; }}
  label {{ display: block; margin-top: 1rem; }} input, button {{ font: inherit; width: 100%; box-sizing: border-box;
  padding: .4rem; margin-top: .25rem; }} button {{ margin-top: 1.5rem; }}
</style>
<h1>The first account</h1>
<p role="status">{said}</p>
{form}
"""
_FORM = """<form method="post">
<input type="hidden" name="key" value="{key}">
<label>Name <input name="name" autocomplete="username" required value="admin"></label>
<label>Password, at least 10 characters
<input name="password" type="password" autocomplete="new-password" required minlength="10"></label>
<button>Make it, an administrator</button>
</form>
"""


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
    def page(key: str = "") -> HTMLResponse:
        if not setup.accepts(key):
            return _nothing()
        return _page("It sees to everybody's things, and makes the other accounts.", key)

    @app.post("/setup", include_in_schema=False)
    async def make(request: Request) -> HTMLResponse:
        given = {name: values[0] for name, values in parse_qs((await request.body()).decode(errors="replace")).items()}
        key = given.get("key", "")
        if not setup.accepts(key):
            return _nothing()
        try:
            await run_in_threadpool(accounts.begin, given.get("name", ""), given.get("password", ""))
        except PitbossError as error:
            return _page(str(error), key, 422)
        setup.close()
        return _page("It is made. Sign in with it, or make a token for a program: pitboss tokens create.")


def _nothing() -> HTMLResponse:
    return _page("There is nothing to set up here: use the link that the server printed when it started last.", "", 404)


def _page(said: str, key: str = "", status: int = 200) -> HTMLResponse:
    form: Any = _FORM.format(key=html.escape(key)) if key else ""
    return HTMLResponse(_PAGE.format(said=html.escape(said), form=form), status)
