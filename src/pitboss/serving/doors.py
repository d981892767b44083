"""Where it is found out who asks: by a token, or by the cookie of a browser that has signed in."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request, cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pitboss.accounts.keys import TOKEN, is_csrf_of
from pitboss.accounts.ports import Entry
from pitboss.accounts.service import AccountService
from pitboss.core.errors import Forbidden, InvalidInput, PitbossError
from pitboss.core.principal import LOCAL, Principal
from pitboss.http.access import operation_of
from pitboss.http.deps import unknown
from pitboss.http.signing import CSRF_FIELD, CSRF_HEADER, SESSION_COOKIE
from pitboss.http.together import Together
from pitboss.serving.guard import MAX_BODY
from pitboss.serving.problems import problem, told

logger = logging.getLogger("pitboss.api")
LOOK_SECONDS = 1.0  # between two looks whether there are accounts, and whether those who listen are still welcome
_READS = ("GET", "HEAD", "OPTIONS")
# operations that note in the audit what they do themselves, or change nothing
_OWN = ("accounts_", "secrets_", "shares_", "strategies_validate", "strategies_check", "strategies_preview")
# forms that also only look: they have changed something where they lead elsewhere, or say that something was made
_BOTH = ("new_submit", "data_bring")
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 2_000
Key = tuple[str, str]  # what somebody comes with, and from where


class Doors:
    """Says who asks (`request.state.who`: None where nobody knows) and notes what they change.

    While there are no accounts, `is_private` says whether whoever reaches the server is its owner. What a request
    brings is looked up anew each time, many at once in one query; whoever is disabled or signed out meanwhile is cut
    off within a second, streams too.
    """

    def __init__(self, app: ASGIApp, accounts: AccountService, is_private: bool = True) -> None:
        self.app = app
        self.accounts = accounts
        self.is_private = is_private
        self._has_accounts = False
        self._looked_at = -LOOK_SECONDS
        self._identities: Together[Key, Principal | None] = Together(self._identify)
        self._notes: Together[tuple[int, Entry], None] = Together(self._record)
        self._inside: dict[asyncio.Task[None], tuple[Key, Principal]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._number = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self._let_in(scope, receive, send)
        except PitbossError as error:
            await told(Request(scope), error)(scope, receive, send)
        except HTTPException as error:  # a body that is too large, found while it is read
            await problem(error.status_code, error.detail)(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.setdefault("state", {})
        if not await self._must_know():
            state["who"] = LOCAL if self.is_private else None
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        key, is_session = _credential(headers)
        address = (scope.get("client") or ("",))[0]
        who = await self._identities.ask((key, address)) if key else None
        state["who"] = who
        if who is None:
            if scope["method"] in _READS or _is_open(scope):
                await self.app(scope, receive, send)
            else:  # before anything of its body is read
                raise unknown()
            return
        if is_session:
            state["session"] = key
            given, receive = await _csrf_of(scope, headers, receive) if _is_change(scope) else ("", receive)
            if _is_change(scope) and not is_csrf_of(key, given):
                what = f"a change that comes with a cookie needs the header {CSRF_HEADER}"
                raise Forbidden(what, "send the csrf_token of GET /session; in a browser, load the page again")
        await self._watched(who, (key, address), scope, receive, send)

    async def _must_know(self) -> bool:
        """Answer whether there are accounts; once there are any, there always will be."""
        is_due = not self.is_private or time.monotonic() - self._looked_at > LOOK_SECONDS
        if not self._has_accounts and is_due:
            self._has_accounts = await asyncio.to_thread(self.accounts.has_accounts)
            self._looked_at = time.monotonic()
        return self._has_accounts

    def _identify(self, asked: Sequence[Key]) -> dict[Key, Principal | PitbossError | None]:
        found = self.accounts.identify(asked)
        return {key: found.get(key) for key in asked}

    async def _watched(self, who: Principal, key: Key, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for as long as whoever sent it is welcome, and note what was changed."""
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                if message["status"] < 400 and scope["method"] not in _READS:
                    where = Headers(raw=message["headers"]).get("location", scope["path"])
                    await self._note(who, scope, where, message["status"])
                has_begun = True
            await send(message)

        async def answer() -> None:
            await self.app(scope, receive, noted)

        answering = asyncio.create_task(answer())
        self._inside[answering] = (key, who)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({answering})
            if not answering.cancelled():
                answering.result()
            elif has_begun:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            answering.cancel()
            self._inside.pop(answering, None)

    async def _watch(self) -> None:
        """Look after those who are inside for long: whose account or key has ended is sent out."""
        try:
            while self._inside:
                before = dict(self._inside)
                await asyncio.sleep(LOOK_SECONDS)
                staying = {task: own for task, own in before.items() if task in self._inside}
                with suppress(PitbossError):  # a database that is away tells nothing new
                    for task, (key, who) in staying.items():
                        if await self._identities.ask(key) != who:
                            task.cancel()
        finally:
            self._watching = None

    async def _note(self, who: Principal, scope: Scope, target: str, status: int) -> None:
        endpoint = scope.get("endpoint")  # none where the answer leads elsewhere
        operation = operation_of(endpoint) if endpoint is not None else ""
        if operation and not operation.startswith(_OWN) and (operation not in _BOTH or status in (201, 204, 303)):
            self._number += 1
            try:
                await self._notes.ask((self._number, Entry.of(who, operation, target)))
            except PitbossError as error:  # what was asked for is done, and the answer must say so
                logger.error("the audit lacks an entry", extra={"who": who.name, "action": operation}, exc_info=error)

    def _record(self, asked: Sequence[tuple[int, Entry]]) -> dict[tuple[int, Entry], PitbossError | None]:
        self.accounts.audit.record([entry for _, entry in asked])
        return dict.fromkeys(asked)


