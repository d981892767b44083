"""Signing in and out by a browser: the same for the API and for the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from pitboss.accounts.service import LONGEST_SECONDS, Caller, SignedIn
from pitboss.bootstrap import Platform
from pitboss.core.errors import Conflict, TooManyGuesses
from pitboss.core.principal import Principal

SESSION_COOKIE, DEVICE_COOKIE = "pitboss_session", "pitboss_device"
CSRF_HEADER, CSRF_FIELD = "X-CSRF-Token", "csrf_token"
DEVICE_SECONDS = 400 * 86_400  # the longest that browsers keep a cookie


class Turns:
    """A few at a time, without holding a thread while they wait: each password takes memory and a core."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._waiting, self._most = 0, waiting

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for a turn. Raises TooManyGuesses where too many wait already."""
        if self._waiting >= self._most:
            raise TooManyGuesses("too many try their passwords at once", 1.0)
        self._waiting += 1
        try:
            async with self._turns:
                yield
        finally:
            self._waiting -= 1


async def signed_in(request: Request, response: Response, name: str, password: str) -> SignedIn:
    """Sign in: `response` sets the cookies. Raises Conflict without accounts, SignInRefused, TooManyGuesses."""
    platform: Platform = request.app.state.platform
    if not await run_in_threadpool(platform.accounts.has_accounts):
        raise Conflict("there are no accounts: nobody has to sign in", "make one: pitboss users init")
    caller = Caller(
        address=request.client.host if request.client else "",
        agent=request.headers.get("user-agent", ""),
        device=request.cookies.get(DEVICE_COOKIE, "")[:200],
    )
    turns: Turns = request.app.state.signing_in
    async with turns.taken():
        done = await run_in_threadpool(platform.accounts.sign_in, name, password, caller)
    before = request.cookies.get(SESSION_COOKIE)
    if before:
        await run_in_threadpool(platform.accounts.sign_out, done.who, before)
    path = request.scope.get("root_path") or "/"
    for cookie, value, seconds in ((SESSION_COOKIE, done.session, int(LONGEST_SECONDS)),
                                   (DEVICE_COOKIE, done.device, DEVICE_SECONDS)):  # fmt: skip
        response.set_cookie(cookie, value, max_age=seconds, path=path, secure=True, httponly=True, samesite="lax")
    return done


def sign_out_of(request: Request, response: Response, who: Principal, everywhere: bool = False) -> None:
    """Sign out, here or everywhere: `response` takes the cookie back."""
    platform: Platform = request.app.state.platform
    if everywhere:
        platform.accounts.sign_out_everywhere(who)
    elif session := getattr(request.state, "session", None):
        platform.accounts.sign_out(who, session)
    response.delete_cookie(SESSION_COOKIE, path=request.scope.get("root_path") or "/")