def _is_open(scope: Scope) -> bool:
    """Answer whether somebody may send something who is not known yet."""
    return _is_sign_in(scope) or (scope["method"] == "POST" and _path(scope) in ("/setup", "/settings/theme"))


def _is_change(scope: Scope) -> bool:
    """Answer whether a request that comes with a cookie must show that a page of ours sent it. Signing in anew need
    not: it takes the password."""
    return scope["method"] not in _READS and not _is_sign_in(scope)


async def _csrf_of(scope: Scope, headers: Headers, receive: Receive) -> tuple[str, Receive]:
    """Answer what a change shows that a page of ours sent it: a header, or a field of the form that it is, which is
    read for that and can be read again."""
    given = headers.get(CSRF_HEADER, "")
    if given or not headers.get("content-type", "").startswith(FORM):
        return given, receive
    body = b""
    async for chunk in Request(scope, receive).stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"the form is larger than {MAX_BODY:,} bytes")
    try:
        fields = parse_qs(body.decode(errors="replace"), max_num_fields=MOST_FIELDS)
    except ValueError:
        raise InvalidInput("the form has too many fields", f"at most {MOST_FIELDS:,}") from None
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def again() -> Message:
        return next(messages, None) or await receive()

    return fields.get(CSRF_FIELD, [""])[0], again


def _is_sign_in(scope: Scope) -> bool:
    return scope["method"] == "POST" and _path(scope) in ("/api/v1/session", "/api/session", "/sign-in")


def _path(scope: Scope) -> str:
    """Answer the whole path, below that under which a proxy serves it: what only ends alike is not the same."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _credential(headers: Headers) -> tuple[str, bool]:
    """Answer what a request comes with, and whether it is a session's; empty where there is nothing."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and given.strip().startswith(TOKEN):
        return given.strip()[:200], False
    if scheme:
        return "", False  # a malformed token is no reason to look at cookies
    return cookie_of(headers, SESSION_COOKIE)[:200], True


def cookie_of(headers: Headers, name: str) -> str:
    """Answer a cookie's value, empty where there is none."""
    return cookie_parser(headers.get("cookie", "")).get(name, "")
